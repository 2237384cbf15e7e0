"""How much of a node's time saving its state may take."""

from __future__ import annotations

from flwr.app import Context

from flwr_digest.errors import ConfigError
from flwr_digest.overlay.keeper import SAVE_SHARE, check_share

SHARE = "digest-save-share"


def save_share_of(context: Context) -> float:
    """Return the share that the node-config names, in [0, 1]; by default `SAVE_SHARE`.

    Raises
    ------
    ConfigError
        It is no such number.
    """
    share = context.node_config.get(SHARE, SAVE_SHARE)
    if isinstance(share, str | bool | bytes):
        raise ConfigError(f"{SHARE} in the node-config is {share!r}: it must be a number, 0 to 1")
    return check_share(float(share), f"{SHARE} in the node-config")
