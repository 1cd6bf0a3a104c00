"""Values with their derivatives by some coordinates, so that a function written once for arrays also gives derivatives: forward mode.

What is here is what networks/waves.py needs of an array library.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Sloped(NamedTuple):
    """Values (n, h) and their derivatives by the coordinates (d, n, h)."""

    value: Array
    slope: Array


class Dual:
    """A Sloped with arithmetic; numbers beside it are constants."""

    __array_ufunc__ = None  # a NumPy number beside a dual leaves the operation to it

    def __init__(self, value: Array, slope: Array) -> None:
        self.value, self.slope = value, slope

    def __add__(self, other: "Dual | float") -> "Dual":
        if isinstance(other, Dual):
            return Dual(self.value + other.value, self.slope + other.slope)
        return Dual(self.value + other, self.slope)

    __radd__ = __add__

    def __neg__(self) -> "Dual":
        return Dual(-self.value, -self.slope)

    def __mul__(self, other: "Dual | float") -> "Dual":
        if isinstance(other, Dual):
            return Dual(self.value * other.value, self.slope * other.value + self.value * other.slope)
        return Dual(self.value * other, self.slope * other)

    __rmul__ = __mul__

    def __pow__(self, power: int) -> "Dual":
        return Dual(self.value**power, power * self.value ** (power - 1) * self.slope)

    def __abs__(self) -> "Dual":
        return Dual(np.abs(self.value), np.sign(self.value) * self.slope)


def exp(x: Dual) -> Dual:
    value = np.exp(x.value)
    return Dual(value, value * x.slope)


def sin(x: Dual) -> Dual:
    return Dual(np.sin(x.value), np.cos(x.value) * x.slope)


def cos(x: Dual) -> Dual:
    return Dual(np.cos(x.value), -np.sin(x.value) * x.slope)


def hsplit(x: Dual, sections: int) -> list[Dual]:
    """Equal parts of the columns."""
    parts = zip(np.split(x.value, sections, axis=1), np.split(x.slope, sections, axis=2), strict=True)
    return [Dual(value, slope) for value, slope in parts]


def concatenate(parts: Sequence[Dual], axis: int) -> Dual:
    """Side by side; `axis` is 1."""
    assert axis == 1
    return Dual(np.concatenate([x.value for x in parts], axis=1), np.concatenate([x.slope for x in parts], axis=2))
