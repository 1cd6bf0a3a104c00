"""Sequences whose items are made when they are taken."""

from dataclasses import dataclass

import pytest

from inrcodec.numbered import Numbered


@dataclass(frozen=True)
class Squares(Numbered[int]):
    count: int

    def __len__(self) -> int:
        return self.count

    def item(self, number: int) -> int:
        return number**2


def test_items_slices_and_ends() -> None:
    found = Squares(4)
    assert (found[2], found[-1], found[1:], found[::-2], list(found)) == (4, 9, (1, 4, 9), (9, 1), [0, 1, 4, 9])
    with pytest.raises(IndexError):
        found[4]
