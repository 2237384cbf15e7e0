"""A SuperNode and a ClientApp are killed in the middle of a round of a real deployment.

What Flower does (1.41, measured): a node whose ClientApp is killed is told of as failed after 66 s,
one whose SuperNode is killed after 60 s; so long the round lasts, though the others have finished.
The first is invited to the next round as the node that it was, and goes on from its state file. A
SuperNode that is started again without a key of its own is a new node to Flower: it gets the model
at its first visit, and what streams had taken up of the old one stays in it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flwr_digest.clients.record import NodeRecord
from flwr_digest.core.ids import NodeId
from flwr_digest.core.stream import Stream
from flwr_digest.errors import DigestError
from flwr_digest.launch import SuperLink, SuperNodes, await_end, submit
from flwr_digest.launch.waiting import wait_until
from tests.chaos.figures import Figures
from tests.chaos.flower_records import MOST_SECONDS, records_in, steps_of, visited
from tests.chaos.result import Result

APP = Path(__file__).parent / "counting_app"
NODES = 4  # equal weights of a power of two: sums of unit steps are exact in float32
ROUNDS = 2
STEPS = 60_000  # of a round: seconds on a fast machine, so that there is a middle
SUPERNODE, CLIENT_APP = 3, 2  # which of them loses what


@dataclass(frozen=True, kw_only=True, slots=True)
class NodesLost:
    """Two rounds: in the first a SuperNode and another node's ClientApp are killed.

    Attributes
    ----------
    name : str
        What the scenario is called.
    """

    name: str = "supernode-and-clientapp-killed"

    def run(self, folder: Path) -> Result:
        """Carry it out."""
        figures: Figures = {}
        superlink = SuperLink(simulation=False, log_dir=folder)
        # Each visit is saved, whatever that costs: so who comes back knows all that was taken up.
        config = {"digest-save-share": 1.0}
        try:
            with superlink, SuperNodes(superlink, NODES, config) as nodes:
                figures, troubles = _two_rounds(superlink, nodes, folder / "results.json")
        except DigestError as error:
            troubles = [" ".join(str(error).split())]
        if superlink.leftover_processes():
            troubles.append("processes are left")
        return Result(
            scenario=self.name,
            passed=not troubles,
            double_counted=int(figures.get("steps_counted_twice", 0)),
            forfeited=int(figures.get("forfeited_steps", 0)),
            reissued=int(figures.get("reissues", 0)),
            figures=figures,
            failure="; ".join(troubles),
        )


def _two_rounds(
    superlink: SuperLink, nodes: SuperNodes, results: Path
) -> tuple[Figures, list[str]]:
    config: dict[str, int | str] = {"nodes": NODES, "rounds": ROUNDS, "local-steps": STEPS}
    config["results"] = str(results)
    home = superlink.workspace.home
    ids = {node: _id_of(nodes, node) for node in range(NODES)}
    run_id = submit(superlink, APP, config)
    wait_until(lambda: visited(home, NODES), MOST_SECONDS, "visits at all nodes")
    nodes.kill_client_app(CLIENT_APP)
    nodes.kill(SUPERNODE)
    killed = _by_id(home)
    nodes.start(SUPERNODE)
    await_end(superlink, run_id, name="killed-nodes", timeout_seconds=MOST_SECONDS)
    told = json.loads(results.read_text(encoding="utf-8"))
    return _judged(ids, _id_of(nodes, SUPERNODE), killed, _by_id(home), told)


def _id_of(nodes: SuperNodes, node: int) -> NodeId:
    """Return the number that Flower knows a SuperNode by; it is healthy before it has one."""
    wait_until(lambda: bool(_ids_told(nodes, node)), MOST_SECONDS, f"the ID of SuperNode {node}")
    return _ids_told(nodes, node)[0]


def _ids_told(nodes: SuperNodes, node: int) -> list[NodeId]:
    log = nodes.log_path(node).read_text(encoding="utf-8")
    return [NodeId(int(number)) for number in re.findall(r"SuperNode ID: (\d+)\n", log)]


def _by_id(home: Path) -> Mapping[NodeId, NodeRecord]:
    return {NodeId(int(file.parent.name, 16)): it for file, it in records_in(home).items()}


def _kept(record: NodeRecord) -> Stream:
    [state] = record.states.values()
    return state.kept


def _judged(
    ids: Mapping[int, NodeId],
    newcomer: NodeId,
    killed: Mapping[NodeId, NodeRecord],
    ended: Mapping[NodeId, NodeRecord],
    told: Mapping[str, object],
) -> tuple[Figures, list[str]]:
    """Return what the nodes' files and the final model tell, and what is wrong with it."""
    lost, back = ids[SUPERNODE], ids[CLIENT_APP]
    contained = {n: v.steps for n, v in _kept(ended[ids[0]]).visits.items()}
    known = {lost: contained.get(lost, 0), back: steps_of(killed[back]) + STEPS, newcomer: STEPS}
    known |= {ids[node]: ROUNDS * STEPS for node in ids if ids[node] not in known}
    counted = [round(NODES * value) for value in told["counts"]]  # type: ignore[attr-defined]
    expected = [known[ids[node]] for node in range(NODES)]
    expected[SUPERNODE] += STEPS  # the new one counts there, too
    totals = told["rounds"][str(ROUNDS)]  # type: ignore[index]
    figures: Figures = {
        "steps_of_the_lost_node_in_the_model": contained.get(lost, 0),
        "steps_of_the_lost_node_on_its_disk": steps_of(killed[lost]),
        "steps_at_the_kill": steps_of(killed[back]),
        "steps_counted_twice": sum(max(0, c - e) for c, e in zip(counted, expected, strict=True)),
        "steps_missing": sum(max(0, e - c) for c, e in zip(counted, expected, strict=True)),
        "forfeited_steps": int(totals["digest-forfeited-steps"]),
        "reissues": int(totals["digest-reissues"]),
    }
    troubles = []
    if counted != expected:
        troubles.append(f"the model has {counted} local steps, but {expected} are to be in it")
    if contained != known:
        troubles.append(f"the streams tell of {contained} local steps, and not of {known}")
    if not 0 < contained.get(lost, 0) <= steps_of(killed[lost]):
        troubles.append("the lost node's work is not in the model, or more than it had made")
    if steps_of(killed[back]) >= STEPS:
        troubles.append("they were killed too late to be the middle of the round")
    return figures, troubles
