"""Static rANS over integer tables (spec sections "Symbol models" and "rANS"). No float decides a bit.

A symbol model is a pair (zero code, decay code): P(0), and a two-sided geometric tail, over the alphabet 0, +1, -1, ... +K, -K, ESC.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from inrcodec import spec
from inrcodec.errors import CorruptFile

TOTAL = 1 << spec.RANS_PRECISION
MAX_MAGNITUDE = 4096  # K at most
MAX_SYMBOL = 1 << 30  # |symbol| at most: what an escape may say
Model = tuple[int, int]
Symbols = NDArray[np.int32]
SCALAR_LANES = 32  # below this many lanes plain Python is faster than NumPy


def nonzero_share(zero_code: int) -> int:
    """1 - P(0) in 1/65536: 64880 * 2^(-zero_code / 5) by the recurrence x * 57052 >> 16."""
    share = 64880
    for _ in range(zero_code):
        share = share * 57052 >> 16
    return share


def decay_share(decay_code: int) -> int:
    """1 - theta in 1/65536, theta the ratio of neighbouring tail probabilities: 65000 * 2^(-decay_code / 6)."""
    share = 65000
    for _ in range(decay_code):
        share = share * 58386 >> 16
    return share


@cache
def table(model: Model) -> NDArray[np.int64]:
    """Frequencies of 0, +1, -1, ..., +K, -K, ESC: integers >= 1 that sum to 2^14. Raises CorruptFile for codes out of range."""
    zero_code, decay_code = model
    if not (0 <= zero_code < spec.ZERO_CODES and 0 <= decay_code < spec.DECAY_CODES):
        raise CorruptFile(f"symbol model: expected codes below {spec.ZERO_CODES} and {spec.DECAY_CODES}, got {model}")
    zero = min(max(TOTAL - (nonzero_share(zero_code) >> 2), 1), TOTAL - 3)
    decay, rest, result = decay_share(decay_code), TOTAL - zero, [zero]
    while len(result) < 2 * MAX_MAGNITUDE:
        frequency = max(1, rest * decay >> 17)
        if 2 * frequency + 1 > rest:
            break
        result += [frequency, frequency]
        rest -= 2 * frequency
    frequencies = np.array([*result, rest], dtype=np.int64)
    frequencies.setflags(write=False)
    return frequencies


def encode(symbols: Symbols, model_ids: NDArray[np.integer], models: Sequence[Model]) -> bytes:
    """The stream of `symbols` (n,), symbol i coded with models[model_ids[i]]. Raises ValueError beyond +-2^30."""
    if len(symbols) and int(np.abs(symbols.astype(np.int64)).max()) > MAX_SYMBOL:
        raise ValueError(f"symbols: expected at most {MAX_SYMBOL} in magnitude")
    tables = [table(model) for model in models]
    escape = np.array([len(t) - 1 for t in tables], dtype=np.int64)
    ids = np.asarray(model_ids, dtype=np.int64)
    index = _alphabet_index(symbols)
    escaped = index >= escape[ids] if len(symbols) else np.zeros(0, dtype=bool)
    limits = escape[ids] // 2
    extra = b"".join(_escape_bytes(int(s), int(k)) for s, k in zip(symbols[escaped], limits[escaped], strict=True))
    index = np.where(escaped, escape[ids], index) if len(symbols) else index
    flat, starts, offsets = _flatten(tables)
    frequency = flat[offsets[ids] + index]
    start = starts[offsets[ids] + index]
    bits = float(np.sum(spec.RANS_PRECISION - np.log2(frequency))) if len(symbols) else 0.0
    lanes_log2 = _lanes_log2(bits / 8)
    lanes = 1 << lanes_log2
    states, words = (_encode_scalar if lanes < SCALAR_LANES else _encode_lanes)(frequency, start, lanes)
    body = _leb128(len(words)) + states.astype("<u4").tobytes() + words.astype("<u2").tobytes()
    return bytes([lanes_log2]) + body + extra


def decode(data: bytes, model_ids: NDArray[np.integer], models: Sequence[Model]) -> Symbols:
    """The symbols (len(model_ids),) of a stream. Raises CorruptFile for every kind of damage it can see."""
    ids = np.asarray(model_ids, dtype=np.int64)
    if not data or data[0] > spec.RANS_MAX_LANES_LOG2:
        raise CorruptFile(f"rANS stream: lanes: expected a byte of 0..{spec.RANS_MAX_LANES_LOG2}, got {data[:1].hex() or 'nothing'}")
    lanes = 1 << data[0]
    count, position = _read_leb128(data, 1)
    end = position + 4 * lanes + 2 * count
    if end > len(data):
        raise CorruptFile(f"rANS stream: expected {end} bytes for {lanes} lanes and {count} words, got {len(data)}")
    states = np.frombuffer(data, dtype="<u4", count=lanes, offset=position).astype(np.int64)
    words = np.frombuffer(data, dtype="<u2", count=count, offset=position + 4 * lanes).astype(np.int64)
    if states.size and int(states.min()) < spec.RANS_LOW:
        raise CorruptFile(f"rANS stream: state: expected at least {spec.RANS_LOW}, got {int(states.min())}")
    # A model's lookup takes 32 KiB: one per distinct model, however many groups the file has.
    distinct = {model: i for i, model in enumerate(dict.fromkeys(models))}
    ids = np.array([distinct[model] for model in models], dtype=np.int64)[ids]
    tables = [table(model) for model in distinct]
    index = (_decode_scalar if lanes < SCALAR_LANES else _decode_lanes)(states, words, ids, tables)
    escape = np.array([len(t) - 1 for t in tables], dtype=np.int64)
    symbols = _from_index(index)
    where = np.flatnonzero(index == escape[ids]) if len(ids) else np.zeros(0, dtype=np.int64)
    position = end
    for i in where:
        value, position = _read_leb128(data, position)
        magnitude = (value >> 1) + int(escape[ids[i]]) // 2 + 1
        if magnitude > MAX_SYMBOL:
            raise CorruptFile(f"rANS stream: escaped symbol: expected at most {MAX_SYMBOL}, got {magnitude}")
        symbols[i] = -magnitude if value & 1 else magnitude
    if position != len(data):
        raise CorruptFile(f"rANS stream: expected {position} bytes, got {len(data)}")
    return symbols


def cost_bits(symbols: Symbols, model: Model) -> float:
    """Bits of `symbols` under `model`, escapes included."""
    magnitudes, counts = np.unique(np.abs(symbols.astype(np.int64)), return_counts=True)
    return _histogram_cost(magnitudes, counts, model)


def best_model(symbols: Symbols) -> Model:
    """The model under which `symbols` cost the fewest bits, by the tables themselves: nearest estimates, then a local search."""
    magnitudes, counts = np.unique(np.abs(symbols.astype(np.int64)), return_counts=True)
    total = int(counts.sum())
    if total == 0:
        return spec.ZERO_CODES - 1, 0
    nonzero = int(counts[magnitudes > 0].sum())
    share = nonzero / total
    zero_code = round(5 * np.log2(64880 / 65536 / max(share, 2.0**-13)))
    mean = float((magnitudes * counts).sum()) / max(nonzero, 1)
    # Estimates mislead where a few symbols are huge and escape: coarse rows of codes beside them.
    zero = _clip(zero_code, spec.ZERO_CODES)
    decays = {_clip(round(6 * np.log2(max(mean, 1.0))), spec.DECAY_CODES), *range(0, spec.DECAY_CODES, 8)}
    starts = [(z, decay) for z in {zero, zero // 2, zero // 4} for decay in decays]
    cost, best = min((_histogram_cost(magnitudes, counts, start), start) for start in starts)
    improved = True
    while improved:
        improved = False
        for dz, dt in ((1, 0), (-1, 0), (0, 1), (0, -1), (3, 0), (-3, 0), (0, 3), (0, -3)):
            candidate = (_clip(best[0] + dz, spec.ZERO_CODES), _clip(best[1] + dt, spec.DECAY_CODES))
            if candidate != best:
                found = _histogram_cost(magnitudes, counts, candidate)
                if found < cost:
                    best, cost, improved = candidate, found, True
    return best


@cache
def _costs(model: Model) -> NDArray[np.float64]:
    """Bits of the magnitudes 0..K (sign included), then of ESC."""
    frequencies = table(model)
    bits = spec.RANS_PRECISION - np.log2(frequencies)
    return np.concatenate([bits[:1], bits[1:-1:2], bits[-1:]])


def _histogram_cost(magnitudes: NDArray[np.int64], counts: NDArray[np.int64], model: Model) -> float:
    bits = _costs(model)
    k = len(bits) - 2
    escaped = magnitudes > k
    excess = np.maximum(magnitudes - k - 1, 0)
    groups = np.maximum(1, np.ceil(np.log2(2 * excess + 2) / 7))
    each = np.where(escaped, bits[-1] + 8 * groups, bits[np.minimum(magnitudes, k)])
    return float(np.dot(each, counts))


def _clip(code: int, codes: int) -> int:
    return min(max(int(code), 0), codes - 1)


def _alphabet_index(symbols: Symbols) -> NDArray[np.int64]:
    wide = symbols.astype(np.int64)
    return np.where(wide > 0, 2 * wide - 1, -2 * wide)


def _from_index(index: NDArray[np.int64]) -> Symbols:
    half = (index + 1) >> 1
    return np.where(index & 1, half, -half).astype(np.int32)


def _flatten(tables: Sequence[NDArray[np.int64]]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """All frequencies in a row, their cumulative starts, and where each table begins."""
    offsets = np.cumsum([0] + [len(t) for t in tables])[:-1]
    return np.concatenate(tables), np.concatenate([np.cumsum(t) - t for t in tables]), offsets.astype(np.int64)


def _lanes_log2(payload: float) -> int:
    """The most lanes whose states cost a quarter of a per cent of the payload."""
    lanes = max(1.0, payload * 0.0025 / 4)
    return min(int(np.log2(lanes)), spec.RANS_MAX_LANES_LOG2)


def _encode_lanes(frequency: NDArray[np.int64], start: NDArray[np.int64], lanes: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Final states and words; symbol i belongs to lane i mod lanes, the encoder walks backwards."""
    n = len(frequency)
    states = np.full(lanes, spec.RANS_LOW, dtype=np.int64)
    words: list[NDArray[np.int64]] = []
    for begin in range((n - 1) // lanes * lanes if n else -1, -1, -lanes):
        f, s = frequency[begin : begin + lanes], start[begin : begin + lanes]
        x = states[: len(f)]
        full = x >= f << (32 - spec.RANS_PRECISION)
        # Words are read in lane order, so they are written here, backwards, in reverse.
        words.append((x[full] & 0xFFFF)[::-1])
        x = np.where(full, x >> 16, x)
        quotient = x // f
        states[: len(f)] = (quotient << spec.RANS_PRECISION) + (x - quotient * f) + s
    stream = np.concatenate(words)[::-1] if words else np.zeros(0, dtype=np.int64)
    return states, stream


def _encode_scalar(frequency: NDArray[np.int64], start: NDArray[np.int64], lanes: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    states, words = [spec.RANS_LOW] * lanes, []
    precision, room = spec.RANS_PRECISION, 32 - spec.RANS_PRECISION
    lane = len(frequency) % lanes
    for f, s in zip(frequency[::-1].tolist(), start[::-1].tolist(), strict=True):
        lane = (lane or lanes) - 1
        x = states[lane]
        if x >= f << room:
            words.append(x & 0xFFFF)
            x >>= 16
        quotient, remainder = divmod(x, f)
        states[lane] = (quotient << precision) + remainder + s
    return np.array(states, dtype=np.int64), np.array(words[::-1], dtype=np.int64)


def _decode_lanes(
    states: NDArray[np.int64], words: NDArray[np.int64], ids: NDArray[np.int64], tables: Sequence[NDArray[np.int64]]
) -> NDArray[np.int64]:
    flat, starts, offsets = _flatten(tables)
    lookup = np.stack([np.repeat(np.arange(len(t), dtype=np.uint16), t) for t in tables])
    n, lanes, position = len(ids), len(states), 0
    result = np.empty(n, dtype=np.int64)
    states = states.copy()
    for begin in range(0, n, lanes):
        model = ids[begin : begin + lanes]
        x = states[: len(model)]
        slot = x & (TOTAL - 1)
        index = lookup[model, slot].astype(np.int64)
        place = offsets[model] + index
        x = flat[place] * (x >> spec.RANS_PRECISION) + slot - starts[place]
        need = np.flatnonzero(x < spec.RANS_LOW)
        if position + len(need) > len(words):
            raise CorruptFile(f"rANS stream: expected more than {len(words)} words")
        x[need] = x[need] << 16 | words[position : position + len(need)]
        position += len(need)
        states[: len(model)] = x
        result[begin : begin + lanes] = index
    _check_end(states, position, len(words))
    return result


def _decode_scalar(
    states: NDArray[np.int64], words: NDArray[np.int64], ids: NDArray[np.int64], tables: Sequence[NDArray[np.int64]]
) -> NDArray[np.int64]:
    x, stream, lanes, position = states.tolist(), words.tolist(), len(states), 0
    frequencies = [t.tolist() for t in tables]
    starts = [(np.cumsum(t) - t).tolist() for t in tables]
    lookup = [np.repeat(np.arange(len(t), dtype=np.uint16), t).data for t in tables]
    mask, shift, low, result = TOTAL - 1, spec.RANS_PRECISION, spec.RANS_LOW, []
    for i, model in enumerate(ids.tolist()):
        state = x[i % lanes]
        slot = state & mask
        index = lookup[model][slot]
        state = frequencies[model][index] * (state >> shift) + slot - starts[model][index]
        if state < low:
            if position >= len(stream):
                raise CorruptFile(f"rANS stream: expected more than {len(stream)} words")
            state = state << 16 | stream[position]
            position += 1
        x[i % lanes] = state
        result.append(index)
    _check_end(np.array(x, dtype=np.int64), position, len(stream))
    return np.array(result, dtype=np.int64)


def _check_end(states: NDArray[np.int64], position: int, count: int) -> None:
    if position != count or (states != spec.RANS_LOW).any():
        raise CorruptFile(f"rANS stream: expected all {count} words used and every state back at {spec.RANS_LOW}; {position} were used")


def _escape_bytes(symbol: int, largest: int) -> bytes:
    return _leb128((abs(symbol) - largest - 1) << 1 | (symbol < 0))


def _leb128(value: int) -> bytes:
    result = bytearray()
    while value >= 0x80:
        result.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*result, value])


def _read_leb128(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if position >= len(data) or shift > 35:
            raise CorruptFile(f"rANS stream: byte {position}: expected the rest of a LEB128 number")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if not byte and shift:
                raise CorruptFile(f"rANS stream: byte {position - 1}: expected the shortest form of a LEB128 number")
            return value, position
        shift += 7
