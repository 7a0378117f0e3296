"""Secrets: shapes that issuers give them, and values beside words that name them."""

# ruff: noqa: E501, RUF001 - tables read best as rows, in many scripts

import re
from base64 import urlsafe_b64decode
from binascii import Error
from typing import Final

import orjson

from pipeline.detection.checks import entropy
from pipeline.detection.rules import Rule, hinted
from schemas.policies import DataClass

_HEX_BITS: Final = 3.0
_ANY_BITS: Final = 3.5
_PLACEHOLDER: Final = re.compile(
    r"(?i)change.?me|x{4,}|\*{3,}|\$\{|\{\{|<[^>]+>|example|placeholder|your[_-]|dummy|"
    r"redacted|12345678$|none$|null$|true$|false$|todo|insert|sample|test$|secret$|password$|"
    r"os\.environ|getenv|process\.env|env\["
)
_HINTS: Final = hinted(
    "key token secret password passwd api bearer auth credential pwd"
)


def secret(kind: str, pattern: str, base: float = 4.0) -> Rule:
    """A secret that its issuer's prefix gives away."""
    return Rule(
        id=f"secret.{kind}",
        data_class=DataClass.SECRET,
        kind=kind,
        pattern=pattern,
        base=base,
        check=_no_placeholder,
        accepts=0.9,
        hints=_HINTS,
    )


def _no_placeholder(value: str) -> bool:
    return _PLACEHOLDER.search(value) is None and len(set(value)) > 5  # noqa: PLR2004


def credentials(value: str) -> bool:
    """Whether the password of an address is none that stands for one.

    Its host and its database may be called ``example``, ``todo`` or ``test``.
    """
    secret = value.partition("://")[2].partition("@")[0].partition(":")[2]
    return _PLACEHOLDER.search(secret) is None


