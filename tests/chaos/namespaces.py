"""A network namespace for each node, and a pair of virtual interfaces for each link."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import ExitStack

from flwr_digest.core.ids import Link, NodeId, link
from tests.chaos.topologies import links_of
from tests.support.overlay_session import Company

PORT = 7000  # of each node, in a network of its own


def namespaces_work() -> bool:
    """Return whether this machine lets us have networks of our own."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return False
    name = f"dgc{os.getpid()}try"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False)
    if made.returncode:
        return False
    try:
        pair = ["ip", "-n", name, "link", "add", "one", "type", "veth", "peer", "name", "other"]
        run = ["ip", "netns", "exec", name, "true"]
        tries = [subprocess.run(each, capture_output=True, check=False) for each in (pair, run)]
        return not any(each.returncode for each in tries)
    finally:
        _ip("netns", "del", name)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Namespaces:
    """Each node has a network of its own, and each link is a pair of virtual interfaces.

    A link that is cut is a cable that was pulled: packets vanish, and nobody is told.
    """

    name = "network namespaces"

    def __init__(self, company: Company) -> None:
        self._paths = {path: number for number, path in enumerate(links_of(company))}
        self._made = ExitStack()
        self._stem = f"dgc{os.getpid()}n"
        try:
            for node in company.nodes:
                self._add(node)
            for path, number in self._paths.items():
                self._connect(path, number)
        except subprocess.CalledProcessError:
            self.close()
            raise

    def prefix(self, node: NodeId) -> list[str]:
        """Return what is to come before the command of a node's process."""
        return ["ip", "netns", "exec", self._space(node)]

    def listen(self, node: NodeId) -> str:
        """Return where a node listens."""
        return f"0.0.0.0:{PORT}"

    def dialled(self, node: NodeId, peer: NodeId) -> str:
        """Return where a node finds a neighbor."""
        path = link(node, peer)
        return f"{_address(self._paths[path], peer == path.high)}:{PORT}"

    def cut(self, path: Link) -> None:
        """Take a link down."""
        _ip("-n", self._space(path.low), "link", "set", f"to{path.high}", "down")

    def heal(self, path: Link) -> None:
        """Bring a link up again."""
        _ip("-n", self._space(path.low), "link", "set", f"to{path.high}", "up")

    def lose(self, path: Link, share: float) -> None:
        """Refuse: only proxies can."""
        raise NotImplementedError("this network loses no messages: take proxies")

    def close(self) -> None:
        """Remove all networks."""
        self._made.close()

    def _space(self, node: NodeId) -> str:
        return f"{self._stem}{node}"

    def _add(self, node: NodeId) -> None:
        _ip("netns", "add", self._space(node))
        self._made.callback(_ip, "netns", "del", self._space(node))
        _ip("-n", self._space(node), "link", "set", "lo", "up")

    def _connect(self, path: Link, number: int) -> None:
        low, high = self._space(path.low), self._space(path.high)
        ends = [f"to{path.high}", "netns", low], [f"to{path.low}", "netns", high]
        _ip("link", "add", *ends[0], "type", "veth", "peer", "name", *ends[1])
        for space, (name, *_), is_high in ((low, ends[0], False), (high, ends[1], True)):
            _ip("-n", space, "addr", "add", f"{_address(number, is_high)}/30", "dev", name)
            _ip("-n", space, "link", "set", name, "up")


def _address(number: int, is_high: bool) -> str:
    """Return the address of one end of a link: each link is a network of two."""
    return f"10.77.{number // 64}.{number % 64 * 4 + 1 + is_high}"
