"""Frequency embeddings as subsets of the half lattice."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inrcodec.errors import CorruptFile
from inrcodec.lattice import decode, encode, half_lattice


def test_the_order_is_by_size_then_lexicographic() -> None:
    assert half_lattice(1, 2).tolist() == [[0, 1], [1, -1], [1, 0], [1, 1]]
    assert half_lattice(2, 1).tolist() == [[1], [2]]
    k = half_lattice(5, 3)
    assert len(k) == (11**3 - 1) // 2 and (np.diff(np.abs(k).max(axis=1)) >= 0).all()


@given(st.integers(1, 3), st.integers(1, 9), st.data())
@settings(max_examples=60, deadline=None)
def test_any_subset_survives(d: int, bound: int, data: st.DataObject) -> None:
    whole = half_lattice(bound, d)
    n = data.draw(st.integers(1, min(40, len(whole))))
    chosen = np.sort(np.random.default_rng(data.draw(st.integers(0, 99))).choice(len(whole), n, replace=False))
    points = whole[chosen]
    assert (decode(encode(points), n, d) == points).all()


def test_size_is_near_the_information() -> None:
    whole = half_lattice(60, 2)
    chosen = np.sort(np.random.default_rng(0).choice(len(whole), 256, replace=False))
    bits = 8 * len(encode(whole[chosen]))
    ideal = (math.lgamma(len(whole) + 1) - math.lgamma(257) - math.lgamma(len(whole) - 255)) / math.log(2)
    assert bits < ideal + 256 + 24


@pytest.mark.parametrize("points", [[[0, 0]], [[-1, 0]], [[0, -1]], [[1, 0], [1, 0]], [[1, 0], [0, 1]], [[256, 0]]])
def test_other_points_are_refused(points: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="frequencies"):
        encode(np.array(points))


def test_damage_is_seen() -> None:
    points = half_lattice(9, 2)[[0, 5, 17, 80, 170]]
    data = encode(points)
    assert data.hex() == "09040117ddf480"
    for broken in (b"", data[:1], data[:-1], data + b"\0", b"\0" + data[1:], bytes([data[0], 99]) + data[2:], b"\xff" + data[1:3]):
        with pytest.raises(CorruptFile, match="lattice"):
            decode(broken, 5, 2)
    for i in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[i // 8] ^= 1 << (i % 8)
        try:
            found = decode(bytes(flipped), 5, 2)
        except CorruptFile:
            continue
        assert found.shape == (5, 2)
    with pytest.raises(CorruptFile, match="at most"):
        decode(b"\xff\x00\x00", 1, 4)
