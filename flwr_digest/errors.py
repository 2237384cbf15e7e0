"""The errors of flwr-digest: whose fault it was decides the class."""

from __future__ import annotations


class DigestError(Exception):
    """Base of every error that flwr-digest raises on purpose. Its text is one clear line."""


class ConfigError(DigestError):
    """What the user asked for is not allowed; the text says what is, and what to do."""


class LocalProtocolError(DigestError):
    """Our own code broke the rules of the protocol: a bug here, never the peer's fault."""


class RemoteProtocolError(DigestError):
    """A peer broke the rules of the protocol; it loses its link, and this node goes on."""


class DivergedError(DigestError):
    """Training gave values that are not finite: they are kept from the streams."""


class StateError(DigestError):
    """A state file is torn, foreign or of another version; it is kept aside, never trusted."""
