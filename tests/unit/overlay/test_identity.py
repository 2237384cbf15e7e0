"""Identities: what a certificate says, and how two are compared."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from flwr_digest.core.ids import NodeId
from flwr_digest.overlay.identity import (
    CLOCK_SLACK,
    LIFETIME,
    name_of,
    new_identity,
    same_certificate,
)

NODE = NodeId(2**64 - 2)


def test_a_certificate_is_made_out_to_its_node() -> None:
    certificate = x509.load_pem_x509_certificate(new_identity(NODE).certificate)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value

    assert names.get_values_for_type(x509.DNSName) == [name_of(NODE)]
    assert name_of(NODE) == "node-18446744073709551614.flwr-digest"
    certificate.verify_directly_issued_by(certificate)


def test_the_key_is_the_certificates() -> None:
    identity = new_identity(NODE)
    key = serialization.load_pem_private_key(identity.key, password=None)
    certificate = x509.load_pem_x509_certificate(identity.certificate)

    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.public_key() == certificate.public_key()


def test_a_certificate_holds_for_clocks_that_are_off_and_not_for_ever() -> None:
    certificate = x509.load_pem_x509_certificate(new_identity(NODE).certificate)
    now = datetime.now(UTC)

    assert certificate.not_valid_before_utc <= now - CLOCK_SLACK
    assert now + LIFETIME >= certificate.not_valid_after_utc > now + LIFETIME / 2


def test_every_identity_is_new() -> None:
    one, other = new_identity(NODE), new_identity(NODE)
    assert one.key != other.key
    assert not same_certificate(one.certificate, other.certificate)


def test_the_same_certificate_is_known_however_it_is_written() -> None:
    pem = new_identity(NODE).certificate
    assert same_certificate(pem, b"a remark\n" + pem.replace(b"\n", b"\r\n"))


def test_what_is_no_certificate_is_an_error() -> None:
    with pytest.raises(ValueError, match="PEM"):
        same_certificate(b"nothing", new_identity(NODE).certificate)
