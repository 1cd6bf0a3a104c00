"""Small files made by hand, part by part: valid ones for conformance/valid, and what faulty ones are made of."""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from inrcodec import context, entropy, lattice
from inrcodec.container import pack_map

SIGNATURE = b"\x89INR\r\n\x1a\n"
Chunks = list[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Case:
    """A faulty file: its name, the class of the error, what is wrong, its bytes."""

    name: str
    error: str
    about: str
    data: bytes


@dataclass(frozen=True)
class Made:
    """A file in parts: HEAD without `tens`, and codec and payload of every tensor."""

    head: dict[str, Any]
    tensors: tuple[tuple[int, bytes], ...]

    def with_head(self, **changes: Any) -> "Made":
        """Other values in HEAD; those that are None are left out."""
        return replace(self, head={key: value for key, value in {**self.head, **changes}.items() if value is not None})

    def with_out(self, **changes: Any) -> "Made":
        return self.with_head(out={**self.head["out"], **changes})

    def with_channel(self, **changes: Any) -> "Made":
        return self.with_out(channels=[{**self.head["out"]["channels"][0], **changes}])

    def with_axis(self, **changes: Any) -> "Made":
        first, *others = self.head["axes"]
        return self.with_head(axes=[{**first, **changes}, *others])

    def with_net(self, index: int, value: Any) -> "Made":
        """Another value of the configuration, counted from 0, the id."""
        net = list(self.head["net"])
        net[index] = value
        return self.with_head(net=net)

    def with_tensor(self, index: int, codec: int, payload: bytes) -> "Made":
        changed = list(self.tensors)
        changed[index] = (codec, payload)
        return replace(self, tensors=tuple(changed))

    def with_more(self, *tensors: tuple[int, bytes]) -> "Made":
        return replace(self, tensors=(*self.tensors, *tensors))

    def map(self) -> bytes:
        return pack_map({"tens": [[codec, len(payload)] for codec, payload in self.tensors], **self.head})

    def chunks(self, packed: bytes | None = None) -> Chunks:
        """HEAD, DATA and DONE; `packed` in place of the map of HEAD."""
        data = b"".join(payload for _, payload in self.tensors)
        return [(b"HEAD", b"\0\1" + (self.map() if packed is None else packed)), (b"DATA", data), (b"DONE", b"")]

    def bytes(self, packed: bytes | None = None) -> bytes:
        return joined(self.chunks(packed))


def joined(chunks: Sequence[tuple[bytes, bytes]]) -> bytes:
    return SIGNATURE + b"".join(chunk(*part) for part in chunks)


def chunk(name: bytes, payload: bytes) -> bytes:
    return struct.pack("<I", len(payload)) + name + payload + struct.pack("<I", zlib.crc32(name + payload))


def once(data: bytes, old: bytes, new: bytes) -> bytes:
    """`data` with its only `old` replaced."""
    if data.count(old) != 1:
        raise ValueError(f"expected {old!r} once, found it {data.count(old)} times")
    return data.replace(old, new)


def floats(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)


def frame(content: bytes, *, stated: int | None = None) -> bytes:
    """A zstd frame with one raw block, which states its size."""
    size = len(content) if stated is None else stated
    return b"\x28\xb5\x2f\xfd\x20" + bytes([size]) + struct.pack("<I", len(content) << 3 | 1)[:3] + content


def siren() -> Made:
    """An image of 4 x 5 samples; the tensors have the codecs 1, 3, 1 and 0."""
    head = {
        "kind": "image",
        "level": 1,
        "req": [],
        "axes": [{"name": "y", "n": 4}, {"name": "x", "n": 5}],
        "out": {"bits": 8, "channels": [{"name": "Y", "role": "color", "scale": 0.5, "offset": 0.5}]},
        "net": ["siren.1", 2, 1, 8, 0, 30.0, 30.0],
    }
    weights = bytes([0xD0] * 8) + b"\1" + bytes(range(16))
    bias = b"\xd0\x07\x03" + bytes.fromhex("000135d902004160")
    return Made(head, ((1, weights), (3, bias), (1, b"\xd8\1" + bytes(range(8))), (0, floats(0.25))))


def volume() -> Made:
    """A volume of 3 x 3 numbers, some of which are missing; the same network."""
    made = siren().with_head(kind="volume", axes=[{"name": "y", "n": 3}, {"name": "x", "n": 3}])
    return made.with_out(dtype="float32", valid=True).with_more((7, frame(bytes.fromhex("c280"))))


def shape() -> Made:
    """Distances on 2 x 2 x 2 samples."""
    made = siren().with_head(
        kind="shape",
        axes=[{"name": name, "n": 2} for name in "zyx"],
        space={"spacing": [1.0, 1.0, 1.0], "affine": [0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]},
        net=["siren.1", 3, 1, 8, 0, 30.0, 30.0],
    )
    made = made.with_out(dtype="float32").with_channel(role="sdf", low=-1.0, high=1.0)
    return made.with_tensor(0, 1, bytes([0xD0] * 8) + b"\1" + bytes(range(24)))


def sound() -> Made:
    """12 samples in 3 windows."""
    made = siren().with_head(
        kind="audio", axes=[{"name": "t", "n": 12}], windows={"hop": [4], "overlap": [2]}, net=["siren.1", 1, 1, 2, 0, 30.0, 30.0]
    )
    return replace(made, tensors=tuple((0, floats(*[0.125] * count)) for count in (6, 6, 6, 3)))


def sasnet(*, contexts: bool = False) -> Made:
    """A hash grid of one dense level of 2 x 2 entries, by contexts if wished for."""
    level = [0.5, 2, 4, 2]
    head = {**siren().head, "net": ["sasnet.2", 2, 1, 2, 2, 1, 1.0, 4.0, 1, 2, 1, 1, 2, 1, [level], [1.0, 1.0]]}
    frequency = lattice.encode(np.array([[0, 1], [2, 0]]))
    sizes = (2, 4, 2, 2, 4, 2, 6, 2, 3, 1)
    made = Made(head, ((4, frequency), *((0, floats(*[0.25] * size)) for size in sizes)))
    table = b"\xe8" + b"\1" + bytes([1, 2, 0, 255])
    if not contexts:
        return made.with_tensor(2, 1, table)
    net = context.ContextNet(*(np.zeros(size, dtype=np.int64) for size in ((1, 12), (2, 1), (2, 11), (2, 1))))
    symbols = np.array([1, 2, 0, -1]).reshape(2, 2, 1)
    return made.with_tensor(2, 8, b"\xe8" + context.encode(net, symbols, None, 0)).with_more((9, context.pack_net(net)))


def rans(symbols: Sequence[int], model: tuple[int, int]) -> bytes:
    """A stream of symbols that all have one model."""
    return entropy.encode(np.array(symbols, dtype=np.int32), np.zeros(len(symbols), dtype=np.int64), [model])


def stream(symbols: Sequence[int], models: Sequence[tuple[int, int]], lanes_log2: int) -> bytes:
    """A stream of symbols, each with its model, with so many lanes; written as section 6 of the format says."""
    states, words, escapes = [1 << 16] * (1 << lanes_log2), list[int](), b""
    for i in reversed(range(len(symbols))):
        freq = entropy.table(models[i]).tolist()
        letter = 2 * symbols[i] - 1 if symbols[i] > 0 else -2 * symbols[i]
        if letter >= len(freq) - 1:
            extra = 2 * (abs(symbols[i]) - len(freq) // 2) + (symbols[i] < 0)
            assert extra < 128
            escapes, letter = bytes([extra]) + escapes, len(freq) - 1
        x = states[i % len(states)]
        if x >= freq[letter] << 18:
            words.insert(0, x & 0xFFFF)
            x >>= 16
        states[i % len(states)] = (x // freq[letter] << 14) + x % freq[letter] + sum(freq[:letter])
    assert len(words) < 128
    return bytes([lanes_log2, len(words)]) + struct.pack(f"<{len(states)}I{len(words)}H", *states, *words) + escapes


def lanes() -> Made:
    """The network of siren() by the codecs 6 and 0; the stream has four lanes."""
    numbers = [*(k % 3 for k in range(8)), *(k - 8 for k in range(16))]
    made = siren().with_tensor(0, 6, b"\xd0" + bytes((7, 3, 7, 20)) + stream(numbers, [(7, 3)] * 8 + [(7, 20)] * 16, 2))
    return made.with_tensor(2, 0, floats(*(k / 8 for k in range(8))))


def integers() -> Made:
    """Numbers of 8 bits with a sign, of three axes with other borders."""
    made = siren().with_head(kind="volume", net=["siren.1", 3, 1, 8, 0, 3.0, 30.0])
    made = made.with_head(axes=[{"name": "z", "n": 2, "lo": -0.25, "hi": 0.5}, {"name": "y", "n": 3}, {"name": "x", "n": 4}])
    made = made.with_out(dtype="int8").with_channel(role="value", low=-100.0, high=27.0)
    return made.with_tensor(0, 1, bytes([0xD0] * 8) + b"\2" + struct.pack("<24h", *range(-12, 12)))


def four() -> Made:
    """A hash grid of two levels in four dimensions, a dense and a hashed one, with two features each."""
    levels = [[0.5, 2, 16, 2], [2.5, 4, 37, 2]]
    head = {
        **siren().head,
        "kind": "field",
        "axes": [{"name": name, "n": 3} for name in "tzyx"],
        "net": ["sasnet.1", 4, 1, 2, 2, 1, 1.0, 4.0, 1, 2, 1, 1, 2, 2, levels, [1.0, 0.5, 1.0, 0.75]],
    }
    frequency = lattice.encode(np.array([[0, 0, 1, -1], [1, 2, 0, 0]]))
    tables = [(0, floats(*((37 * k % 64 - 32) / 16 for k in range(2 * size)))) for size in (16, 37)]
    others = [(0, floats(*((11 * k % 16 - 7) / 8 for k in range(size)))) for size in (8, 2, 4, 2, 4, 2, 2, 1)]
    return Made(head, ((4, frequency), (0, floats(0.5, -0.5)), *tables, *others))


def walkthrough() -> Made:
    """A picture of 4 x 5 samples by four neurons, for formats/walkthrough.md: a stream of two lanes with a word and an escape."""
    symbols = (2, 1, -1, 2, 1, -3, 0, 6)
    models = ((7, 2), (5, 1), (9, 3), (40, 0))
    weights = struct.pack("4b", -12, -14, -16, -21) + bytes(code for model in models for code in model)
    weights += stream(symbols, [model for model in models for _ in range(2)], 1)
    bias = struct.pack("bB4b", -20, 1, 3, -5, 0, 7)
    out = struct.pack("bB4b", -22, 1, 5, -3, 4, 2)
    made = siren().with_head(net=["siren.1", 2, 1, 4, 0, 3.0, 30.0])
    return replace(made, tensors=((3, weights), (1, bias), (1, out), (0, floats(-0.125))))


def files() -> dict[str, bytes]:
    """All of them by name."""
    made = {"siren": siren(), "lanes": lanes(), "integers": integers(), "missing": volume(), "shape": shape(), "windows": sound()}
    made |= {"sasnet": sasnet(), "contexts": sasnet(contexts=True), "four": four(), "walkthrough": walkthrough()}
    return {name: part.bytes() for name, part in made.items()}
