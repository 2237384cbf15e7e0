"""The session: for clients that are written from scratch, with a training loop of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from flwr.app import ArrayRecord, Message

from flwr_digest.clients.active import current
from flwr_digest.clients.array_session import Alone, ArraySession, InRun
from flwr_digest.clients.loop import Loop
from flwr_digest.core.plan import RECORD
from flwr_digest.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn

    from flwr_digest.clients.module_session import ModuleSession


@overload
def digest_session(message: Message, module: None = None, *, steps: int) -> ArraySession: ...


@overload
def digest_session(message: Message, module: nn.Module, *, steps: int) -> ModuleSession: ...


def digest_session(
    message: Message, module: nn.Module | None = None, *, steps: int
) -> ArraySession | ModuleSession:
    """Return the session in which a train handler trains, step by step, in its own way.

    Use it as a context manager, as the last thing before training. Entering waits until the
    neighbors have come as far. Inside, streams visit between any two steps. Leaving stays until all
    have finished: then the model is the one that the last tour has brought.

    Outside a DIGEST run the same code trains `steps` local steps from the model that the message
    has brought, and nothing else happens: the client serves FedAvg as it is.

    Parameters
    ----------
    message : Message
        As the train handler got it, with one ArrayRecord.
    module : torch.nn.Module, optional
        Trained in place, on its device: it is loaded with the arrays of the message, and its
        parameters become views of one flat vector. Without it the model is NumPy arrays by name.
    steps : int
        How many local steps a round has, unless ``Digest(steps_per_round=...)`` says otherwise.

    Returns
    -------
    ArraySession or ModuleSession
        The latter with `module`.

    Raises
    ------
    flwr_digest.errors.ConfigError
        No such number of steps; a message without its model; a ClientApp without `digest_mod` in a
        DIGEST run; a second session in one handler; another module than the initial model.

    Examples
    --------
    A whole client, in NumPy: logistic regression with drift correction, where the run has it.

    >>> import numpy as np
    >>> from flwr.app import Context, Message, MetricRecord, RecordDict
    >>> from flwr.clientapp import ClientApp
    >>> from flwr_digest.clients import digest_mod, digest_session
    >>>
    >>> def load(context: Context) -> tuple[np.ndarray, np.ndarray]:
    ...     rng = np.random.default_rng(int(context.node_config["partition-id"]))
    ...     x = rng.normal(size=(64, 4))
    ...     return x, (x.sum(axis=1) > 0).astype(float)
    >>>
    >>> def errors(w: dict[str, np.ndarray], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    ...     return 1 / (1 + np.exp(-(x @ w["weight"] + w["bias"]))) - y
    >>>
    >>> app = ClientApp(mods=[digest_mod])
    >>>
    >>> @app.train()
    ... def train(message: Message, context: Context) -> Message:
    ...     x, y = load(context)
    ...     with digest_session(message, steps=200) as session:
    ...         while session.going_on:
    ...             w = session.parameters()  # the freshest model, your own copy
    ...             e = errors(w, x, y)
    ...             g = session.corrected({"weight": x.T @ e / len(y), "bias": e.mean()})
    ...             session.stepped({name: w[name] - 0.5 * g[name] for name in w})
    ...     return session.reply({"num-examples": len(y)})
    >>>
    >>> @app.evaluate()  # the message brings this node's own freshest model
    ... def evaluate(message: Message, context: Context) -> Message:
    ...     x, y = load(context)
    ...     w = {name: a.numpy() for name, a in message.content["arrays"].items()}
    ...     right = float((np.abs(errors(w, x, y)) < 0.5).mean())
    ...     metrics = MetricRecord({"accuracy": right, "num-examples": len(y)})
    ...     return Message(RecordDict({"metrics": metrics}), reply_to=message)
    """
    _check_steps(steps)
    if RECORD in message.content:
        raise ConfigError("this is a DIGEST run: make the ClientApp with mods=[digest_mod]")
    key, arrays = _model_in(message)
    participation = current.get()
    plan = None if participation is None else participation.plan
    loop = Loop(message=message, key=key, steps=steps, plan=plan)
    if module is not None:
        from flwr_digest.clients.module_session import ModuleSession  # needs torch

        return ModuleSession(loop, participation, arrays, module)
    if participation is None:
        return ArraySession(loop, None, Alone(arrays))
    return ArraySession(loop, participation, InRun(participation.before))


def _check_steps(steps: object) -> None:
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ConfigError(f"digest_session(steps={steps!r}): it must be a whole number, 1 or more")


def _model_in(message: Message) -> tuple[str, ArrayRecord]:
    records = message.content.array_records
    if len(records) == 1:
        return next(iter(records.items()))
    found = ", ".join(sorted(records)) or "none"
    raise ConfigError(
        "digest_session needs the message as the train handler got it, with the model as its one "
        f"ArrayRecord; ArrayRecords in it: {found}"
    )
