"""What a command line's words must be: who mistypes one is told what was expected."""

import math
import re
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import click
from typing_extensions import override

PROVIDER: Final = re.compile(r"[a-z0-9_.:@-]{1,64}")
MODEL: Final = re.compile(r"[^\x00-\x1f\x7f]{1,128}")
KAFKA: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^][\s:,]+)(:\d{1,4}|:[1-5]\d{4})?")
YEAR_S: Final = 31_536_000


def shown(text: str) -> str:
    """Text of others for a screen: what is no plain character there is a ``?``.

    So nobody whose files are judged begins a line of ours, or hides one.
    """
    return "".join(each if each.isprintable() else "?" for each in text)


class Word(click.ParamType[str]):
    """Text of one form; what is ``expected`` is said where it has another."""

    name = "text"

    def __init__(self, form: re.Pattern[str], expected: str) -> None:
        self._form = form
        self._expected = expected

    @override
    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        if self._form.fullmatch(value) is None:
            self.fail(f"expected {self._expected}", param, ctx)
        return str(value)


class Words(click.ParamType[str]):
    """A file's text; the file is read when the command line is."""

    name = "file"
    _path = click.Path(exists=True, dir_okay=False, path_type=Path)

    @override
    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        path: Path = self._path.convert(value, param, ctx)
        try:
            return path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = type(error).__name__
            self.fail(f"{path.name}: expected text in UTF-8 ({why})", param, ctx)


class Number(click.FloatRange):
    """A number that can be counted with: neither ``nan`` nor without an end."""

    @override
    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        found: float = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail("expected a number", param, ctx)
        return found


class Url(click.ParamType[str]):
    """An address by HTTP, with a host."""

    name = "url"

    @override
    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        try:
            parts = urlsplit(value)
            known = parts.scheme in {"http", "https"} and parts.hostname is not None
            known = known and parts.port != 0
        except ValueError:
            known = False
        if not known:
            self.fail("expected http(s)://host[:port]/path", param, ctx)
        return str(value)


WORDS: Final = Words()
URL: Final = Url()
OF_PROVIDER: Final = Word(
    PROVIDER, "a provider's name: 1 to 64 of a-z, 0-9 and _ . : @ -"
)
OF_MODEL: Final = Word(MODEL, "a model's name: 1 to 128 characters, none of control")
AT_KAFKA: Final = Word(
    re.compile(rf"{KAFKA.pattern}(,({KAFKA.pattern}))*"), "host:port[,host:port]"
)


def credential(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """A credential, as a file held it."""
    if value is None:
        return None
    found = value.strip()
    if re.fullmatch(r"[\x21-\x7e]+", found) is None:
        raise click.BadParameter("expected one API key or token")
    return found
