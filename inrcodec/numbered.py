"""Sequences whose items are made when they are taken."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import TypeVar, overload

T = TypeVar("T", covariant=True)


class Numbered(Sequence[T]):
    """Items by number, of which none is kept."""

    @abstractmethod
    def item(self, number: int) -> T:
        """The item of a number from 0 on, below the length."""

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...
    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        numbers = range(len(self))[index]
        return self.item(numbers) if isinstance(numbers, int) else tuple(self.item(number) for number in numbers)
