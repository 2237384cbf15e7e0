"""The search for circular references is paused, and goes on as it was."""

from __future__ import annotations

import gc

import pytest

from flwr_digest.sim.digest.collector import paused_collector


class CrashedError(Exception):
    pass


def test_the_search_is_paused_and_goes_on_after_it() -> None:
    assert gc.isenabled()
    with paused_collector():
        assert not gc.isenabled()
        with paused_collector():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_the_search_goes_on_after_a_failure() -> None:
    with pytest.raises(CrashedError), paused_collector():
        raise CrashedError
    assert gc.isenabled()
