"""One node of a company in a process of its own, so that it can be frozen or killed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flwr_digest.core.ids import NodeId
from tests.support.overlay_session import LIFE, MOST_SECONDS, Company

ROOT = Path(__file__).parents[2]
MODULE = "tests.support.overlay_process"
FIELDS = ("count", "rounds", "steps", "size", "insecure", "session_seconds")


class NodeProcess:
    """A node of a plaintext company, elsewhere.

    Attributes
    ----------
    process : Popen
        The process.
    """

    def __init__(self, company: Company, node: int) -> None:
        fields = {name: getattr(company, name) for name in FIELDS}
        told = json.dumps([node, fields, list(company.addresses.values())])
        self.process = subprocess.Popen([sys.executable, "-m", MODULE, told], cwd=ROOT)
        # What it makes is not seen here: at most all that it is to make.
        company.work.made[NodeId(node), LIFE] = company.rounds * company.steps

    def freeze(self) -> None:
        """Stop it where it is; the system keeps its connections."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it without a word."""
        self.process.kill()

    def ended_well(self) -> bool:
        """Wait for its end; return whether all was well with it."""
        return self.process.wait(MOST_SECONDS) == 0


@contextmanager
def apart(company: Company, node: int) -> Iterator[NodeProcess]:
    """Run a node in a process of its own, which does not outlive the test."""
    apart = NodeProcess(company, node)
    try:
        yield apart
    finally:
        apart.kill()
        apart.process.wait()


def main(told: str) -> None:
    """Be that node."""
    node, fields, addresses = json.loads(told)
    company = Company(**fields)
    company.addresses = dict(zip(company.nodes, addresses, strict=True))
    for other in company.nodes:
        company.work.made[other, LIFE] = company.rounds * company.steps
    own = company.work.made[NodeId(node), LIFE] = 0
    member = company.add(NodeId(node))
    member.run()
    company.audit()
    assert company.work.made[NodeId(node), LIFE] > own
    assert member.report.ending == "the session closed", member.report.ending


if __name__ == "__main__":
    main(sys.argv[1])