def jwt(value: str) -> bool:
    """Whether its first part decodes to a JOSE header (RFC 7515)."""
    head = value.split(".", 1)[0]
    try:
        header = orjson.loads(urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (Error, ValueError):
        return False
    return isinstance(header, dict) and "alg" in header


def dense(value: str) -> bool:
    """Enough entropy for a random value; placeholders and plain words have less."""
    if not _no_placeholder(value):
        return False
    hexadecimal = all(c in "0123456789abcdefABCDEF-" for c in value)
    if not hexadecimal and (value.isalpha() or value.isdigit()):
        return len(value) >= 20 and entropy(value) >= _ANY_BITS  # noqa: PLR2004
    return entropy(value) >= (
        _HEX_BITS if hexadecimal else min(_ANY_BITS, _most(value))
    )


def _most(value: str) -> float:
    """What a random value of this length has: short ones cannot reach 3.5 bits."""
    return 2.6 if len(value) < 16 else 3.2 if len(value) < 24 else _ANY_BITS  # noqa: PLR2004


def password(value: str) -> bool:
    """What follows a password's label, unless it is a placeholder or prose.

    The brackets of JSON behind it, in which it may be ``null``, are none of either.
    """
    value = value.rstrip("{}[]")
    return (
        bool(value.strip("{}[]"))
        and _PLACEHOLDER.search(value) is None
        and value.lower() not in _PROSE
    )


_PROSE: Final = frozenset(
    [
        "is",
        "was",
        "are",
        "the",
        "and",
        "or",
        "for",
        "reset",
        "must",
        "should",
        "has",
        "been",
        "manager",
        "policy",
        "field",
        "required",
        "protected",
        "hash",
        "hashing",
        "strength",
        "link",
        "page",
        "form",
        "change",
        "forgot",
        "incorrect",
        "wrong",
        "your",
        "my",
        "with",
        "from",
        "that",
        "this",
        "not",
        "can",
        "will",
        "to",
        "in",
        "on",
        "of",
        "a",
        "an",
        "it",
        "if",
        "string",
        "str",
        "optional",
    ]
)

_NAMED: Final = (
    r"api[ _-]?key|apikey|access[ _-]?key|secret[ _-]?key|client[ _-]?secret|auth[ _-]?token|"
    r"access[ _-]?token|refresh[ _-]?token|private[ _-]?key|secret|token|credential|"
    r"session[ _-]?(?:id|key|token)|encryption[ _-]?key|signing[ _-]?key|webhook[ _-]?secret|"
    r"bearer|cookie|x-api-key|authorization"
)
_PASSWORDS: Final = (
    r"password|passwd|passphrase|pwd|pass|passwort|kennwort|contraseña|mot de passe|"
    r"senha|wachtwoord|hasło|пароль|密码|パスワード|비밀번호|pin code|pin"
)

SECRETS: Final = (
    secret("aws_access_key", r"(?:AKIA|ASIA|AROA|AIDA|ABIA|ACCA)[A-Z2-7]{16}"),
    secret("github", r"gh[pousr]_[0-9A-Za-z]{36,255}|github_pat_[0-9A-Za-z_]{60,100}"),
    secret("gitlab", r"gl(?:pat|ptt|dt|rt|soat|ft|agent|cbt|imt)-[0-9A-Za-z_-]{20,64}"),
    secret("slack", r"xox[abeoprs]-[0-9A-Za-z-]{10,250}|xapp-[0-9]-[0-9A-Za-z-]{20,200}"),
    secret("slack_webhook", r"https://hooks\.slack\.com/(?:services|workflows)/[0-9A-Za-z/_-]{20,120}"),
    secret("discord", r"https://discord(?:app)?\.com/api/webhooks/[0-9]{16,20}/[0-9A-Za-z_-]{60,80}|[MNO][0-9A-Za-z_-]{23,25}\.[0-9A-Za-z_-]{6}\.[0-9A-Za-z_-]{27,38}"),
    secret("stripe", r"(?:sk|rk|pk|whsec)_(?:live_|test_)?[0-9A-Za-z]{16,255}"),
    secret("google", r"AIza[0-9A-Za-z_-]{35}|GOCSPX-[0-9A-Za-z_-]{28}|ya29\.[0-9A-Za-z_-]{20,255}"),
    secret("openai", r"sk-(?:proj-|svcacct-|admin-|None-)?[0-9A-Za-z_-]{20,200}"),
    secret("anthropic", r"sk-ant-[0-9A-Za-z_-]{20,200}", 4.5),
    secret("huggingface", r"hf_[0-9A-Za-z]{30,64}"),
    secret("model_provider", r"(?:gsk|xai|pplx|r8|nvapi|tgp_v1|fw)[_-][0-9A-Za-z_-]{24,128}"),
    secret("sendgrid", r"SG\.[0-9A-Za-z_-]{16,32}\.[0-9A-Za-z_-]{16,64}"),
    secret("twilio", r"(?:SK|AC)[0-9a-f]{32}"),
    secret("mailgun", r"key-[0-9a-f]{32}"),
    secret("npm", r"npm_[0-9A-Za-z]{36}"),
    secret("pypi", r"pypi-[0-9A-Za-z_-]{50,255}"),
    secret("docker", r"dckr_(?:pat|oat)_[0-9A-Za-z_-]{20,64}"),
    secret("digitalocean", r"do[opr]_v1_[0-9a-f]{64}"),
    secret("azure", r"(?i)AccountKey=[0-9a-z+/]{60,100}={0,2}|[0-9a-z_~.-]{3}8Q~[0-9a-z_~.-]{31,34}"),
    secret("shopify", r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}"),
    secret("square", r"sq0[a-z]{3}-[0-9A-Za-z_-]{22,50}|EAAA[0-9A-Za-z_-]{56,64}"),
    secret("telegram", r"[0-9]{8,10}:AA[0-9A-Za-z_-]{33}"),
    secret("vault", r"hv[sbr]\.[0-9A-Za-z_-]{24,200}"),
    secret("terraform", r"[0-9A-Za-z]{14}\.atlasv1\.[0-9A-Za-z_-]{60,70}"),
    secret("linear", r"lin_(?:api|oauth)_[0-9A-Za-z]{32,64}"),
    secret("notion", r"(?:secret|ntn)_[0-9A-Za-z]{40,50}"),
    secret("databricks", r"dapi[0-9a-f]{32}"),
    secret("grafana", r"gl(?:sa|c)_[0-9A-Za-z+/=_]{32,200}"),
    secret("newrelic", r"NRAK-[0-9A-Z]{27}"),
    secret("age", r"AGE-SECRET-KEY-1[0-9A-Z]{58}"),
    secret("sluice", r"sluice_(?:live|test)_[0-9A-Za-z_]{16,128}"),
    Rule(
        id="secret.jwt", data_class=DataClass.SECRET, kind="jwt", base=1.0, check=jwt, accepts=0.001,
        pattern=r"eyJ[0-9A-Za-z_-]{8,}\.[0-9A-Za-z_-]{8,}\.[0-9A-Za-z_-]*", hints=_HINTS,
    ),
    Rule(
        id="secret.url_credentials", data_class=DataClass.SECRET, kind="connection", base=3.0, check=credentials, accepts=0.9,
        pattern=r"(?i)[a-z][a-z0-9+.-]{1,30}://[^\s:/@\"'<>]{0,128}:[^\s/@\"'<>]{2,256}@[^\s\"'<>]{2,512}",
    ),
    Rule(
        id="secret.connection", data_class=DataClass.SECRET, kind="connection", base=2.5, check=password, accepts=0.9,
        pattern=r"(?i)(?:server|host|data source)=[^;\n]{2,128};[^\n]{0,256}(?:password|pwd)=(?P<v>[^;\s\"']{3,128})",
    ),
    Rule(
        id="secret.named", data_class=DataClass.SECRET, kind="named", base=0.6, check=dense, accepts=0.1,
        pattern=rf"(?i)(?:{_NAMED})[\"']?\s{{0,2}}(?:is|:=|=>|=|:|->)\s{{0,2}}(?:bearer |basic )?[\"'`]?(?P<v>[^\s\"'`,;<>(){{}}\[\]]{{8,512}})",
    ),
    Rule(
        id="secret.bearer", data_class=DataClass.SECRET, kind="bearer", base=0.8, check=dense, accepts=0.1,
        pattern=r"(?i)\b(?:bearer|basic|token) +(?P<v>[0-9a-z._~+/-]{16,512}=*)",
    ),
    Rule(
        id="secret.password", data_class=DataClass.SECRET, kind="password", base=1.4, check=password, accepts=0.6,
        pattern=rf"(?i)(?:^|[^\p{{L}}])(?:{_PASSWORDS})[\"']?\s{{0,2}}(?:is|ist|es|est|è|:=|=>|=|:|：)\s{{0,2}}[\"'`]?(?P<v>[^\s\"'`,;<>]{{4,128}})",
    ),
    Rule(
        id="secret.cookie", data_class=DataClass.SECRET, kind="cookie", base=1.0, check=dense, accepts=0.1,
        pattern=r"(?i)(?:set-)?cookie: *[a-z0-9_.-]+=(?P<v>[^\s;\"']{12,800})",
    ),
)  # fmt: skip

PEM_BEGIN: Final = r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"
PEM_END: Final = r"-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"
