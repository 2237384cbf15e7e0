"""SuperNodes for a private SuperLink: Flower's deployment, with all nodes on this machine."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from flwr_digest.errors import DigestError
from flwr_digest.launch.asking import ask_flwr
from flwr_digest.launch.commands import register_command, supernode_command
from flwr_digest.launch.credentials import supernode_key
from flwr_digest.launch.leftovers import leftover_processes
from flwr_digest.launch.ports import LOOPBACK, free_ports
from flwr_digest.launch.processes import Process
from flwr_digest.launch.superlink import START_SECONDS, SuperLink
from flwr_digest.launch.workspace import CONNECTION, with_path

START_SECONDS_PER_NODE = 10.0
"""All start at once and share the cores: 2 s of computing each (measured), and some to spare."""

CLIENT_APP = "flwr-clientapp"
"""The program that Flower runs a ClientApp in, one for each message."""


class SuperNodes:
    """A number of SuperNodes, as a context manager.

    Each knows its partition (`partition-id`, `num-partitions`) and the address where it may listen
    to its peers (`digest-address`). If the SuperLink is secure, each has a key of its own, by which
    it is registered.

    Parameters
    ----------
    superlink : SuperLink
        A running SuperLink that does not simulate.
    count : int
        How many nodes.
    node_config : Mapping[str, str | int | float | bool], optional
        What all nodes are told in addition.
    """

    def __init__(
        self,
        superlink: SuperLink,
        count: int,
        node_config: Mapping[str, str | int | float | bool] | None = None,
    ) -> None:
        self._superlink = superlink
        self._count = count
        self._node_config = dict(node_config or {})
        self._ports = free_ports(2 * count)
        self._processes: dict[int, Process] = {}

    def __enter__(self) -> Self:
        with ExitStack() as undo:  # whatever interrupts the start
            undo.callback(self.stop)
            for node in range(self._count):
                self._register(node)
                self._launch(node)
            for node in range(self._count):
                self._wait_until_healthy(node)
            undo.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self, node: int) -> None:
        """Start a node again that was killed; to Flower it is a new one."""
        self._register(node)
        self._launch(node)
        self._wait_until_healthy(node)

    def kill(self, node: int) -> None:
        """Kill a node and its ClientApp without warning, as a power cut would."""
        self._processes.pop(node).kill()

    def kill_client_app(self, node: int) -> None:
        """Kill the ClientApp that runs at a node, and nothing else.

        Raises
        ------
        DigestError
            None runs there.
        """
        launch = self._superlink.workspace.launch
        found = leftover_processes(f"{launch}/{_role(node)}")
        apps = [each for each in found if CLIENT_APP in each.command]
        if not apps:
            raise DigestError(f"no ClientApp runs at node {node}")
        for each in apps:
            os.kill(each.pid, signal.SIGKILL)

    def log_path(self, node: int) -> Path:
        """Return the log of a node, and of the ClientApps that it has started."""
        return self._superlink.workspace.log_dir / f"{_role(node)}.log"

    def stop(self) -> None:
        """Stop all nodes that run, and their ClientApps."""
        for each in self._processes.values():
            each.ask_to_end()  # all at once, as each takes a second or two
        while self._processes:
            _, process = self._processes.popitem()
            process.stop()

    def digest_address(self, node: int) -> str:
        """Return the address where a node may listen to its peers."""
        return f"{LOOPBACK}:{self._ports[self._count + node]}"

    def _register(self, node: int) -> None:
        """Make a key and let the SuperLink know it, if it is secure.

        A fresh one each time: a node that was killed is thought to be there for a minute, and so
        long its key lets nobody in.
        """
        if self._superlink.ca_certificate is None:
            return
        self._key_path(node).unlink(missing_ok=True)
        public_key = supernode_key(self._key_path(node))
        command = register_command(public_key, CONNECTION)
        ask_flwr(self._superlink.workspace, command[1:])

    def _key_path(self, node: int) -> Path:
        return self._superlink.workspace.home / f"{_role(node)}.key"

    def _launch(self, node: int) -> None:
        config = {
            "partition-id": node,
            "num-partitions": self._count,
            "digest-address": self.digest_address(node),
            **self._node_config,
        }
        ca_certificate = self._superlink.ca_certificate
        command = supernode_command(
            self._superlink.address,
            config,
            address=f"{LOOPBACK}:{self._ports[node]}",
            ca_certificate=ca_certificate,
            key=None if ca_certificate is None else self._key_path(node),
        )
        workspace = self._superlink.workspace
        self._processes[node] = Process(workspace, _role(node), with_path(command))

    def _wait_until_healthy(self, node: int) -> None:
        address = f"{LOOPBACK}:{self._ports[node]}"
        seconds = START_SECONDS + START_SECONDS_PER_NODE * self._count
        self._processes[node].wait_until_healthy(address, seconds)


def _role(node: int) -> str:
    return f"supernode-{node}"
