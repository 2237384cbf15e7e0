"""Certificates and keys for one launch, in the forms that Flower takes.

For this machine and for a short time only: the key of the authority that signs is never written,
so nothing else can be signed with it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from flwr_digest.launch.ports import LOOPBACK

LIFETIME = timedelta(days=1)
"""Longer than any run on one machine; a guess."""

_AUTHORITY = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "flwr-digest launch")])
_HOST = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, LOOPBACK)])


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerFiles:
    """What a SuperLink with TLS needs; all PEM.

    Attributes
    ----------
    ca_certificate : Path
        Of who has signed the SuperLink's certificate; SuperNodes and `flwr` trust it.
    certificate, key : Path
        The SuperLink's own, made out to the host by which others call it.
    """

    ca_certificate: Path
    certificate: Path
    key: Path


def server_files(folder: Path) -> ServerFiles:
    """Make the files of a SuperLink on this machine's loopback.

    Parameters
    ----------
    folder : Path
        Where they go; it is there.
    """
    authority, key = _new_key(), _new_key()
    basic = x509.BasicConstraints(ca=True, path_length=0)
    host = x509.SubjectAlternativeName([x509.IPAddress(ip_address(LOOPBACK))])
    files = ServerFiles(
        ca_certificate=folder / "ca.crt",
        certificate=folder / "server.pem",
        key=folder / "server.key",
    )
    _write_pem(files.ca_certificate, _signed(_AUTHORITY, authority, basic, authority))
    _write_pem(files.certificate, _signed(_HOST, key, host, authority))
    _write_key(files.key, key, serialization.PrivateFormat.PKCS8)
    return files


def supernode_key(path: Path) -> Path:
    """Make a SuperNode's key pair, as ``ssh-keygen -t ecdsa -b 384`` does.

    Parameters
    ----------
    path : Path
        Of the private key; the public one goes to a file with ``.pub`` added.

    Returns
    -------
    Path
        Of the public key.
    """
    key = _new_key()
    _write_key(path, key, serialization.PrivateFormat.OpenSSH)
    public = path.with_name(f"{path.name}.pub")
    openssh = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    public.write_bytes(key.public_key().public_bytes(*openssh) + b"\n")
    return public


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP384R1())  # the curve that Flower's documents name


def _signed(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    extension: x509.ExtensionType,
    authority: ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(_AUTHORITY)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - LIFETIME)  # whatever the clock does meanwhile
        .not_valid_after(now + LIFETIME)
        .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
    )
    return builder.sign(authority, hashes.SHA256())


def _write_pem(path: Path, certificate: x509.Certificate) -> None:
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _write_key(
    path: Path, key: ec.EllipticCurvePrivateKey, form: serialization.PrivateFormat
) -> None:
    """Write a private key to a new file that only this user can read."""
    text = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text)
