"""The least loss that a task allows on its data: what every gap is measured from."""

from __future__ import annotations

import numpy as np

from flwr_digest.errors import ConfigError
from flwr_digest.learning.arrays import Doubles, Floats, Integers
from flwr_digest.learning.least_squares import LeastSquares
from flwr_digest.learning.mlp import Mlp
from flwr_digest.learning.tasks import Task

_MOST_ITERATIONS = 3000
"""Of L-BFGS. Measured: softmax regression on the digits is done after 134."""

_MOST_ITERATIONS_NETWORK = 400
"""Of L-BFGS for a network. Measured on the digits: 2 s; 2,600 more lower the loss by 0.0007."""


def optimum(task: Task, x: Floats, y: Integers, *, seed: int = 0) -> float:
    """Return the least loss on the data, computed in float64.

    Exact for least squares. For softmax regression, which is convex, L-BFGS on all data stops
    where no component of the gradient is above 1e-8: with regularization 1e-3 less than 1e-10 above
    the least. For a network it is the loss after 400 iterations of full-batch training with L-BFGS
    from the common start: a reference, not an optimum, so that a gap may come out below 0.

    Parameters
    ----------
    task : Task
        What is learned.
    x : numpy.ndarray
        Shape ``[m, f]``.
    y : numpy.ndarray
        Shape ``[m]``, int64.
    seed : int
        Decides the start, where it is drawn.

    Raises
    ------
    ConfigError
        SciPy or threadpoolctl is missing (scikit-learn brings both).
    """
    samples = x.astype(np.float64)
    if isinstance(task, LeastSquares):
        best = task.optimum(samples, y)
    else:
        best = _minimize(task, samples, y, seed)
    losses, _ = task.evaluate(best[np.newaxis], samples, y)
    return float(losses[0])


def _minimize(task: Task, x: Doubles, y: Integers, seed: int) -> Doubles:
    """Return where L-BFGS ends, ``[d]``."""
    try:
        from scipy.optimize import minimize
        from threadpoolctl import threadpool_limits
    except ImportError as error:
        raise ConfigError(f"{error.name} is missing: install `flwr-digest[sim]`") from error

    def loss_and_gradient(model: Doubles) -> tuple[float, Doubles]:
        losses, _ = task.evaluate(model[np.newaxis], x, y)
        gradients = task.gradients(model[np.newaxis], x[np.newaxis], y[np.newaxis])
        return float(losses[0]), gradients[0].astype(np.float64)

    iterations = _MOST_ITERATIONS_NETWORK if isinstance(task, Mlp) else _MOST_ITERATIONS
    # SciPy and NumPy each bring a pool of threads, and the two fight for the cores: on 2 cores the
    # network takes 28 s with them and 2 s without (measured).
    with threadpool_limits(limits=1, user_api="blas"):
        found = minimize(
            loss_and_gradient,
            task.initial(seed).astype(np.float64),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": iterations, "ftol": 1e-14, "gtol": 1e-8},
        )
    best: Doubles = found.x
    return best
