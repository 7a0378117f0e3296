"""Restricted canonical JSON: the part of RFC 8785 on which every serialiser agrees.

Keys are ``[a-z0-9_]+``; numbers are integers below 2^53; strings are valid Unicode
without U+0000 (Postgres text refuses it). Inside this profile orjson with sorted keys
writes the bytes of RFC 8785; whatever is outside is refused.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import orjson

from pipeline.errors import InvalidMessage
from schemas.base import MAX_INTEGER

_KEY = re.compile(r"[a-z0-9_]+").fullmatch


def canonical(value: Mapping[str, Any]) -> bytes:
    """The one string of bytes that ``value`` has.

    Raises:
        InvalidMessage: ``value`` is outside the profile.
    """
    _check(value)
    try:
        raw = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:
        raise InvalidMessage("expected valid Unicode") from None
    # So U+0000 is written, and so is a backslash before the text "u0000".
    if b"\\u0000" in raw and _holds_null(value):
        raise InvalidMessage("expected text without U+0000")
    return raw


def parse(raw: bytes) -> dict[str, Any]:
    """The object that ``raw`` writes in its one form.

    Law: ``parse(canonical(value)) == value``, and no other bytes give ``value``:
    duplicate keys, spacing, another order or another escape are refused.

    Raises:
        InvalidMessage: ``raw`` is in another form, or no object.
    """
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise InvalidMessage("expected JSON") from None
    if not isinstance(value, dict):
        raise InvalidMessage("expected an object")
    try:
        written = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:  # it reads deeper than it writes
        raise InvalidMessage("expected JSON of no such depth") from None
    if written != raw:
        raise InvalidMessage("expected canonical JSON")
    return value


def _check(value: Any) -> None:
    """Keys and kinds; strings are judged by what is written of them."""
    kind = type(value)
    if kind is dict:
        _check_keys(tuple(value))
        members: Iterable[Any] = value.values()
    elif kind is list or kind is tuple:
        members = value
    else:
        _check_scalar(value)
        return
    for member in members:
        if type(member) is not str:
            _check(member)


@lru_cache(maxsize=512)  # the same few sets of keys in every record
def _check_keys(keys: tuple[object, ...]) -> None:
    if not all(isinstance(key, str) and _KEY(key) for key in keys):
        raise InvalidMessage("expected keys of [a-z0-9_]+")


def _check_scalar(value: Any) -> None:
    kind = type(value)
    if kind is not int:
        if kind is not str:
            _check_rare(value)
    elif not -MAX_INTEGER <= value <= MAX_INTEGER:
        raise InvalidMessage("expected an integer below 2^53")


def _holds_null(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_holds_null, value.values()))
    if isinstance(value, str):
        return "\0" in value
    return isinstance(value, list | tuple) and any(map(_holds_null, value))


def _check_rare(value: object) -> None:
    if value is not None and not isinstance(value, bool):
        raise InvalidMessage("expected strings, integers, booleans, nulls")
