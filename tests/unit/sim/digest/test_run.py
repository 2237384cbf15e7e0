"""DIGEST as one method among others."""

from __future__ import annotations

import gc

import pytest

from flwr_digest.errors import ConfigError
from flwr_digest.sim.digest.run import run_digest
from tests.unit.sim.digest.builders import mean_problem, recorder_of, settings


def test_all_measurements_are_made() -> None:
    problem = mean_problem()
    recorder = recorder_of(problem)
    run_digest(problem, settings(shards=2), recorder)
    assert len(recorder.rows) == problem.scenario.measurements
    assert recorder.next_due is None
    assert gc.isenabled()


def test_settings_that_do_not_fit_are_refused() -> None:
    problem = mean_problem()
    with pytest.raises(ConfigError, match="shards is 99"):
        run_digest(problem, settings(shards=99), recorder_of(problem))
