"""Symbol models and streams of symbols (spec sections "Symbol models" and "Symbol streams"). No float decides a bit.

A symbol model is a pair (zero code, decay code): P(0), and a two-sided geometric tail, over the alphabet 0, +1, -1, ... +K, -K, ESC.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from inrcodec import rans, spec
from inrcodec.errors import CorruptFile

TOTAL = rans.TOTAL
MAX_MAGNITUDE = 4096  # K at most
MAX_SYMBOL = 1 << 30  # |symbol| at most: what an escape may say
BLOCK = 1 << 18  # symbols read at a time: each takes about sixty bytes until it is stored in four
Model = tuple[int, int]
Symbols = NDArray[np.int32]
Integers = NDArray[np.int64]


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
    return encode_with(symbols, np.asarray(model_ids, dtype=np.int64), rans.Tables(tuple(table(model) for model in models)))


def decode(data: bytes, model_ids: NDArray[np.integer], models: Sequence[Model]) -> Symbols:
    """The symbols (len(model_ids),) of a stream. Raises CorruptFile for every kind of damage it can see."""
    # A model's lookup takes 32 KiB: one per distinct model, however many groups the file has.
    distinct = {model: i for i, model in enumerate(dict.fromkeys(models))}
    ids = np.array([distinct[model] for model in models], dtype=np.int64)[np.asarray(model_ids, dtype=np.int64)]
    reader = rans.Reader(data, rans.Tables(tuple(table(model) for model in distinct)))
    symbols = np.empty(len(ids), dtype=np.int32)
    for start in range(0, len(ids), BLOCK):
        symbols[start : start + BLOCK] = read_symbols(reader, ids[start : start + BLOCK])
    reader.finish()
    return symbols


def encode_with(symbols: NDArray[np.integer], ids: Integers, tables: rans.Tables) -> bytes:
    """The stream of `symbols` (n,), symbol i coded with tables[ids[i]]: letters 0, +1, -1, ... +K, -K, ESC."""
    if len(symbols) and int(np.abs(symbols.astype(np.int64)).max()) > MAX_SYMBOL:
        raise ValueError(f"symbols: expected at most {MAX_SYMBOL} in magnitude")
    letters, escape = _letters(symbols), tables.escape[ids]
    escaped = letters >= escape
    extra = b"".join(_escape_bytes(int(s), int(k)) for s, k in zip(symbols[escaped], escape[escaped] // 2, strict=True))
    return rans.encode(np.where(escaped, escape, letters), ids, tables, extra)


def read_symbols(reader: rans.Reader, ids: Integers) -> Integers:
    """The next symbols (n,), symbol i coded with tables[ids[i]]."""
    letters = reader.letters(ids)
    half = (letters + 1) >> 1
    symbols: Integers = np.where(letters & 1, half, -half)
    escape = reader.tables.escape[ids]
    for i in np.flatnonzero(letters == escape):
        value = reader.escape()
        magnitude = (value >> 1) + int(escape[i]) // 2 + 1
        if magnitude > MAX_SYMBOL:
            raise CorruptFile(f"rANS stream: escaped symbol: expected at most {MAX_SYMBOL}, got {magnitude}")
        symbols[i] = -magnitude if value & 1 else magnitude
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


def _letters(symbols: NDArray[np.integer]) -> Integers:
    wide = symbols.astype(np.int64)
    return np.where(wide > 0, 2 * wide - 1, -2 * wide)


def _escape_bytes(symbol: int, largest: int) -> bytes:
    return rans.leb128((abs(symbol) - largest - 1) << 1 | (symbol < 0))
