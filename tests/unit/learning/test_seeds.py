"""One seed, many independent draws."""

from __future__ import annotations

import numpy as np
import pytest

from flwr_digest.errors import ConfigError
from flwr_digest.learning.seeds import Purpose, generator


def test_the_same_arguments_draw_the_same() -> None:
    one, other = (generator(3, Purpose.BATCHES, 5).random(4) for _ in range(2))
    assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("seed", [0, 2**32 - 1, 2**32, 2**70])
def test_a_draw_is_that_of_the_numbers_in_order(seed: int) -> None:
    expected = np.random.default_rng([seed, int(Purpose.BATCHES), 5, 2**32 - 1])
    assert generator(seed, Purpose.BATCHES, 5, 2**32 - 1).random() == expected.random()


def test_each_argument_matters() -> None:
    draws = [
        generator(3, Purpose.BATCHES, 5),
        generator(4, Purpose.BATCHES, 5),
        generator(3, Purpose.SPLIT, 5),
        generator(3, Purpose.BATCHES, 6),
        generator(3, Purpose.BATCHES, 5, 1),
    ]
    assert len({one.random() for one in draws}) == len(draws)


def test_purposes_differ() -> None:
    assert len({int(purpose) for purpose in Purpose}) == len(Purpose.__members__)


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        generator(-1, Purpose.SPLIT)
    assert str(caught.value) == "seed is -1: it must be a whole number of 0 or more"
