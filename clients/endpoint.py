"""Where this node listens, and where its neighbors are told to dial it."""

from __future__ import annotations

from typing import NamedTuple

from flwr.app import Context

from flwr_digest.clients.simulation import simulated, socket_address
from flwr_digest.core.address import NOWHERE, check_address, check_dialable
from flwr_digest.errors import ConfigError

LISTEN = "digest-address"
ADVERTISE = "digest-advertise"
ONLY_DIALS = "none"  # as digest-address: this node listens nowhere


class Endpoint(NamedTuple):
    """A node's two addresses: equal, unless it sits behind a name or a forwarded port.

    Both are `NOWHERE` for a node that only dials.
    """

    listen: str
    advertise: str


def endpoint_of(context: Context) -> Endpoint:
    """Return a node's endpoint: from its node-config, or a unix socket in simulation.

    Raises
    ------
    ConfigError
        The node has no address, or one that cannot be.
    """
    listen = context.node_config.get(LISTEN)
    if listen is None:
        if simulated():
            address = socket_address(context.run_id, context.node_id)
            return Endpoint(address, check_address(address, LISTEN))
        raise ConfigError(
            "this node has no address: start its SuperNode with "
            f'--node-config \'{LISTEN}="HOST:PORT"\', or "{ONLY_DIALS}" where nobody can reach it'
        )
    if listen == ONLY_DIALS:
        return Endpoint(NOWHERE, NOWHERE)
    advertise = context.node_config.get(ADVERTISE)
    if advertise is None:
        return Endpoint(str(listen), check_dialable(str(listen), LISTEN))
    check_address(str(listen), LISTEN)
    return Endpoint(str(listen), check_dialable(str(advertise), ADVERTISE))
