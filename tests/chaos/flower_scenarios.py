"""Faults of Flower's own processes: nodes finish their round, and keep its model, without them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flwr_digest.clients import load_model
from flwr_digest.errors import DigestError
from flwr_digest.launch import SuperLink, SuperNodes, submit
from flwr_digest.launch.waiting import wait_until
from tests.chaos.faults import KillServerApp, KillSuperLink
from tests.chaos.figures import Figures
from tests.chaos.flower_nodes import NodesLost
from tests.chaos.flower_records import MOST_SECONDS, records_in, steps_of, visited
from tests.chaos.result import Result
from tests.chaos.straggler import Straggler
from tests.flower.numpy_session.numpy_session import distance

APP = Path(__file__).parents[1] / "flower" / "numpy_session"
NODES = 4
SHARDS = 2
STEPS = 60_000  # seconds of a round on a fast machine, so that there is a middle
FOUND = 0.05  # of the length of what is to be found: so near is learned
CLIENT_APP = "flwr-clientapp"


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerLost:
    """A round of real SuperNodes whose ServerApp or SuperLink is killed in the middle.

    Attributes
    ----------
    name : str
        What the scenario is called.
    fault : KillServerApp or KillSuperLink
        What is killed; its time counts from when streams have visited all nodes.
    """

    name: str
    fault: KillServerApp | KillSuperLink

    def run(self, folder: Path) -> Result:
        """Carry it out."""
        superlink = SuperLink(simulation=False, log_dir=folder)
        try:
            with superlink, SuperNodes(superlink, count=NODES):
                figures, troubles = self._round(superlink, folder)
        except DigestError as error:
            figures, troubles = {}, [" ".join(str(error).split())]
        if superlink.leftover_processes():
            troubles.append("processes are left")
        return Result(
            scenario=self.name,
            passed=not troubles,
            double_counted=int(figures.get("steps_beyond_the_budget", 0)),
            forfeited=int(figures.get("steps_missing", 0)),
            reissued=0,
            figures=figures,
            failure="; ".join(troubles),
        )

    def _round(self, superlink: SuperLink, folder: Path) -> tuple[Figures, list[str]]:
        config = {"nodes": NODES, "rounds": 1, "shards": SHARDS, "regions": 1}
        config |= {"local-steps": STEPS}
        submit(superlink, APP, {**config, "results": str(folder / "results.json")})
        home = superlink.workspace.home
        wait_until(lambda: visited(home, NODES), MOST_SECONDS, "visits at all nodes")
        before = min(steps_of(record) for record in records_in(home).values())
        if isinstance(self.fault, KillServerApp):
            superlink.kill_server_app()
        else:
            superlink.kill()
        wait_until(lambda: not _training(superlink), MOST_SECONDS, "the nodes to finish")
        return _judged(home, before)


def _training(superlink: SuperLink) -> bool:
    return any(CLIENT_APP in each.command for each in superlink.leftover_processes())


def _judged(home: Path, before: int) -> tuple[Figures, list[str]]:
    """Return how the nodes have ended, and what is wrong with that."""
    records = records_in(home)
    steps = [steps_of(record) for record in records.values()]
    models = [load_model(file.parent)["weights"] for file in records]
    figures: Figures = {
        "nodes": len(records),
        "steps_at_the_kill": before,
        "steps_missing": sum(max(0, STEPS - made) for made in steps),
        "steps_beyond_the_budget": sum(max(0, made - STEPS) for made in steps),
        "worst_distance": round(max(map(distance, models)), 6),
    }
    troubles = []
    if len(records) != NODES or set(steps) != {STEPS}:
        troubles.append(f"not all nodes have finished: {steps} of {STEPS} steps each")
    if before >= STEPS:
        troubles.append("it was killed too late to be the middle of the round")
    if not all(np.allclose(model, models[0], atol=1e-5) for model in models):
        troubles.append("the nodes have different models")
    if max(map(distance, models)) > FOUND:
        troubles.append("the models have not learned")
    return figures, troubles


SCENARIOS: list[ServerLost | NodesLost | Straggler] = [
    ServerLost(name="serverapp-killed", fault=KillServerApp(at=0.0)),
    ServerLost(name="superlink-killed", fault=KillSuperLink(at=0.0)),
    NodesLost(),
    Straggler(),
]
