"""Vectors that are computed later: they note what is to be done, and do it when all is known.

The core only adds, subtracts, scales and rounds vectors and asks for their shape, see
`flwr_digest.core.vector`. So it can run ahead on vectors whose values are not known yet.
"""

from __future__ import annotations

import numpy as np

from flwr_digest.core.rounding import rounded
from flwr_digest.errors import LocalProtocolError
from flwr_digest.learning.arrays import Floats


class Waiter:
    """Whoever waits for vectors to be known.

    Attributes
    ----------
    missing : int
        How many of them are not known yet.
    """

    __slots__ = ("missing",)

    missing: int

    def all_known(self) -> Later | None:
        """Go on, as nothing is missing; return the vector that is known by this, if any."""
        raise NotImplementedError


class Later(Waiter):
    """A vector whose value may not be known yet.

    Attributes
    ----------
    shape : tuple of int
        ``(d,)``: it has d values.
    value : numpy.ndarray or None
        The values, never changed in place; None while they are not known.
    """

    __slots__ = ("_waiters", "shape", "value")

    def __init__(self, shape: tuple[int, ...], value: Floats | None = None) -> None:
        self.missing = 0
        self.shape = shape
        self.value = value
        self._waiters: list[Waiter] = []

    def __add__(self, other: Later) -> Later:
        """Return the sum, once both are known."""
        return _Sum(self, other)

    def __sub__(self, other: Later) -> Later:
        """Return the difference, once both are known."""
        return _Difference(self, other)

    def __rmul__(self, factor: float) -> Later:
        """Return the multiple, once the vector is known."""
        return _Multiple(factor, self)

    def known(self) -> Floats:
        """Return the value.

        Raises
        ------
        LocalProtocolError
            It is not known yet.
        """
        if self.value is None:
            raise LocalProtocolError("a vector was asked for before it was computed")
        return self.value

    def tell(self, waiter: Waiter) -> None:
        """Let `waiter` wait for the value, if it is not known yet."""
        if self.value is None:
            waiter.missing += 1
            self._waiters.append(waiter)

    def become(self, value: Floats) -> None:
        """Take a value, and compute all that waited for it and misses nothing else.

        A vector that is known refers to no other, so what nobody can ask for any more is freed.
        """
        self.value = value
        known = [self]
        while known:  # no recursion: chains can be long
            vector = known.pop()
            waiters, vector._waiters = vector._waiters, []
            for waiter in waiters:
                waiter.missing -= 1
                if not waiter.missing and (following := waiter.all_known()):
                    known.append(following)


class _Combination(Later):
    """What is computed of two others. Written for speed: most of a run's vectors are such."""

    __slots__ = ("_one", "_other")

    _one: Later | None
    _other: Later | None

    def __init__(self, one: Later, other: Later) -> None:
        self.shape = one.shape
        self.value = None
        self._waiters = []
        self._one, self._other = one, other
        missing = 0
        if one.value is None:
            one._waiters.append(self)
            missing = 1
        if other.value is None:
            other._waiters.append(self)
            missing += 1
        self.missing = missing
        if not missing:
            self.all_known()


class _Sum(_Combination):
    __slots__ = ()

    def all_known(self) -> Later:
        self.value = self._one.value + self._other.value  # type: ignore[union-attr,operator]
        self._one = self._other = None
        return self


class _Difference(_Combination):
    __slots__ = ()

    def all_known(self) -> Later:
        self.value = self._one.value - self._other.value  # type: ignore[union-attr,operator]
        self._one = self._other = None
        return self


class _Multiple(Later):
    __slots__ = ("_factor", "_of")

    def __init__(self, factor: float, of: Later) -> None:
        super().__init__(of.shape)
        self._factor = factor
        self._of: Later | None = of
        of.tell(self)
        if not self.missing:
            self.all_known()

    def all_known(self) -> Later:
        self.value = np.multiply(self._factor, self._of.value)  # type: ignore[union-attr,arg-type]
        self._of = None
        return self


class _Rounded(Later):
    __slots__ = ("_of",)

    def __init__(self, of: Later) -> None:
        super().__init__(of.shape)
        self._of: Later | None = of
        of.tell(self)
        if not self.missing:
            self.all_known()

    def all_known(self) -> Later:
        self.value = rounded(self._of.value)  # type: ignore[union-attr,arg-type]
        self._of = None
        return self


rounded.register(Later, _Rounded)  # type: ignore[arg-type] # where this is a vector, see above
