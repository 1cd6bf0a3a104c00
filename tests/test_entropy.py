"""Integer tables and rANS: round trips, rate, golden bytes, damage."""

import constriction
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inrcodec import spec
from inrcodec.entropy import best_model, cost_bits, decode, encode, table
from inrcodec.errors import CorruptFile

ANY = np.random.default_rng(0)


def roundtrip(symbols: np.ndarray, ids: np.ndarray, models: list[tuple[int, int]]) -> bytes:
    data = encode(symbols, ids, models)
    found = decode(data, ids, models)
    assert found.dtype == np.int32 and (found == symbols).all()
    return data


def test_every_table_is_a_distribution_with_room_for_every_symbol() -> None:
    for z in range(spec.ZERO_CODES):
        for t in range(spec.DECAY_CODES):
            frequencies = table((z, t))
            assert frequencies.sum() == 1 << spec.RANS_PRECISION and frequencies.min() >= 1
            assert len(frequencies) % 2 == 0 and len(frequencies) >= 4
            assert (frequencies[1:-1:2] == frequencies[2:-1:2]).all()
    for bad in ((spec.ZERO_CODES, 0), (0, spec.DECAY_CODES), (-1, 0)):
        with pytest.raises(CorruptFile, match="symbol model"):
            table(bad)


@pytest.mark.parametrize("scale", [0.1, 0.2, 0.5, 1.0, 3.0, 10.0, 50.0, 300.0])
def test_laplace_sources_cost_little_more_than_their_entropy(scale: float) -> None:
    symbols = np.rint(np.random.default_rng(1).laplace(0, scale, 60_000)).astype(np.int32)
    counts = np.unique(symbols, return_counts=True)[1]
    entropy = float(-(counts * np.log2(counts / counts.sum())).sum())
    model = best_model(symbols)
    data = roundtrip(symbols, np.zeros(len(symbols), int), [model])
    assert cost_bits(symbols, model) <= 1.02 * entropy + 64
    assert 8 * len(data) <= 1.005 * cost_bits(symbols, model) + 160


def test_size_is_that_of_an_independent_range_coder() -> None:
    symbols = np.clip(np.rint(np.random.default_rng(2).laplace(0, 2.0, 30_000)), -12, 12).astype(np.int32)
    model = best_model(symbols)
    frequencies = table(model)
    index = np.where(symbols > 0, 2 * symbols - 1, -2 * symbols).astype(np.int32)
    probabilities = (frequencies / frequencies.sum()).astype(np.float32)
    encoder = constriction.stream.queue.RangeEncoder()
    encoder.encode(index, constriction.stream.model.Categorical(probabilities, perfect=False))
    oracle = 4 * len(encoder.get_compressed())
    assert len(encode(symbols, np.zeros(len(symbols), int), [model])) <= 1.01 * oracle


@given(st.lists(st.integers(-40, 40) | st.integers(-(1 << 24), 1 << 24), max_size=300), st.integers(1, 5), st.data())
@settings(max_examples=60, deadline=None)
def test_any_symbols_survive(values: list[int], groups: int, data: st.DataObject) -> None:
    symbols = np.array(values, dtype=np.int32)
    ids = np.arange(len(symbols)) % groups
    code = st.integers(0, spec.ZERO_CODES - 1)
    roundtrip(symbols, ids, [data.draw(st.tuples(code, code)) for _ in range(groups)])


@pytest.mark.parametrize("n", [0, 1, 2, 7, 8, 9, 100_003])
def test_lengths_around_the_lanes(n: int) -> None:
    symbols = np.rint(np.random.default_rng(n).laplace(0, 1.5, n)).astype(np.int32)
    roundtrip(symbols, np.arange(n) % 3, [(3, 2), (0, 9), (20, 0)])


def test_the_best_model_beats_its_neighbours() -> None:
    for scale in (0.3, 2.0, 40.0):
        symbols = np.rint(ANY.laplace(0, scale, 5000)).astype(np.int32)
        z, t = best_model(symbols)
        for dz, dt in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            other = (min(max(z + dz, 0), 63), min(max(t + dt, 0), 63))
            assert cost_bits(symbols, (z, t)) <= cost_bits(symbols, other)
    assert best_model(np.zeros(0, np.int32)) == best_model(np.zeros(50, np.int32))


def test_golden_streams() -> None:
    """Bytes of today must decode tomorrow."""
    symbols = np.array([0, 0, 1, -1, 0, 2, 0, 0, -3, 0], dtype=np.int32)
    assert encode(symbols, np.zeros(10, int), [(6, 2)]).hex() == GOLDEN_PLAIN
    far = np.array([0, 100_000, -100_000], dtype=np.int32)
    assert encode(far, np.array([0, 1, 0]), [(6, 2), (0, 8)]).hex() == GOLDEN_ESCAPE
    assert (decode(bytes.fromhex(GOLDEN_PLAIN), np.zeros(10, int), [(6, 2)]) == symbols).all()
    assert (decode(bytes.fromhex(GOLDEN_ESCAPE), np.array([0, 1, 0]), [(6, 2), (0, 8)]) == far).all()


GOLDEN_PLAIN = "00018e923e004acc"
GOLDEN_ESCAPE = "000132c6b909fe3ffe990caf9a0c"


def damaged(n: int) -> tuple[bytes, np.ndarray, list[tuple[int, int]]]:
    symbols = np.rint(np.random.default_rng(4).laplace(0, 2.0, n)).astype(np.int32)
    symbols[n // 2] = 1_000_000
    ids = np.arange(n) % 2
    models = [(4, 4), (2, 6)]
    return encode(symbols, ids, models), ids, models


@pytest.mark.parametrize("n", [40, 30_000])
def test_truncation_and_extension_are_seen(n: int) -> None:
    data, ids, models = damaged(n)
    for cut in sorted({*range(0, len(data), max(1, len(data) // 60)), len(data) - 1}):
        with pytest.raises(CorruptFile):
            decode(data[:cut], ids, models)
    with pytest.raises(CorruptFile):
        decode(data + b"\0", ids, models)


@pytest.mark.parametrize("n", [40, 30_000])
def test_flipped_bits_never_crash_and_are_nearly_always_seen(n: int) -> None:
    data, ids, models = damaged(n)
    rng, seen, tries = np.random.default_rng(5), 0, 120
    for _ in range(tries):
        broken = bytearray(data)
        broken[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
        try:
            decode(bytes(broken), ids, models)
        except CorruptFile:
            seen += 1
    assert seen > 0.9 * tries


def test_declared_lengths_are_checked_before_use() -> None:
    for data in (
        b"",
        b"\x0b",
        b"\x00\xff\xff\xff\xff\x07" + bytes(4),
        b"\x00\x00\x00\x00",
        b"\x00" + b"\xff" * 9,
        b"\x00\x00\xff\xff\x00\x00",
    ):
        with pytest.raises(CorruptFile, match="rANS stream"):
            decode(data, np.zeros(3, int), [(1, 1)])
