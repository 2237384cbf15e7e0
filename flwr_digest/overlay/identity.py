"""Who a node is on the overlay: a key and certificate of its own, for one session.

No PKI for anyone to run: each node makes its identity, the broker carries the certificates over
Flower's own (authenticated) channel, and a node trusts its neighbors' certificates and no others.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from flwr_digest.core.ids import NodeId

# Edge devices' clocks are off by hours, seldom by a day; a session of a month is past any run.
CLOCK_SLACK = timedelta(days=1)
LIFETIME = timedelta(days=30)


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A private key and its self-signed certificate, both PEM."""

    key: bytes
    certificate: bytes


def name_of(node: NodeId) -> str:
    """Return the name that a node's certificate is made out to."""
    return f"node-{node}.flwr-digest"


def new_identity(node: NodeId) -> Identity:
    """Make a fresh identity for `node` (EC P-256)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name_of(node))])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SLACK)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name_of(node))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Identity(
        key=key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
        certificate=certificate.public_bytes(serialization.Encoding.PEM),
    )


def same_certificate(one: bytes, other: bytes) -> bool:
    """Return whether two PEM texts hold the same certificate."""
    first, second = (x509.load_pem_x509_certificate(pem) for pem in (one, other))
    return first.fingerprint(hashes.SHA256()) == second.fingerprint(hashes.SHA256())
