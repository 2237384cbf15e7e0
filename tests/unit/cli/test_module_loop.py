"""The loop over modules."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from flwr_digest.cli.module_loop import SHARE, module_loop
from flwr_digest.sim.bench import bench_problem


@pytest.mark.parametrize(("steps", "made"), [(1, 1), (10, 1), (40, 4)])
def test_every_node_makes_its_share_of_the_steps(steps: int, made: int) -> None:
    assert SHARE == 0.1
    assert module_loop(bench_problem(3, steps)) == 3 * made
