"""A node's model, read from what the node has left on its disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from flwr_digest.clients.archive import from_archive
from flwr_digest.clients.record import named
from flwr_digest.clients.store import STATE_FILE
from flwr_digest.overlay.statefile import StateFile


def load_model(path: str | Path) -> Mapping[str, npt.NDArray[np.generic]]:
    """Return the model that a node has kept, also where its run never came to an end.

    A node saves while streams visit it, and at the end of each round; so its model is there when
    the ServerApp or the SuperLink is not any more. In the midst of a round it is that of the last
    visits; after it, the node's own.

    Parameters
    ----------
    path : str or Path
        A node's folder, ``<home>/<run id>/<node id>``, or the file ``state.digest`` in it. The home
        is ``$FLWR_DIGEST_HOME``, else the folder ``digest`` in Flower's home, which is
        ``$FLWR_HOME``, else ``~/.flwr``.

    Returns
    -------
    mapping of str to array
        By the names that the ServerApp gave them, with their shapes and dtypes.

    Raises
    ------
    flwr_digest.errors.StateError
        There is no such file, or it is torn, or not of this version.
    """
    file = Path(path)
    if file.is_dir():
        file = file / STATE_FILE
    record = StateFile(file).peek(from_archive).content
    return named(record, record.model, record.rest, copy=True)
