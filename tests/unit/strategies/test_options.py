"""Options are checked once, when they are given, in one clear line."""

from __future__ import annotations

import math
from typing import Any

import pytest

from flwr_digest.errors import ConfigError
from flwr_digest.strategies import Digest
from flwr_digest.strategies.options import MOST_STREAMS
from flwr_digest.topology import TOPOLOGIES


def refusal(**options: Any) -> str:  # noqa: ANN401
    with pytest.raises(ConfigError) as caught:
        Digest(**options)
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_the_defaults_are_allowed() -> None:
    options = Digest().options
    assert (options.topology, options.local_steps, options.seed) == ("small-world", 10, 0)
    assert (options.shards, options.regions, options.walk) == (1, 1, "tour")
    assert (options.calls_per_round, options.steps_per_call) == (1, 1)
    assert options.drift_correction is False
    assert options.session_seconds is None
    assert options.insecure is False
    assert (options.weighting, options.steps_per_round) == ("uniform", None)


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


@pytest.mark.parametrize("name", ["shards", "regions", "calls_per_round", "steps_per_call"])
@pytest.mark.parametrize("value", [0, -1, 2.0, "4", True, None, math.nan])
def test_counts_are_whole_and_above_zero(name: str, value: object) -> None:
    line = refusal(**{name: value})
    assert line.startswith(f"{name}={value!r}: it must be ")
    assert "1 or more" in line


def test_a_pace_is_whole() -> None:
    assert refusal(local_steps=2.5) == "local_steps=2.5: it must be a whole number, 0 or more"


def test_shards_and_regions_can_be_combined_within_reason() -> None:
    options = Digest(shards=64, regions=64).options
    assert options.shards * options.regions == MOST_STREAMS
    line = refusal(shards=64, regions=65)
    assert line == "shards=64 and regions=65 make 4160 streams: at most 4096 are allowed"


@pytest.mark.parametrize("walk", ["tour", "random", "metropolis"])
def test_every_walk_can_be_chosen(walk: str) -> None:
    assert Digest(walk=walk).options.walk == walk


def test_an_unknown_walk_suggests_the_nearest() -> None:
    line = refusal(walk="metropolitan")
    assert line.startswith("walk='metropolitan': it must be one of tour, random, metropolis")
    assert line.endswith("did you mean 'metropolis'?")
    assert "did you mean" not in refusal(walk="x")


@pytest.mark.parametrize("name", ["drift_correction", "insecure"])
def test_a_switch_is_on_or_off(name: str) -> None:
    assert refusal(**{name: "no"}) == f"{name}='no': it must be True or False"


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan, math.inf])
def test_a_session_lasts_some_time_and_not_for_ever(seconds: float) -> None:
    assert f"session_seconds={seconds}" in refusal(session_seconds=seconds)


def test_what_fedavg_takes_is_taken() -> None:
    strategy = Digest(fraction_train=0.5, min_train_nodes=3, arrayrecord_key="model")
    assert (strategy.fraction_train, strategy.min_train_nodes) == (0.5, 3)
    assert strategy.arrayrecord_key == "model"


def test_what_nobody_takes_is_refused() -> None:
    assert refusal(topologie="ring") == (
        "Digest has no option 'topologie'; did you mean 'topology'?"
    )
    line = refusal(min_fit_nodes=3)
    assert line.startswith("Digest has no option 'min_fit_nodes'")
    assert "did you mean 'min_" in line


def test_fedavgs_options_may_come_by_position() -> None:
    strategy = Digest(0.5, min_train_nodes=3, weighted_by_key="mine", shards=2)
    assert (strategy.fraction_train, strategy.min_train_nodes) == (0.5, 3)
    assert strategy.weighted_by_key == "mine"


def test_an_unknown_weighting_suggests_the_nearest() -> None:
    line = refusal(weighting="example")
    assert line == (
        "weighting='example': it must be one of uniform, examples; did you mean 'examples'?"
    )


@pytest.mark.parametrize("value", [0, -1, 2.0, "4", True])
def test_steps_of_a_round_are_whole_and_above_zero(value: object) -> None:
    assert refusal(steps_per_round=value).startswith(f"steps_per_round={value!r}: it must be ")


def test_a_time_is_a_number() -> None:
    for wrong in ("60", True, [60]):
        line = refusal(session_seconds=wrong)
        assert line == f"session_seconds={wrong!r}: it must be a number above 0"
