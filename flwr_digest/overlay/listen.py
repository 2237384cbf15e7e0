"""Can this node listen where it is told to? Found out early, before anyone counts on it."""

from __future__ import annotations

import socket
from contextlib import closing
from pathlib import Path

from flwr_digest.core.address import host_of, port_of
from flwr_digest.errors import ConfigError


def check_free(text: str) -> None:
    """Check that this node could listen at an address.

    Raises
    ------
    ConfigError
        Something listens there already, or it is no address of this machine.
    """
    if text.startswith("unix:"):
        path = Path(text.removeprefix("unix:"))
        if not path.parent.is_dir():
            raise ConfigError(f"cannot listen at {text}: there is no folder {path.parent}")
        return
    try:
        found = socket.getaddrinfo(host_of(text), port_of(text), type=socket.SOCK_STREAM)
        family, kind, number, _, where = found[0]
        with closing(socket.socket(family, kind, number)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
    except OSError as error:
        raise ConfigError(f"cannot listen at {text}: {error.strerror or error}") from error
