"""A session over NumPy arrays by name, for any framework or none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from flwr.app import Array, ArrayRecord

from flwr_digest.clients.calls import PATIENCE_SHARE
from flwr_digest.clients.loop import DigestSession, Loop
from flwr_digest.clients.participation import Participation, Training
from flwr_digest.clients.record import NodeRecord, named
from flwr_digest.clients.returned import Named, check_same, matched
from flwr_digest.clients.stepping import StepHandoff
from flwr_digest.errors import ConfigError

Arrays = dict[str, npt.NDArray[Any]]
Flat = npt.NDArray[np.float32]


class Holder(Protocol):
    """Holds the model of a session over arrays."""

    def parameters(self, patience_seconds: float) -> Arrays:
        """Return a copy of the freshest model."""

    def commit(self, model: Named, steps: int) -> None:
        """Take what the user has made of it in so many steps."""

    def corrected(self, gradients: Named) -> Arrays:
        """Note the gradients of one step, and return them corrected."""


class Alone:
    """The model outside a DIGEST run: as the user left it, of whatever kind its arrays are."""

    def __init__(self, arrays: ArrayRecord) -> None:
        self._values: Named = {name: array.numpy() for name, array in arrays.items()}

    def parameters(self, patience_seconds: float) -> Arrays:
        """Return a copy of the model."""
        return {name: value.copy() for name, value in self._values.items()}

    def commit(self, model: Named, steps: int) -> None:
        """Go on from this model."""
        check_same(model, self._values)
        self._values = {
            name: np.array(model[name], value.dtype) for name, value in self._values.items()
        }

    def corrected(self, gradients: Named) -> Arrays:
        """Return the gradients as they are."""
        return dict(gradients)


class InRun:
    """The model in a DIGEST run: streams change it between two steps. It is a `Training`, too.

    Parameters
    ----------
    record : NodeRecord
        What the node remembers of the run.
    """

    def __init__(self, record: NodeRecord) -> None:
        self.trainer = StepHandoff(record.layout, record.model)
        self._record = record
        self._rest: Named = record.rest
        self._last = record.model  # as the user had it last: given, or reported
        self._noted: Flat | None = None
        self._noted_steps = 0

    # --- the user's side --------------------------------------------------------------------------

    def parameters(self, patience_seconds: float) -> Arrays:
        """Return a copy of the freshest model.

        Where a stream takes up the last steps just now, wait for it, at most `patience_seconds`.
        """
        self._last = self.trainer.model(patience_seconds)
        return named(self._record, self._last, self._rest, copy=True)

    def commit(self, model: Named, steps: int) -> None:
        """Hand in what the user has made of the model since it was last given, or handed in."""
        if self._noted_steps != steps and self.trainer.drift_correction:
            raise ConfigError(
                f"drift correction acts at every local step: {steps} were reported, after "
                f"{self._noted_steps} calls of corrected(gradients); call it once for each"
            )
        returned = matched(model, self._record, "the training loop")
        displacement = returned.model - self._last
        self._rest, self._last = returned.rest, returned.model
        noted, self._noted, self._noted_steps = self._noted, None, 0
        self.trainer.commit_steps(displacement, steps, noted)

    def corrected(self, gradients: Named) -> Arrays:
        """Note the gradients of one step, and return them corrected."""
        if not self.trainer.drift_correction:
            return dict(gradients)
        correction = self.trainer.correction
        flat = np.zeros_like(correction)
        places = {entry.name: (entry.shape, place) for entry, place in self._record.layout.parts()}
        result: Arrays = {}
        for name, gradient in gradients.items():
            shape, place = _place_of(name, np.shape(gradient), places)
            flat[place] = np.ravel(gradient)
            result[name] = np.add(gradient, correction[place].reshape(shape))
        self._noted = flat if self._noted is None else self._noted + flat
        self._noted_steps += 1
        return result

    # --- what Participation needs of a training ---------------------------------------------------

    def begin(self) -> None:
        """Begin nothing: the loop is the user's."""

    def check(self) -> None:
        """Check nothing: each report was checked."""

    def end(self) -> None:
        """Leave nothing behind: the arrays are copies."""

    def settle(self) -> None:
        """Take in nothing: the streams' news is taken in as it comes."""

    @property
    def model(self) -> Flat:
        """A copy of the node's model, shape ``[d]``."""
        return self.trainer.model()

    @property
    def rest(self) -> Named:
        """The arrays that do not travel: as last reported."""
        return self._rest


class ArraySession(DigestSession):
    """A session whose model is NumPy arrays by name. Made by `digest_session`, which see."""

    def __init__(
        self, loop: Loop, participation: Participation | None, holder: Alone | InRun
    ) -> None:
        super().__init__(loop, participation)
        self._holder = holder

    def parameters(self) -> Arrays:
        """Return the freshest model as arrays by name, in the order of the message.

        They are your own copy: a stream that visits meanwhile changes them no more. So ask again
        after each `stepped`, or the news of the others waits.
        """
        return self._holder.parameters(PATIENCE_SHARE * self._loop.longest_seconds)

    def corrected(self, gradients: Named) -> Arrays:
        """Return the gradients of one local step as the step is to take them.

        Call it once for each local step, with the gradients at the model that the step starts from.
        Without drift correction, and outside a DIGEST run, they come back as they are.

        Parameters
        ----------
        gradients : mapping of str to array
            By the names of `parameters`; those of arrays without a gradient are left out. Not
            scaled by the learning rate.

        Raises
        ------
        ConfigError
            A name or a shape that the model does not have.

        Notes
        -----
        The step must be plain SGD, or SGD with momentum, on what comes back: rules that rescale
        gradients (Adam, say) would rescale the correction, too, so that it no longer cancels.
        """
        return self._holder.corrected(gradients)

    def stepped(self, model: Named, *, steps: int = 1) -> None:
        """Say that `steps` local steps have made this of the model.

        Parameters
        ----------
        model : mapping of str to array
            All arrays of `parameters`, trained. What counts is by how much they differ from the
            arrays that `parameters` returned last, or that were reported last, if that is later.
        steps : int
            How many local steps that took; with drift correction each needs its `corrected`.

        Raises
        ------
        ConfigError
            Other arrays than those given; or local steps whose gradients were not corrected,
            though the run is one with drift correction.
        DigestError
            The overlay has failed, or the training has diverged.
        """
        self._check_report(steps)
        self._holder.commit(model, steps)
        self._loop.made(steps)

    def _training(self) -> Training:
        assert isinstance(self._holder, InRun)
        return self._holder

    def _arrays(self) -> ArrayRecord:
        values = self._holder.parameters(0.0)
        return ArrayRecord({k: Array(np.asarray(v, order="C")) for k, v in values.items()})


def _place_of(
    name: str, shape: tuple[int, ...], places: Mapping[str, tuple[tuple[int, ...], slice]]
) -> tuple[tuple[int, ...], slice]:
    if name not in places:
        raise ConfigError(f"a gradient of {name!r}: there is no such array of floats in the model")
    if shape != places[name][0]:
        raise ConfigError(f"the gradient of {name} has shape {shape}, the array {places[name][0]}")
    return places[name]
