"""Options are checked once, when they are given, in one clear line."""

from __future__ import annotations

import math
from typing import Any

import pytest

from flwr_digest.errors import ConfigError
from flwr_digest.strategies import Digest
from flwr_digest.topology import TOPOLOGIES


def refusal(**options: Any) -> str:  # noqa: ANN401
    with pytest.raises(ConfigError) as caught:
        Digest(**options)
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_the_defaults_are_allowed() -> None:
    options = Digest().options
    assert (options.topology, options.local_steps, options.seed) == ("small-world", 20, 0)
    assert options.session_seconds is None
    assert options.insecure is False


@pytest.mark.parametrize("name", sorted(TOPOLOGIES))
def test_every_topology_can_be_chosen(name: str) -> None:
    assert Digest(topology=name).options.topology == name


def test_an_unknown_topology_suggests_the_nearest() -> None:
    line = refusal(topology="small_world")
    assert "topology='small_world'" in line
    assert "did you mean 'small-world'?" in line


def test_no_pace_below_zero() -> None:
    assert refusal(local_steps=-1) == "local_steps=-1: it must be 0 or more"
    assert Digest(local_steps=0).options.local_steps == 0


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan, math.inf])
def test_a_session_lasts_some_time_and_not_for_ever(seconds: float) -> None:
    assert f"session_seconds={seconds}" in refusal(session_seconds=seconds)


def test_what_fedavg_takes_is_taken() -> None:
    strategy = Digest(fraction_train=0.5, min_train_nodes=3, arrayrecord_key="model")
    assert (strategy.fraction_train, strategy.min_train_nodes) == (0.5, 3)
    assert strategy.arrayrecord_key == "model"


def test_what_nobody_takes_is_refused() -> None:
    with pytest.raises(TypeError, match="topologie"):
        Digest(topologie="ring")
