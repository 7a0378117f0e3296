"""Outsiders on loopback: a time-stamping authority and a witness."""

import subprocess
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from infra.system import SystemClock
from pipeline.anchors.cosignatures import WITNESS, cosign
from pipeline.checkpoint import VerifyKey, open_checkpoint, parse_note
from pipeline.errors import InvalidMessage
from pipeline.merkle import verify_consistency
from pipeline.ports.anchors import Anchored, Kind

# Without `certs`: rfc3161-client refuses a reply that brings its own root.
CONFIG = """
[tsa]
default_tsa = here
[here]
dir = {folder}
serial = $dir/serial
signer_cert = $dir/tsa.pem
signer_key = $dir/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
accuracy = secs:1
ess_cert_id_alg = sha256
"""


@dataclass(frozen=True, slots=True)
class Authority:
    """``openssl ts`` with a certificate authority of its own."""

    folder: Path

    @property
    def trusted(self) -> list[x509.Certificate]:
        return x509.load_pem_x509_certificates((self.folder / "ca.pem").read_bytes())

    def reply(self, query: bytes) -> bytes:
        (self.folder / "query").write_bytes(query)
        config = ("-config", str(self.folder / "config"), "-queryfile")
        done = subprocess.run(
            ["openssl", "ts", "-reply", *config, str(self.folder / "query")],
            capture_output=True,
            check=True,
        )
        return done.stdout

    def stamped(self, note: str) -> Anchored:
        """A time stamp of a note."""
        (self.folder / "note").write_text(note)
        asked = subprocess.run(
            ["openssl", "ts", "-query", "-cert", "-data", str(self.folder / "note")],
            capture_output=True,
            check=True,
        )
        size, now = parse_note(note).size, SystemClock().now()
        reply = self.reply(asked.stdout)
        return Anchored(size, Kind.TIMESTAMP, "tsa", reply, now)


def authority(folder: Path, name: str = "test") -> Authority:
    """A new one in ``folder``, under a name of its own."""
    folder.mkdir(parents=True)
    now = SystemClock().now()
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = _certificate(
        f"{name} root", root_key, f"{name} root", root_key, now, ca=True
    )
    own = _certificate(f"{name} tsa", key, f"{name} root", root_key, now, ca=False)
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(root.public_bytes(pem))
    (folder / "tsa.pem").write_bytes(own.public_bytes(pem))
    (folder / "tsa.key").write_bytes(
        key.private_bytes(
            pem,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    (folder / "config").write_text(CONFIG.format(folder=folder))
    (folder / "serial").write_text("01\n")
    return Authority(folder)


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    signing: ec.EllipticCurvePrivateKey,
    now: datetime,
    *,
    ca: bool,
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if not ca:
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
        builder = builder.add_extension(usage, critical=True)
    return builder.sign(signing, hashes.SHA256())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@dataclass(slots=True)
class Observer:
    """A witness of one log, as c2sp.org/tlog-witness wants it.

    Attributes:
        size: of the tree that it cosigned last; 0: none.
        asked: the old sizes that it was asked about.
    """

    log: VerifyKey
    private: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    size: int = 0
    root: bytes = b""
    asked: list[int] = field(default_factory=list)

    @property
    def key(self) -> VerifyKey:
        public = self.private.public_key().public_bytes_raw()
        return VerifyKey("witness.example/w1", public, WITNESS)

    def cosigned(self, note: str) -> Anchored:
        """Its line under a note, whatever it saw before."""
        seen, now = parse_note(note), SystemClock().now()
        line = cosign(seen.text, self.key, self.private.sign, now)
        return Anchored(seen.size, Kind.WITNESS, "w1", line.encode(), now)

    def add(self, body: str) -> web.Response:
        head, _, note = body.partition("\n\n")
        first, *lines = head.split("\n")
        old, proof = (
            int(first.removeprefix("old ")),
            [b64decode(each) for each in lines],
        )
        self.asked.append(old)
        if parse_note(note).origin != self.log.name:
            return web.Response(status=404)
        try:
            seen = open_checkpoint(note, [self.log])
        except InvalidMessage:
            return web.Response(status=403)
        if old > seen.size:
            return web.Response(status=400)
        if old != self.size:
            headers = {"content-type": "text/x.tlog.size"}
            return web.Response(status=409, body=f"{self.size}\n", headers=headers)
        try:
            self._grows(old, seen.size, seen.root, proof)
        except InvalidMessage:
            return web.Response(status=409 if old == seen.size else 422)
        self.size, self.root = seen.size, seen.root
        line = cosign(seen.text, self.key, self.private.sign, SystemClock().now())
        return web.Response(text="\u2014 other.example AAAAAAAA\n" + line)

    def _grows(self, old: int, size: int, root: bytes, proof: list[bytes]) -> None:
        if old:
            verify_consistency(old, size, self.root, root, proof)


@asynccontextmanager
async def authority_at(made: Authority) -> AsyncIterator[str]:
    """The authority over HTTP: its URL."""

    async def stamp(request: web.Request) -> web.Response:
        if request.content_type != "application/timestamp-query":
            return web.Response(status=415)
        reply = made.reply(await request.read())
        return web.Response(body=reply, content_type="application/timestamp-reply")

    async with _serving(web.post("/", stamp)) as url:
        yield f"{url}/"


@asynccontextmanager
async def witness_at(observer: Observer) -> AsyncIterator[str]:
    """The witness over HTTP: its submission prefix."""

    async def add(request: web.Request) -> web.Response:
        return observer.add(await request.text())

    async with _serving(web.post("/w/add-checkpoint", add)) as url:
        yield f"{url}/w"


@asynccontextmanager
async def _serving(route: web.RouteDef) -> AsyncIterator[str]:
    app = web.Application()
    app.add_routes([route])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()
