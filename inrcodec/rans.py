"""rANS over integer tables: letters <-> states and 16-bit words (spec section "Symbol streams"). No float decides a bit."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from inrcodec import spec
from inrcodec.errors import CorruptFile
from inrcodec.limits import DEFAULT_LIMITS

TOTAL = 1 << spec.RANS_PRECISION
SCALAR_LANES = 32  # below this many lanes plain Python is faster than NumPy
ONE_TABLE = 1 << 12  # letters of one alphabet from which on lists of its slots are worth making
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Tables:
    """Frequencies >= 1 of the letters 0, 1, ... of several alphabets, each summing to 2^14; the last letter of each is its escape."""

    frequencies: tuple[Integers, ...]

    @cached_property
    def escape(self) -> Integers:
        return np.array([len(f) - 1 for f in self.frequencies], dtype=np.int64)

    @cached_property
    def offset(self) -> Integers:
        """Where each begins in `flat` and `start`."""
        return np.cumsum([0] + [len(f) for f in self.frequencies])[:-1].astype(np.int64)

    @cached_property
    def flat(self) -> Integers:
        return np.concatenate(self.frequencies)

    @cached_property
    def start(self) -> Integers:
        return np.concatenate([np.cumsum(f) - f for f in self.frequencies])

    @cached_property
    def letter(self) -> NDArray[np.uint16]:
        """The letter of each slot: 32 KiB a table."""
        return np.stack([np.repeat(np.arange(len(f), dtype=np.uint16), f) for f in self.frequencies])

    @cached_property
    def lists(self) -> tuple[list[int], list[int], list[int]]:
        """flat, start and offset for plain Python."""
        return self.flat.tolist(), self.start.tolist(), self.offset.tolist()


def encode(letters: Integers, ids: Integers, tables: Tables, extra: bytes) -> bytes:
    """The stream of `letters` (n,), letter i of tables[ids[i]], with the escapes' bytes `extra` at its end."""
    place = tables.offset[ids] + letters
    frequency, start = tables.flat[place], tables.start[place]
    bits = float(np.sum(spec.RANS_PRECISION - np.log2(frequency))) if len(letters) else 0.0
    lanes_log2 = _lanes_log2(bits / 8, len(letters))
    lanes = 1 << lanes_log2
    states, words = (_encode_scalar if lanes < SCALAR_LANES else _encode_lanes)(frequency, start, lanes)
    return bytes([lanes_log2]) + leb128(len(words)) + states.astype("<u4").tobytes() + words.astype("<u2").tobytes() + extra


