"""Certificates for servers on loopback: an authority of one's own, and what it signs, right or wrong."""

from __future__ import annotations

import ssl
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_PEM = serialization.Encoding.PEM


class Authority:
    """Signs certificates; `file` is its own, to be trusted."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._key = folder, ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "zoo test authority")])
        own = self._signed(self._name, self._key, None, days=2)
        self.file = folder / "authority.pem"
        self.file.write_bytes(own.public_bytes(_PEM))

    def _signed(
        self,
        name: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        host: str | None,
        days: int,
        issuer: x509.Name | None = None,
    ) -> x509.Certificate:
        """A certificate that is valid for so many days, or was so many days ago."""
        now = datetime.now(timezone.utc)
        begins, ends = (now - timedelta(days=1), now + timedelta(days=days)) if days > 0 else (
            now + timedelta(days=days - 30), now + timedelta(days=days)
        )  # fmt: skip
        made = x509.CertificateBuilder(
            issuer or self._name, name, key.public_key(), x509.random_serial_number(), begins, ends
        ).add_extension(x509.BasicConstraints(ca=host is None, path_length=None), critical=True)
        if host is not None:
            made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        return made.sign(key if issuer else self._key, hashes.SHA256())

    def context(self, host: str, *, days: int = 2, self_signed: bool = False) -> ssl.SSLContext:
        """What a server needs that is called so.

        Args:
            host: The name in its certificate.
            days: How long it holds; negative: so long it has been over.
            self_signed: Nobody vouches for it but itself.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        made = self._signed(name, key, host, days, name if self_signed else None)
        path = self._folder / f"{host}.{days}.{self_signed}.pem"
        secret = key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        path.write_bytes(secret + made.public_bytes(_PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context
