"""Softmax and cross entropy, against the textbook's formulas."""

from __future__ import annotations

import numpy as np
import pytest

from flwr_digest.learning.cross_entropy import errors_in_place, losses_and_hits


def test_errors_are_probabilities_minus_the_labels_over_the_width() -> None:
    logits = np.log(np.array([[[1.0, 2.0, 1.0], [1.0, 1.0, 2.0]]]))
    errors_in_place(logits, np.array([[1, 0]]))
    assert logits == pytest.approx(np.array([[[0.125, -0.25, 0.125], [-0.375, 0.125, 0.25]]]))


def test_errors_of_huge_logits_are_finite() -> None:
    logits = np.array([[[1e30, -1e30, 0.0]]], dtype=np.float32)
    errors_in_place(logits, np.array([[2]]))
    assert logits.tolist() == [[[1.0, 0.0, -1.0]]]


def test_losses_are_mean_negative_log_likelihoods() -> None:
    likelihoods = np.array([[[0.5, 0.25], [0.25, 0.25], [0.25, 0.5]]])
    losses, hits = losses_and_hits(np.log(likelihoods), np.array([0, 1]))
    assert losses == pytest.approx([(np.log(2) + np.log(4)) / 2])
    assert hits.tolist() == [0.5]
    assert losses.dtype == hits.dtype == np.float64


def test_losses_of_huge_logits_are_finite() -> None:
    logits = np.array([[[1e30], [-1e30]]], dtype=np.float32)
    losses, hits = losses_and_hits(logits, np.array([0]))
    assert (losses.tolist(), hits.tolist()) == ([0.0], [1.0])


def test_of_equal_classes_the_first_is_meant() -> None:
    _, hits = losses_and_hits(np.zeros((1, 4, 8)), np.array([0, 0, 1, 2, 3, 3, 3, 3]))
    assert hits.tolist() == [0.25]


def test_hits_agree_with_argmax() -> None:
    draws = np.random.default_rng(0)
    y = draws.integers(0, 10, 200)
    for logits in (draws.standard_normal((5, 10, 200)), draws.integers(0, 4, (5, 10, 200)) * 1.0):
        expected = (logits.argmax(axis=1) == y).mean(axis=1)
        assert losses_and_hits(logits, y)[1].tolist() == expected.tolist()