class Reader:
    """A stream read letter by letter, or many at once. Raises CorruptFile for every kind of damage it can see."""

    def __init__(self, data: bytes, tables: Tables) -> None:
        if not data or data[0] > spec.RANS_MAX_LANES_LOG2:
            raise CorruptFile(f"rANS stream: lanes: expected a byte of 0..{spec.RANS_MAX_LANES_LOG2}, got {data[:1].hex() or 'nothing'}")
        lanes = 1 << data[0]
        count, begin = read_leb128(data, 1)
        self._end = begin + 4 * lanes + 2 * count
        if self._end > len(data):
            raise CorruptFile(f"rANS stream: expected {self._end} bytes for {lanes} lanes and {count} words, got {len(data)}")
        states = np.frombuffer(data, dtype="<u4", count=lanes, offset=begin).astype(np.int64)
        words = np.frombuffer(data, dtype="<u2", count=count, offset=begin + 4 * lanes)
        if int(states.min()) < spec.RANS_LOW:
            raise CorruptFile(f"rANS stream: state: expected at least {spec.RANS_LOW}, got {int(states.min())}")
        self._data, self.tables, self._lanes = data, tables, lanes
        self._lane = self._word = 0
        self._states, self._words = states, words.astype(np.int64)
        self._scalar = lanes < SCALAR_LANES
        self._plain_states: list[int] = states.tolist() if self._scalar else []
        self._plain_words: list[int] = words.tolist() if self._scalar else []

    def letters(self, ids: Integers) -> Integers:
        """The next letters (len(ids),), the i-th of tables[ids[i]]."""
        if self._scalar:
            return self._read_one_table(ids) if len(ids) >= ONE_TABLE and ids.min() == ids.max() else self._read_scalar(ids)
        parts, begin = [], 0
        while begin < len(ids):
            stop = min(len(ids), begin + self._lanes - self._lane)
            parts.append(self._read_lanes(ids[begin:stop]))
            begin = stop
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)

    def escape(self) -> int:
        """The next of the numbers behind the words."""
        value, self._end = read_leb128(self._data, self._end)
        return value

    def finish(self) -> None:
        """Raise CorruptFile unless everything has been read."""
        states = self._plain_states if self._scalar else self._states
        if self._word != len(self._words) or any(x != spec.RANS_LOW for x in states):
            raise CorruptFile(
                f"rANS stream: expected all {len(self._words)} words used and every state back at {spec.RANS_LOW}; {self._word} were used"
            )
        if self._end != len(self._data):
            raise CorruptFile(f"rANS stream: expected {self._end} bytes, got {len(self._data)}")

    def _read_lanes(self, ids: Integers) -> Integers:
        tables, first = self.tables, self._lane
        x = self._states[first : first + len(ids)]
        slot = x & (TOTAL - 1)
        letters = tables.letter[ids, slot].astype(np.int64)
        place = tables.offset[ids] + letters
        x = tables.flat[place] * (x >> spec.RANS_PRECISION) + slot - tables.start[place]
        need = np.flatnonzero(x < spec.RANS_LOW)
        stop = self._word + len(need)
        if stop > len(self._words):
            raise CorruptFile(f"rANS stream: expected more than {len(self._words)} words")
        x[need] = x[need] << 16 | self._words[self._word : stop]
        self._word = stop
        self._states[first : first + len(ids)] = x
        self._lane = (first + len(ids)) % self._lanes
        result: Integers = letters
        return result

    def _read_one_table(self, ids: Integers) -> Integers:
        """As `_read_scalar`, of one alphabet: three to four times as fast."""
        states, words, lanes, position, lane = self._plain_states, self._plain_words, self._lanes, self._word, self._lane
        letter = self.tables.letter[ids[0]]
        place = self.tables.offset[ids[0]] + letter
        factor = self.tables.flat[place].tolist()
        rest = (np.arange(TOTAL) - self.tables.start[place]).tolist()
        mask, shift, low, slots = TOTAL - 1, spec.RANS_PRECISION, spec.RANS_LOW, []
        for _ in range(len(ids)):
            state = states[lane]
            slot = state & mask
            state = factor[slot] * (state >> shift) + rest[slot]
            if state < low:
                if position >= len(words):
                    raise CorruptFile(f"rANS stream: expected more than {len(words)} words")
                state = state << 16 | words[position]
                position += 1
            states[lane] = state
            lane = lane + 1 if lane + 1 < lanes else 0
            slots.append(slot)
        self._word, self._lane = position, lane
        result: Integers = letter[slots].astype(np.int64)
        return result

    def _read_scalar(self, ids: Integers) -> Integers:
        states, words, lanes, position, lane = self._plain_states, self._plain_words, self._lanes, self._word, self._lane
        frequencies, starts, offsets = self.tables.lists
        # A list of rows, so that only those used become Python objects.
        lookup = self.tables.letter
        rows: dict[int, memoryview] = {}
        mask, shift, low, result = TOTAL - 1, spec.RANS_PRECISION, spec.RANS_LOW, []
        for number in ids.tolist():
            row = rows.get(number)
            if row is None:
                row = rows[number] = lookup[number].data
            state = states[lane]
            slot = state & mask
            letter = row[slot]
            place = offsets[number] + letter
            state = frequencies[place] * (state >> shift) + slot - starts[place]
            if state < low:
                if position >= len(words):
                    raise CorruptFile(f"rANS stream: expected more than {len(words)} words")
                state = state << 16 | words[position]
                position += 1
            states[lane] = state
            lane = lane + 1 if lane + 1 < lanes else 0
            result.append(letter)
        self._word, self._lane = position, lane
        return np.array(result, dtype=np.int64)


def _lanes_log2(payload: float, letters: int) -> int:
    """The most lanes whose states cost a quarter of a per cent of the payload, more where it is too small for so many letters."""
    lanes = max(1.0, payload * 0.0025 / 4)
    wanted = (letters - DEFAULT_LIMITS.coding / 4) / DEFAULT_LIMITS.coding_per_byte
    usual = int(np.log2(lanes))
    # Lanes are what makes a long stream of few bytes fast, and its bytes enough for the work of reading it.
    more = math.ceil(np.log2(wanted / 4)) if wanted > max(payload, 4) else 0
    return min(max(usual, more), spec.RANS_MAX_LANES_LOG2)


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


def leb128(value: int) -> bytes:
    """The shortest unsigned LEB128 form."""
    result = bytearray()
    while value >= 0x80:
        result.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*result, value])


def read_leb128(data: bytes, position: int, *, where: str = "rANS stream") -> tuple[int, int]:
    """A number and the position behind it. Raises CorruptFile, which says `where`, for anything but its shortest form."""
    value = shift = 0
    while True:
        if position >= len(data) or shift > 35:
            raise CorruptFile(f"{where}: byte {position}: expected the rest of a LEB128 number")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if not byte and shift:
                raise CorruptFile(f"{where}: byte {position - 1}: expected the shortest form of a LEB128 number")
            return value, position
        shift += 7
