"""
Make a certificate authority and a server's certificate, for a Kafka of one's own.

`python -m frameferry.stack.certificates AUTHORITY SERVER HOST…` writes two files in PEM: what
clients trust, and the server's certificate with its key. Files that are there stay as they are.
"""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from frameferry.stack.state import write_private

_VALID = dt.timedelta(days=825)
"""As long as clients that are strict about it accept."""
_CLOCKS_DIFFER_BY = dt.timedelta(hours=1)
_AUTHORITY = "Frameferry's own authority"
_USAGE = 2
_LEAST_WORDS = 3


def main() -> int:
    """Make what is missing; refuse half of it, since the authority's key is not kept."""
    words = sys.argv[1:]
    if len(words) < _LEAST_WORDS:
        sys.stderr.write("usage: python -m frameferry.stack.certificates AUTHORITY SERVER HOST…\n")
        return _USAGE
    authority, server, hosts = Path(words[0]), Path(words[1]), words[2:]
    if authority.exists() != server.exists():
        sys.stderr.write(
            f"only one of {authority} and {server} is there: remove it, to make both\n"
        )
        return 1
    if not authority.exists():
        make_certificates(authority, server, hosts)
    return 0


def make_certificates(authority: Path, server: Path, hosts: list[str]) -> None:
    """
    Write both files. Nobody can sign by this authority again: its key is thrown away.

    Args:
        authority: What clients trust; anybody may read it.
        server: The certificate and its key, for its owner's eyes only.
        hosts: The names by which clients reach the server; the first is its common name.
    """
    signing, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = _authority(signing)
    certificate = (
        _builder(hosts[0], _AUTHORITY, own)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(h) for h in hosts]), critical=False
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False
        )
        .sign(signing, hashes.SHA256())
    )
    write_private(server, (_private(own) + _pem(certificate)).decode())
    authority.write_bytes(_pem(root))


def _authority(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    may_sign = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        _builder(_AUTHORITY, _AUTHORITY, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(may_sign, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _builder(name: str, issuer: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(_named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_DIFFER_BY)
        .not_valid_after(now + _VALID)
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


if __name__ == "__main__":
    sys.exit(main())
