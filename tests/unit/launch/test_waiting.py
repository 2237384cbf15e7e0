from __future__ import annotations

from itertools import count

import pytest

from flwr_digest.errors import ConfigError, DigestError
from flwr_digest.launch.waiting import wait_until


def test_asks_until_the_condition_holds() -> None:
    asked = count(1)

    wait_until(lambda: next(asked) == 4, timeout_seconds=10, what="the fourth question")

    assert next(asked) == 5


def test_asks_once_even_without_time() -> None:
    wait_until(lambda: True, timeout_seconds=0, what="nothing")


def test_says_what_was_missing() -> None:
    with pytest.raises(DigestError, match=r"^waited 0\.05 s in vain for a miracle$"):
        wait_until(lambda: False, timeout_seconds=0.05, what="a miracle")


def test_the_condition_may_give_up() -> None:
    def broken() -> bool:
        raise ConfigError("it can never hold")

    with pytest.raises(ConfigError, match="it can never hold"):
        wait_until(broken, timeout_seconds=10, what="nothing")
