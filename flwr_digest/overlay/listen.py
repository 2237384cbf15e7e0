"""Can this node listen where it is told to? Found out early, before anyone counts on it."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import closing
from pathlib import Path

from flwr_digest.core.address import NOWHERE, host_of, port_of
from flwr_digest.errors import ConfigError


def check_free(text: str) -> None:
    """Check that this node could listen at an address.

    Raises
    ------
    ConfigError
        Something listens there already, or it is no address of this machine.
    """
    if text == NOWHERE:
        return
    if text.startswith("unix:"):
        path = Path(text.removeprefix("unix:"))
        if not path.parent.is_dir():
            raise ConfigError(f"cannot listen at {text}: there is no folder {path.parent}")
        if _answers(path):  # gRPC would take the path away from whoever listens there
            raise ConfigError(f"cannot listen at {text}: {os.strerror(errno.EADDRINUSE)}")
        return
    try:
        found = socket.getaddrinfo(host_of(text), port_of(text), type=socket.SOCK_STREAM)
        family, kind, number, _, where = found[0]
        with closing(socket.socket(family, kind, number)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
    except OSError as error:
        raise ConfigError(f"cannot listen at {text}: {error.strerror or error}") from error


def _answers(path: Path) -> bool:
    """Return whether someone listens at a unix socket; one that a dead process left does not."""
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as probe:
        probe.setblocking(False)
        return probe.connect_ex(str(path)) in (0, errno.EAGAIN)
