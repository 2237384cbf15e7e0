"""Where a node listens and where it can be dialled: ``host:port`` or ``unix:/path``."""

from __future__ import annotations

import ipaddress

from flwr_digest.errors import ConfigError

NOWHERE = ""
"""The address of a node that only dials, as nobody can reach it: behind NAT or a firewall, say."""

MOST_UNIX_PATH = 107  # bytes; the kernel's sockaddr_un holds 108 with the final zero


def check_address(text: str, field: str) -> str:
    """Return an address that has the right form.

    Parameters
    ----------
    text : str
        ``host:port``, ``[ipv6]:port`` or ``unix:/path``.
    field : str
        What the user calls it, for the error message.

    Raises
    ------
    ConfigError
        The text is no address.
    """
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path.startswith("/") or len(path.encode()) > MOST_UNIX_PATH:
            raise ConfigError(
                f'{field}="{text}": a unix socket needs an absolute path of at most '
                f"{MOST_UNIX_PATH} bytes"
            )
        return text
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ConfigError(f'{field}="{text}" is no address: write host:port, as in "10.0.0.5:7100"')
    return text


def check_dialable(text: str, field: str) -> str:
    """Return an address that others can dial: not that of *any* interface."""
    check_address(text, field)
    if not text.startswith("unix:") and host_of(text) in ("0.0.0.0", "::", "*"):
        raise ConfigError(
            f'{field}="{text}" listens everywhere but cannot be dialled: say where with '
            'digest-advertise="host:port"'
        )
    return text


def dials(me: int, mine: str, peer: int, theirs: str) -> bool:
    """Return whether a node dials its neighbor, rather than the neighbor it.

    One that nobody can reach dials; of two that can be reached it is the one with the lower id.

    Parameters
    ----------
    me, peer : int
        Their ids.
    mine, theirs : str
        Their addresses.
    """
    if mine == NOWHERE or theirs == NOWHERE:
        return theirs != NOWHERE
    return me < peer


def is_local(text: str) -> bool:
    """Return whether only this machine can dial the address."""
    if text == NOWHERE:
        return False
    if text.startswith("unix:") or host_of(text) == "localhost":
        return True
    try:
        return ipaddress.ip_address(host_of(text)).is_loopback
    except ValueError:
        return False  # a name


def host_of(text: str) -> str:
    """Return the host part of ``host:port``, without brackets."""
    return text.rpartition(":")[0].strip("[]")


def port_of(text: str) -> int:
    """Return the port of ``host:port``."""
    return int(text.rpartition(":")[2])
