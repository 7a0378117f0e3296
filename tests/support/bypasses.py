"""Ways past a guard, each tried where a URL is registered and where it is dialled.

Sources: the bypass lists of OWASP's SSRF cheat sheet, IANA's special-purpose address
registries, and what URL parsers are known to read differently.
"""

from dataclasses import dataclass

PUBLIC = ("8.8.8.8",)


@dataclass(frozen=True, slots=True)
class Bypass:
    """One case.

    Attributes:
        url: what a tenant names.
        answers: what any name leads to; public, unless the answer is the bypass.
    """

    url: str
    answers: tuple[str, ...] = PUBLIC


ADDRESSES_4 = (
    "127.0.0.1 0.0.0.0 10.0.0.1 172.16.0.1 172.31.255.255 192.168.0.1 169.254.169.254"
    " 169.254.170.2 100.100.100.200 168.63.129.16 192.0.0.192 192.0.2.1 192.88.99.1"
    " 198.51.100.1 203.0.113.1 100.64.0.1 198.18.0.1 224.0.0.1 240.0.0.1"
    " 255.255.255.255"
).split()
FORMS_4 = (
    "127.1 127.0.1 0 2130706433 017700000001 0x7f000001 0x7f.0.0.1 0x7f.1 0177.0.0.1"
    " 127.0.0.1. 2852039166 0xa9fea9fe 0177.0.0.0x1 127.0.0.1.. 127.00.0.1"
    " 127.0.0.01 127.0.0.256 0x7f.0x0.0x0.0x1 1.1.1.1 8.8.8.8"
).split()
ADDRESSES_6 = (
    "::1 :: ::ffff:127.0.0.1 ::ffff:7f00:1 0:0:0:0:0:ffff:127.0.0.1 ::127.0.0.1"
    " ::ffff:0:127.0.0.1 64:ff9b::7f00:1 64:ff9b:1::a9fe:a9fe 2002:7f00:1::"
    " 2001:0:53aa:64c::1 2001:20::1 fe80::1 fc00::1 fd00:ec2::254 fd20:ce::254 fec0::1"
    " ff02::1 100::1 5f00::1 3fff::1 2001:db8::1 ::ffff:10.0.0.1 ::ffff:a9fe:a9fe"
    " 2620:4f:8000::1"
).split()
SCOPED_6 = ["fe80::1%25eth0", "fe80::1%eth0", "::1%25lo", "fe80::1%1"]
FORMS_6 = ["2606:4700::1111", "::ffff:8.8.8.8", "v1.fe80", "::1]@example.com["]
TEXTS = [
    "https://127。0。0。1/", "https://①②⑦.⓪.⓪.①/", "https://１２７.０.０.１/",
    "https://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/", "https://local\u00adhost/", "https://local\u200bhost.example/",
    "https://127.0.0.\u0661/", "https://example\u2024com/", "https://exampl\u0435.com/",
    "https://%31%32%37.0.0.1/", "https://127%2e0%2e0%2e1/", "https://a%00.example/",
    "https://a%0d%0a.example/", "https://exa\tmple.com/", "https://exa\nmple.com/",
    "https://exa\rmple.com/", "https://127.0.0.1\x00.example.com/",
    " https://example.com/", "https://example.com/ ", "\thttps://example.com/",
    "https://example.com/\r\nx: y", "https://example.com/\u2028",
    "https:// example.com/",
    "", "https:", "https://", "https:///x", "https:example.com", "https:/example.com/",
    "//127.0.0.1", "127.0.0.1", "http:/\\127.0.0.1", "https:\\\\127.0.0.1/",
    "HTTPS://example.com/", "https://example.com:/", "https://example..com/",
    "https://.example.com/", "https://-a.example/", "https://a-.example/",
    "https://_a.example.com/", "https://" + "a." * 200 + "com/",
    "https://" + "a" * 64 + ".example/", "https://example.com/" + "a" * 2048,
]  # fmt: skip
PARSERS = [
    "https://1.1.1.1 &@127.0.0.1# @3.3.3.3/", "https://user@127.0.0.1/",
    "https://:@127.0.0.1/", "https://@127.0.0.1/", "https://user:pass@example.com/",
    "https://example.com@127.0.0.1/", "https://example.com:80@127.0.0.1:8080/",
    "https://example.com%40127.0.0.1/", "https://127.0.0.1\\@example.com/",
    "https://example.com\\@127.0.0.1/", "https://example.com\\.127.0.0.1/",
    "https://example.com#@127.0.0.1/", "https://example.com?@127.0.0.1/",
    "https://example.com?x=1", "https://example.com;@127.0.0.1/",
    "https://example.com:443:22/", "https://example.com:443@127.0.0.1/",
    "https://example.com:+443/", "https://example.com:0443x/",
    "https://example.com#fragment", "https://example.com/#@127.0.0.1/",
    "https://[::1/", "https://::1/", "https://example.com]/", "https://{127.0.0.1}/",
    "https://example.com,127.0.0.1/", "https://127.0.0.1^example.com/",
]  # fmt: skip
SCHEMES = [
    "http://example.com/", "file:///etc/passwd", "gopher://example.com/",
    "ftp://example.com/", "unix:/var/run/docker.sock", "ws://example.com/",
    "dict://example.com/", "data:,x", "javascript:1", "jar:https://example.com!/",
    "http+unix://%2fvar%2frun%2fdocker.sock/", "https+x://example.com/",
]  # fmt: skip
PORTS = [0, 99_999, 65_536, 22, 25, 80, 6379, 9092, 5432, 8080]
NAMES = (
    "localhost LOCALHOST localhost. a.localhost metadata.google.internal"
    " metadata.google.internal. METADATA.GOOGLE.INTERNAL kubernetes.default.svc"
    " redis kafka a.cluster.local printer.local instance-data x.internal"
    " example.0x1f example.123 example.0x com com."
).split()
ANSWERS = (
    *((each,) for each in (*ADDRESSES_4, *ADDRESSES_6, *SCOPED_6)),
    ("8.8.8.8", "127.0.0.1"),
    ("127.0.0.1", "8.8.8.8"),
    ("8.8.8.8", "::1"),
    ("8.8.8.8", "::ffff:10.0.0.1"),
    ("2606:4700::1111", "10.0.0.1"),
    (),
)

LITERALS = [
    *(Bypass(f"https://{each}/") for each in (*ADDRESSES_4, *FORMS_4)),
    *(Bypass(f"https://[{each}]/") for each in (*ADDRESSES_6, *SCOPED_6, *FORMS_6)),
]
INWARD = [Bypass("https://hooks.example.com/", tuple(each)) for each in ANSWERS]
BYPASSES = [
    *LITERALS,
    *(Bypass(each) for each in (*TEXTS, *PARSERS, *SCHEMES)),
    *(Bypass(f"https://hooks.example.com:{each}/") for each in PORTS),
    *(Bypass(f"https://{each}/") for each in NAMES),
    *INWARD,
]
