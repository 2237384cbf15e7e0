"""What a chaos session is made of, for its processes and for whoever starts and audits them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from flwr_digest.core.ids import NodeId
from tests.support.overlay_session import LIFE, Company

LASTING_SECONDS = 7200.0  # no chaos session lasts longer; past that a node hangs
DEFAULT_LIVES = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """A session.

    Parameters
    ----------
    nodes : int
        How many; a power of two, so that weights and sums of unit steps are exact in float32.
    topology : str
        Name of the graph.
    shards, regions : int
        Into how many streams the model and the nodes are split.
    drift_correction : bool
        Whether streams carry rates, too.
    local_steps : int
        The pace.
    step_seconds : float
        How long a local step takes: that is the workload.
    lives : int
        How many accounts each node may open.
    """

    nodes: int = 8
    topology: str = "small-world"
    shards: int = 1
    regions: int = 1
    drift_correction: bool = False
    local_steps: int = 10
    step_seconds: float = 0.05
    lives: int = DEFAULT_LIVES

    def company(self, folder: Path = Path("/nowhere")) -> Company:
        """Return the company that all processes know, with a coordinate for each life of each."""
        company = Company(
            count=self.nodes,
            topology=self.topology,
            shards=self.shards,
            regions=self.regions,
            drift_correction=self.drift_correction,
            local_steps=self.local_steps,
            size=self.nodes * self.lives,
            session_seconds=LASTING_SECONDS,
            insecure=True,
            sockets=folder,
        )
        for life in range(LIFE + 1, self.lives + 1):
            for node in company.nodes:
                company.work.begin(node, life)
        return company


@dataclass(frozen=True, kw_only=True, slots=True)
class Errand:
    """What one process is to do; travels as JSON on its command line.

    Parameters
    ----------
    node : NodeId
        Which node it is.
    setup : Setup
        Of which session.
    state, journal : str
        The files for its state, and for what it knows.
    listen : str
        Where it listens.
    dialled : dict of str to str
        Where it finds its neighbors, by their ids.
    life : int
        Under which life accounts are to be opened anew.
    rejoining : bool
        Whether it comes back into a session that runs.
    """

    node: NodeId
    setup: Setup
    state: str
    journal: str
    listen: str
    dialled: dict[str, str]
    life: int = LIFE
    rejoining: bool = False

    def to_json(self) -> str:
        """Return the errand as JSON text."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> Errand:
        """Return the errand that `to_json` wrote."""
        fields = json.loads(text)
        return Errand(setup=Setup(**fields.pop("setup")), **fields)
