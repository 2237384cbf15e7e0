"""The table of methods, their settings, and the search for the best of these."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from flwr_digest.errors import ConfigError
from flwr_digest.learning.arrays import Floats
from flwr_digest.learning.least_squares import LeastSquares
from flwr_digest.sim.methods import GRID, LOCAL_STEPS, METHODS, Settings, at_its_best, run_method
from flwr_digest.sim.problem import Problem
from flwr_digest.sim.record import Recorder
from tests.unit.sim.rivals.builders import FAULTY, SMALL, small

ALL = sorted(METHODS)
RIVALS = sorted(set(METHODS) - {"digest"})
CURVE = {
    0.25: (0.4, 0.3, 0.2, 0.1),
    0.5: (0.4, 0.15, 0.4, 0.3),
    1.0: (0.4, 0.15, 0.4, 0.2),
    2.0: (0.4, 0.4, 0.4, 0.4),
}


def start_gap(problem: Problem) -> float:
    """Return the gap of the model that all nodes start from."""
    data = problem.dataset
    losses, _ = problem.task.evaluate(problem.initial[np.newaxis], data.train_x, data.train_y)
    return float(losses[0] - problem.best_loss)


def model_with(problem: Problem, gap: float) -> Floats:
    """Return a model with that gap: on the way from zero to the best, the gap falls as a square."""
    assert isinstance(problem.task, LeastSquares)
    best = problem.task.optimum(problem.dataset.train_x, problem.dataset.train_y)
    return (best * (1 - math.sqrt(gap / start_gap(problem)))).astype(np.float32)


def toy(problem: Problem, settings: Settings, recorder: Recorder) -> None:
    """Come to the gaps of `CURVE`, one after the other."""
    assert settings.learning_rate is not None
    for gap in CURVE[settings.learning_rate]:
        due = recorder.next_due
        assert due is not None
        model = model_with(problem, gap)
        recorder.measure(due, np.tile(model, (6, 1)), bytes_sent=0, idle_share=0.0, steps=due)


@pytest.mark.parametrize("method", ALL)
def test_every_method_measures_as_often_as_the_scenario_says(method: str) -> None:
    result = run_method(small(), method, Settings())
    assert [row.time_seconds for row in result.rows] == [10.0, 20.0, 30.0, 40.0]
    assert all(0.0 <= row.idle_share <= 1.0 for row in result.rows)
    assert all(b.steps > a.steps for a, b in pairwise(result.rows))


@pytest.mark.parametrize("method", ALL)
def test_every_method_gives_the_same_bytes_for_the_same_seed(method: str) -> None:
    problem = small(FAULTY)
    assert run_method(problem, method, Settings()) == run_method(problem, method, Settings())


@pytest.mark.parametrize("method", RIVALS)
@pytest.mark.parametrize("local_steps", [1, 3])
def test_every_rival_learns_in_spite_of_losses_outages_and_absences(
    method: str, local_steps: int
) -> None:
    rows = run_method(small(FAULTY), method, Settings(local_steps=local_steps)).rows
    assert rows[-1].gap_of_average < start_gap(small(FAULTY))
    assert all(b.bytes_sent >= a.bytes_sent for a, b in pairwise(rows))


@pytest.mark.parametrize("method", RIVALS)
def test_every_rival_works_with_one_node(method: str) -> None:
    rows = run_method(small(nodes=1), method, Settings(local_steps=2)).rows
    assert rows[-1].gap_mean < rows[0].gap_mean
    assert rows[-1].consensus_distance == 0


@pytest.mark.parametrize("method", RIVALS)
def test_a_rival_that_diverges_is_measured_to_the_end(method: str) -> None:
    result = run_method(small(), method, Settings(learning_rate=1e6))
    assert len(result.rows) == 4
    assert not result.final.gap_mean < 1.0


@pytest.mark.parametrize("server", ["ideal", "as-node"])
@pytest.mark.parametrize("method", ["fedavg", "scaffold"])
def test_methods_with_a_server_run_with_either(method: str, server: str) -> None:
    result = run_method(small(), method, Settings(server=server))
    assert result.settings["server"] == server
    assert result.final.models_sent > 0


def test_what_settings_leave_open_is_filled_in() -> None:
    given = run_method(small(), "fedavg", Settings()).settings
    assert (given["learning_rate"], given["local_steps"]) == (SMALL.learning_rate, 5)
    given = run_method(small(), "fedavg", Settings(learning_rate=0.01, local_steps=2)).settings
    assert (given["learning_rate"], given["local_steps"]) == (0.01, 2)


def test_the_learning_rate_of_the_settings_is_the_one_that_is_used() -> None:
    slow = run_method(small(), "fedavg", Settings(learning_rate=1e-4))
    assert slow.final.gap_mean > run_method(small(), "fedavg", Settings()).final.gap_mean


def test_a_decaying_learning_rate_moves_less() -> None:
    steady = run_method(small(), "ad-psgd", Settings(learning_rate=0.001)).final
    decaying = run_method(small(decay=1.0), "ad-psgd", Settings(learning_rate=0.001)).final
    assert decaying.gap_mean > steady.gap_mean


@pytest.mark.parametrize(
    ("name", "meant"), [("fed-avg", "fedavg"), ("dpsgd", "d-psgd"), ("scafold", "scaffold")]
)
def test_an_unknown_method_is_answered_with_the_nearest(name: str, meant: str) -> None:
    with pytest.raises(ConfigError, match=f"method='{name}' is unknown.*did you mean '{meant}'"):
        run_method(small(), name, Settings())
    with pytest.raises(ConfigError, match=f"did you mean '{meant}'"):
        at_its_best(small(), name, Settings(), 0.1)


@pytest.mark.parametrize("method", sorted(set(LOCAL_STEPS) - {"digest"}))
def test_rivals_need_a_local_step(method: str) -> None:
    with pytest.raises(ConfigError, match="local_steps is 0: this method needs"):
        run_method(small(), method, Settings(local_steps=0))


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"learning_rate": 0.0}, "learning_rate is 0.0: it must be a number above 0"),
        ({"learning_rate": math.nan}, "learning_rate is nan"),
        ({"learning_rate": math.inf}, "learning_rate is inf"),
        ({"local_steps": -1}, "local_steps is -1: it must be a whole number of 0 or more"),
        ({"local_steps": 1.5}, "local_steps is 1.5"),
        ({"shards": 0}, "shards is 0"),
        ({"regions": -2}, "regions is -2"),
        ({"walk": "tours"}, "walk='tours' is unknown: .* did you mean 'tour'"),
        ({"server": "asnode"}, "server='asnode' is unknown: .* did you mean 'as-node'"),
        ({"gate": "yes"}, "gate is 'yes': it must be true or false"),
        ({"drift_correction": 1}, "drift_correction is 1: it must be true or false"),
    ],
)
def test_settings_name_the_field_that_is_wrong(fields: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError, match=line) as caught:
        Settings(**fields)
    assert "\n" not in str(caught.value)


def test_the_grid_is_the_same_for_all_methods_that_have_local_steps() -> None:
    base = Settings(server="as-node", local_steps=7)
    tried = GRID.of("fedavg", base)
    assert len(tried) == 12
    assert {(s.learning_rate, s.local_steps) for s in tried} == {
        (rate, steps) for rate in (0.25, 0.5, 1.0, 2.0) for steps in (1, 5, 20)
    }
    assert {s.server for s in tried} == {"as-node"}
    assert GRID.of("scaffold", base) == tried


def test_methods_without_local_steps_try_learning_rates_only() -> None:
    tried = GRID.of("centralised", Settings(local_steps=7))
    assert [(s.learning_rate, s.local_steps) for s in tried] == [
        (0.25, 7),
        (0.5, 7),
        (1.0, 7),
        (2.0, 7),
    ]


def best_rate(monkeypatch: pytest.MonkeyPatch, target: float) -> float | None:
    monkeypatch.setitem(METHODS, "toy", toy)
    return at_its_best(small(), "toy", Settings(), target).learning_rate


def test_the_soonest_to_the_target_is_best(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CURVE, 0.5, (0.4, 0.4, 0.15, 0.05))
    assert best_rate(monkeypatch, 0.16) == 1.0


def test_of_equals_the_lowest_gap_at_the_end_is_best(monkeypatch: pytest.MonkeyPatch) -> None:
    assert best_rate(monkeypatch, 0.16) == 1.0


def test_where_none_reaches_the_target_the_lowest_gap_is_best(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert best_rate(monkeypatch, 0.01) == 0.25


@pytest.mark.parametrize("gap", [math.nan, math.inf])
def test_what_diverges_is_never_best(monkeypatch: pytest.MonkeyPatch, gap: float) -> None:
    monkeypatch.setitem(CURVE, 0.25, (0.4, 0.3, 0.2, gap))
    assert best_rate(monkeypatch, 0.01) == 1.0


def test_the_search_tells_its_progress_as_a_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "toy", toy)
    told: list[float] = []
    at_its_best(small(), "toy", Settings(), 0.1, told.append)
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1.0)
    assert len(told) == 16


@pytest.mark.parametrize("target", [0.0, -1.0, math.nan, math.inf])
def test_a_target_must_be_above_zero(target: float) -> None:
    with pytest.raises(ConfigError, match="target_gap is"):
        at_its_best(small(), "fedavg", Settings(), target)
