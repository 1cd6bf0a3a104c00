"""Subsets of a half lattice: order, round trips, size, and every kind of damage."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inrcodec.errors import CorruptFile
from inrcodec.lattice import decode, encode, half_lattice


def subset(rng: np.random.Generator, bound: int, d: int, n: int) -> np.ndarray:
    points = half_lattice(bound, d)
    return points[np.sort(rng.choice(len(points), n, replace=False))]


@pytest.mark.parametrize(("bound", "d"), [(1, 1), (5, 1), (1, 2), (3, 2), (1, 3), (2, 3), (1, 4)])
def test_the_half_lattice_is_its_definition(bound: int, d: int) -> None:
    box = itertools.product(range(-bound, bound + 1), repeat=d)
    half = [k for k in box if next((c for c in k if c), 0) > 0]
    expected = sorted(half, key=lambda k: (max(map(abs, k)), k))
    assert [tuple(k) for k in half_lattice(bound, d).tolist()] == expected
    assert len(expected) == ((2 * bound + 1) ** d - 1) // 2


def test_a_larger_bound_keeps_the_order() -> None:
    small = half_lattice(2, 3)
    assert (half_lattice(4, 3)[: len(small)] == small).all()


@given(st.integers(1, 6), st.integers(1, 3), st.randoms(use_true_random=False))
def test_subsets_come_back(bound: int, d: int, random: object) -> None:
    rng = np.random.default_rng(random.randrange(1 << 30))  # type: ignore[attr-defined]
    size = ((2 * bound + 1) ** d - 1) // 2
    points = subset(rng, bound, d, int(rng.integers(1, size + 1)))
    found = decode(encode(points), *points.shape)
    assert found.dtype == np.int32
    assert (found == points).all()


@pytest.mark.parametrize(("bound", "d", "n"), [(40, 3, 256), (40, 2, 96), (20, 3, 1000), (255, 2, 128), (255, 1, 20)])
def test_size_is_close_to_that_of_the_set(bound: int, d: int, n: int) -> None:
    points = subset(np.random.default_rng(0), bound, d, n)
    bits = 8 * (len(encode(points)) - 2)
    ideal = math.log2(math.comb(((2 * bound + 1) ** d - 1) // 2, n))
    assert ideal <= bits <= ideal + n + 8


def test_golden_bytes() -> None:
    near = np.array([[0, 1], [1, -1], [1, 1], [2, 0]])  # indices 0, 1, 3, 9: gaps 0, 0, 1, 5 with parameter 0: 0 0 10 111110
    assert encode(near).hex() == "02002f80"
    far = np.array([[1, 0], [4, 3]])  # indices 2, 38: gaps 2, 35 with parameter 3: 0 010, 11110 011
    assert encode(far).hex() == "04032f30"
    assert (decode(bytes.fromhex("04032f30"), 2, 2) == far).all()


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([[0, 0]], r"max\|k\| in 1\.\.255"),
        ([[256, 0]], r"max\|k\| in 1\.\.255"),
        ([[100, 0, 0, 0]], "lattice of at most 16777216 points"),
        ([[1, 0], [1, 0]], "distinct vectors ordered"),
        ([[1, 0], [0, 1]], "distinct vectors ordered"),
        ([[0, -1], [1, 0]], "first nonzero component is positive"),
        ([[0, 0], [1, 0]], "first nonzero component is positive"),
    ],
)
def test_other_points_are_refused(points: list[list[int]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encode(np.array(points))


def test_truncations_and_appended_bytes_are_seen() -> None:
    points = subset(np.random.default_rng(1), 12, 2, 20)
    data = encode(points)
    for end in range(len(data)):
        with pytest.raises(CorruptFile, match="lattice"):
            decode(data[:end], *points.shape)
    with pytest.raises(CorruptFile, match="padding"):
        decode(data + b"\0", *points.shape)
    for n in (19, 40):
        with pytest.raises(CorruptFile):
            decode(data, n, 2)


def test_flipped_bits_are_an_error_or_another_valid_subset() -> None:
    points = subset(np.random.default_rng(2), 12, 2, 20)
    data = encode(points)
    refused = 0
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            found = decode(bytes(damaged), *points.shape)
        except CorruptFile:
            refused += 1
            continue
        assert len(np.unique(found, axis=0)) == 20
    assert refused


@pytest.mark.parametrize(
    ("data", "n", "d", "message"),
    [
        (b"", 1, 1, "at least 2 bytes, got 0"),
        (b"\x00\x00\x00", 1, 2, "bound >= 1"),
        (b"\xff\x00\x00", 1, 4, "at most 16777216 points"),
        (b"\x01\x00\x00", 1, 1 << 28, "at most 15 dimensions, got 268435456"),
        (b"\x01\x19\x00\x00\x00\x00", 1, 2, "parameter <= 24, got 1 and 25"),
        (b"\x01\x00\xf0", 1, 2, "index: expected below 4, got 4"),
        (b"\x01\x00\x00", 5, 2, "index: expected below 4, got 4"),
        (b"\x01\x00\xff", 1, 2, "the data ends after 0"),
        (b"\x01\x00\x01", 1, 2, "zero padding"),
        (b"\x01\x00\x00" + bytes(10), 1, 2, "zero padding"),
    ],
)
def test_damage_is_named(data: bytes, n: int, d: int, message: str) -> None:
    with pytest.raises(CorruptFile, match=message):
        decode(data, n, d)


@given(st.binary(max_size=40), st.integers(0, 30), st.integers(1, 3))
def test_arbitrary_bytes_are_never_another_exception(data: bytes, n: int, d: int) -> None:
    if data and (2 * data[0] + 1) ** d > 1 << 20:
        data = b"\x10" + data[1:]
    try:
        found = decode(data, n, d)
    except CorruptFile:
        return
    assert found.shape == (n, d)
    if n:
        assert (decode(encode(found), n, d) == found).all()
