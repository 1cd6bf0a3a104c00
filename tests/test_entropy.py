"""Symbol models and rANS: tables from their definition, a second decoder, an outside coder's size, golden bytes, damage."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inrcodec import rans, spec
from inrcodec.entropy import MAX_MAGNITUDE, MAX_SYMBOL, TOTAL, Model, best_model, cost_bits, decode, encode, table
from inrcodec.errors import CorruptFile

ALL_MODELS = list(itertools.product(range(spec.ZERO_CODES), range(spec.DECAY_CODES)))


def read_leb128(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        value, shift, position = value | (byte & 127) << shift, shift + 7, position + 1
        if byte < 128:
            return value, position


def plain_decode(data: bytes, ids: list[int], models: list[Model]) -> list[int]:
    """The stream's definition, one symbol and one bit of arithmetic at a time."""
    lanes = 1 << data[0]
    count, position = read_leb128(data, 1)
    states = [int.from_bytes(data[position + 4 * j :][:4], "little") for j in range(lanes)]
    position += 4 * lanes
    end = position + 2 * count
    symbols = []
    for i, model in enumerate(ids):
        frequencies = table(models[model]).tolist()
        slot, index, start = states[i % lanes] % TOTAL, 0, 0
        while start + frequencies[index] <= slot:
            start += frequencies[index]
            index += 1
        state = frequencies[index] * (states[i % lanes] // TOTAL) + slot - start
        if state < 1 << 16:
            state = state << 16 | int.from_bytes(data[position : position + 2], "little")
            position += 2
        states[i % lanes] = state
        symbols.append((index + 1) // 2 * (1 if index % 2 else -1) if index < len(frequencies) - 1 else None)
    assert position == end
    assert set(states) == {1 << 16}
    for i, model in enumerate(ids):
        if symbols[i] is None:
            value, end = read_leb128(data, end)
            symbols[i] = (value // 2 + len(table(models[model])) // 2) * (-1 if value % 2 else 1)
    assert end == len(data)
    return symbols


def laplace(scale: float, n: int, seed: int = 0) -> np.ndarray:
    return np.rint(np.random.default_rng(seed).laplace(0, scale, n)).astype(np.int32)


def laplace_distribution(scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Magnitudes and their probabilities of a rounded Laplace source, both signs together."""
    k = np.arange(int(45 * scale) + 5)
    p = np.exp(-(np.maximum(k, 1) - 0.5) / scale) * -np.expm1(-1 / scale)
    p[0] = -np.expm1(-0.5 / scale)
    return k, p


def test_every_table_is_whole() -> None:
    for model in ALL_MODELS:
        frequencies = table(model)
        assert frequencies.sum() == TOTAL, model
        assert frequencies.min() >= 1, model
        magnitudes = (len(frequencies) - 2) // 2
        assert len(frequencies) % 2 == 0, model
        assert 1 <= magnitudes <= MAX_MAGNITUDE, model
        assert (frequencies[1:-1:2] == frequencies[2:-1:2]).all(), model
        assert (np.diff(frequencies[1:-1]) <= 0).all(), model


def test_tables_literally() -> None:
    assert table((0, 0)).tolist() == [164, 8043, 8043, 66, 66, 2]
    assert table((7, 3)).tolist() == [10239, 2154, 2154, 644, 644, 192, 192, 57, 57, 17, 17, 5, 5, 2, 2, 1, 1, 1]
    assert table((63, 0)).tolist() == [16381, 1, 1, 1]


@pytest.mark.parametrize("model", [(-1, 0), (0, -1), (spec.ZERO_CODES, 0), (0, spec.DECAY_CODES)])
def test_codes_out_of_range_are_corrupt(model: Model) -> None:
    with pytest.raises(CorruptFile, match="symbol model: expected codes below 64 and 64"):
        table(model)


@pytest.mark.parametrize("scale", np.geomspace(0.05, 500, 25).tolist())
def test_a_laplace_source_of_any_scale_has_a_model(scale: float) -> None:
    magnitudes, p = laplace_distribution(scale)
    counts = np.rint(p * 1e9).astype(np.int64)
    magnitudes, counts = magnitudes[counts > 0].astype(np.int64), counts[counts > 0]
    share = counts / counts.sum()
    ideal = -(share * np.log2(share)).sum() + share[magnitudes > 0].sum()
    best = min(cost_of_histogram(magnitudes, counts, model) for model in ALL_MODELS)
    assert ideal <= best / counts.sum() + 1e-9
    assert best / counts.sum() <= ideal * 1.015 + 0.0002


def cost_of_histogram(magnitudes: np.ndarray, counts: np.ndarray, model: Model) -> float:
    frequencies = table(model)
    k = len(frequencies) // 2 - 1
    inside = magnitudes <= k
    f = np.where(inside, frequencies[np.where(inside, np.maximum(2 * magnitudes - 1, 0), 0)], frequencies[-1])
    groups = np.ceil(np.log2(2 * np.maximum(magnitudes - k - 1, 0) + 2) / 7)
    bits = np.log2(TOTAL / f) + np.where(inside, 0, 8 * groups)
    return float(bits @ counts)


@pytest.mark.parametrize("scale", [0.2, 1.0, 30.0])
def test_cost_is_the_size_of_the_stream(scale: float) -> None:
    symbols = laplace(scale, 20_000)
    model = best_model(symbols)
    data = encode(symbols, np.zeros(len(symbols), np.int64), [model])
    assert cost_bits(symbols, model) / 8 <= len(data) <= cost_bits(symbols, model) / 8 * 1.004 + 8


@pytest.mark.parametrize("symbols", [laplace(b, n) for b in (0.05, 0.3, 2.0, 40.0) for n in (10, 1000)], ids=lambda s: f"{len(s)}")
def test_the_best_model_is_nearly_the_cheapest_of_all(symbols: np.ndarray) -> None:
    cheapest = min(cost_bits(symbols, model) for model in ALL_MODELS)
    assert cost_bits(symbols, best_model(symbols)) <= cheapest * 1.01 + 0.01


def test_a_few_huge_symbols_do_not_spoil_the_model() -> None:
    symbols = np.concatenate([laplace(1.0, 1000), np.array([9_000_000, -7_000_000], np.int32)])
    cheapest = min(cost_bits(symbols, model) for model in ALL_MODELS)
    assert cost_bits(symbols, best_model(symbols)) <= cheapest * 1.01


@pytest.mark.parametrize("scale", [0.1, 0.5, 3.0, 100.0])
def test_size_is_that_of_another_coder_with_the_same_tables(scale: float) -> None:
    constriction = pytest.importorskip("constriction")
    symbols = laplace(scale, 100_000)
    model = best_model(symbols)
    frequencies = table(model)
    largest = len(frequencies) // 2 - 1
    symbols = np.clip(symbols, -largest, largest)  # the other coder knows no escape
    index = np.where(symbols > 0, 2 * symbols - 1, -2 * symbols)
    coder = constriction.stream.queue.RangeEncoder()
    coder.encode(index.astype(np.int32), constriction.stream.model.Categorical(frequencies / TOTAL, perfect=False))
    other = coder.get_compressed().nbytes
    assert abs(len(encode(symbols, np.zeros(len(symbols), np.int64), [model])) / other - 1) < 0.01


symbol = st.one_of(st.just(0), st.integers(-3, 3), st.integers(-5000, 5000), st.integers(-MAX_SYMBOL, MAX_SYMBOL))
model = st.tuples(st.integers(0, spec.ZERO_CODES - 1), st.integers(0, spec.DECAY_CODES - 1))


@given(st.lists(symbol, max_size=60), st.lists(model, min_size=1, max_size=3), st.integers(0, 100))
def test_symbols_come_back(values: list[int], models: list[Model], stride: int) -> None:
    symbols = np.array(values, dtype=np.int32)
    ids = np.arange(len(values)) * stride % len(models)
    data = encode(symbols, ids, models)
    assert decode(data, ids, models).tolist() == values
    assert plain_decode(data, ids.tolist(), models) == values


@settings(max_examples=30)
@given(st.integers(0, spec.RANS_MAX_LANES_LOG2), st.integers(0, 2500), st.floats(0.05, 3000))
def test_any_number_of_lanes_is_read(lanes_log2: int, n: int, scale: float) -> None:
    symbols, ids, models = laplace(scale, n, seed=n), np.arange(n) % 3, [(5, 9), (30, 3), (5, 9)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rans, "_lanes_log2", lambda *_: lanes_log2)
        data = encode(symbols, ids, models)
        assert data[0] == lanes_log2
        patch.setattr(rans, "SCALAR_LANES", 0)
        assert encode(symbols, ids, models) == data
        assert (decode(data, ids, models) == symbols).all()
        patch.setattr(rans, "SCALAR_LANES", 1 << 20)
        assert encode(symbols, ids, models) == data
        assert (decode(data, ids, models) == symbols).all()


def test_the_lanes_cost_a_quarter_of_a_per_cent() -> None:
    for n in (1, 1000, 30_000, 300_000):
        symbols = laplace(20.0, n)
        data = encode(symbols, np.zeros(n, np.int64), [best_model(symbols)])
        assert data[0] == 0 or 4 << data[0] <= 0.0025 * len(data)
        assert data[0] == spec.RANS_MAX_LANES_LOG2 or 8 << data[0] > 0.0025 * (len(data) - (4 << data[0])) * 0.99


def test_golden_streams() -> None:
    few = np.array([0, 0, 1, 0, -2, 0, 0, 3], np.int32)
    assert encode(few, np.zeros(8, np.int64), [(7, 3)]).hex() == "000135d902004160"
    escaped = np.array([-1, 1000, 0, -70_000], np.int32)
    assert encode(escaped, np.array([0, 1, 1, 1]), [(3, 4), (40, 0)]).hex() == "0001ddaeaf13445ecc0fddc508"
    assert encode(np.zeros(0, np.int32), np.zeros(0, np.int64), [(0, 0)]).hex() == "000000000100"


def test_symbols_beyond_what_an_escape_says_are_refused() -> None:
    for value in (MAX_SYMBOL + 1, -MAX_SYMBOL - 1, -(1 << 31)):
        with pytest.raises(ValueError, match="at most 1073741824 in magnitude"):
            encode(np.array([value], np.int32), np.array([0]), [(0, 0)])


DAMAGED_IDS = np.arange(300) % 2
DAMAGED_MODELS = [(11, 2), (40, 0)]
WHOLE = encode(laplace(1.5, 300), DAMAGED_IDS, DAMAGED_MODELS)


@pytest.mark.parametrize("end", range(len(WHOLE)))
def test_every_truncation_is_seen(end: int) -> None:
    with pytest.raises(CorruptFile, match="rANS stream"):
        decode(WHOLE[:end], DAMAGED_IDS, DAMAGED_MODELS)


def test_most_flipped_bits_are_seen_and_the_others_decode() -> None:
    unseen = 0
    for bit in range(8 * len(WHOLE)):
        damaged = bytearray(WHOLE)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            assert len(decode(bytes(damaged), DAMAGED_IDS, DAMAGED_MODELS)) == 300
        except CorruptFile:
            continue
        unseen += 1
    # Escapes are plain bytes, and k may turn into -k: the chunk's CRC is what guards a file.
    assert 0 < unseen < 8 * len(WHOLE) * 0.4


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "lanes: expected a byte of 0..10, got nothing"),
        (b"\x0b" + bytes(20_000), "lanes: expected a byte of 0..10, got 0b"),
        (b"\x00", "expected the rest of a LEB128 number"),
        (b"\x00\x80\x80\x80\x80\x80\x80\x80\x80\x01", "expected the rest of a LEB128 number"),
        (b"\x00\x80\x00" + b"\x00\x00\x01\x00", "shortest form of a LEB128 number"),
        (b"\x00\xff\xff\xff\xff\x0f" + bytes(8), "expected 8589934605 bytes|expected 858993460"),
        (b"\x0a\x00" + bytes(8), "expected 4098 bytes for 1024 lanes and 0 words, got 10"),
        (b"\x00\x00\xff\xff\x00\x00", "state: expected at least 65536, got 65535"),
        (b"\x00\x00\x00\x00\x01\x00", "expected more than 0 words|every state back"),
        (WHOLE + b"\0", "expected .* bytes, got"),
    ],
)
def test_damage_is_named(data: bytes, message: str) -> None:
    with pytest.raises(CorruptFile, match=message):
        decode(data, DAMAGED_IDS, DAMAGED_MODELS)


def test_unused_words_and_huge_escapes_are_seen() -> None:
    unused = b"\x00\x01" + (1 << 16).to_bytes(4, "little") + b"\0\0"
    with pytest.raises(CorruptFile, match="all 1 words used"):
        decode(unused, np.zeros(0, np.int64), [(0, 0)])
    stream = encode(np.array([MAX_SYMBOL], np.int32), np.array([0]), [(63, 0)])
    k = len(table((63, 0))) // 2 - 1
    end = len(stream) - math.ceil(((MAX_SYMBOL - k - 1) << 1).bit_length() / 7)
    larger = rans.leb128((MAX_SYMBOL - k) << 1)
    with pytest.raises(CorruptFile, match="escaped symbol: expected at most 1073741824, got 1073741825"):
        decode(stream[:end] + larger, np.array([0]), [(63, 0)])


@given(st.binary(max_size=60), st.integers(0, 40))
def test_arbitrary_bytes_are_never_another_exception(data: bytes, n: int) -> None:
    for whole in (data, bytes([len(data) % 4, 0]) + data):
        try:
            found = decode(whole, np.zeros(n, np.int64), [(40, 20)])
        except CorruptFile:
            continue
        assert len(found) == n
