"""The first and the last frames of a link: who is there, why not, and goodbye."""

from __future__ import annotations

import json
from dataclasses import dataclass

from flwr_digest.core.ids import NodeId
from flwr_digest.core.plan import PROTOCOL_VERSION
from flwr_digest.errors import RemoteProtocolError
from flwr_digest.overlay.fields import Frame, Kind

MOST_TEXT_BYTES = 4096  # of a hello or a refusal


@dataclass(frozen=True, kw_only=True)
class LinkHello:
    """How a node introduces itself on a link.

    Attributes
    ----------
    session, node
        Which session the sender takes part in, and who it is.
    layout : str
        Fingerprint of the sender's model layout.
    about : str
        The layout in words, for the error message.
    """

    session: str
    node: NodeId
    layout: str
    about: str

    def to_frame(self) -> bytes:
        """Return the HELLO frame."""
        fields = {
            "version": PROTOCOL_VERSION,
            "session": self.session,
            "node": self.node,
            "layout": self.layout,
            "about": self.about,
        }
        return bytes([Kind.HELLO]) + json.dumps(fields).encode()

    @staticmethod
    def from_frame(frame: bytes) -> LinkHello:
        """Return the hello in a frame.

        Raises
        ------
        RemoteProtocolError
            The frame is no hello of our version, or the sender refused us (then with its reason).
        """
        if frame[:1] == bytes([Kind.REFUSAL]):
            raise RemoteProtocolError(f"refused: {text_of(frame)}")
        if frame[:1] != bytes([Kind.HELLO]) or len(frame) > MOST_TEXT_BYTES:
            raise RemoteProtocolError("the first frame was no hello")
        try:
            fields = json.loads(frame[1:])
            _check_version(fields["version"])  # first: other versions may have other fields
            return LinkHello(
                session=_line(fields["session"]),
                node=NodeId(int(fields["node"])),
                layout=_line(fields["layout"]),
                about=_line(fields["about"]),
            )
        except (ArithmeticError, KeyError, RecursionError, TypeError, ValueError) as error:
            raise RemoteProtocolError(f"a hello that cannot be read: {error!r}") from error


def _check_version(version: object) -> None:
    if version != PROTOCOL_VERSION:
        raise RemoteProtocolError(
            f"it speaks protocol version {_line(version)}, this node {PROTOCOL_VERSION}: "
            "install the same flwr-digest on all nodes"
        )


def _line(text: object) -> str:
    """Return what a peer has said as one line, fit for a log."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())


def refusal(reason: str) -> bytes:
    """Return the REFUSAL frame for a reason in words."""
    return bytes([Kind.REFUSAL]) + reason.encode()[: MOST_TEXT_BYTES - 1]


GOODBYE = bytes([Kind.GOODBYE])


def text_of(frame: Frame) -> str:
    """Return the words of a REFUSAL."""
    return _line(bytes(frame[1:MOST_TEXT_BYTES]).decode(errors="replace"))
