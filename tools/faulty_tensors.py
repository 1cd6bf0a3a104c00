"""Faults of the tensors' payloads: see make_faulty.py."""

import struct
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from inrcodec import context
from tools.small_files import Case, Made, floats, frame, rans, sasnet, siren, sound, stream, volume

# Tensors of the network of siren(), and of the one of sasnet().
WEIGHT, BIAS, OUT_WEIGHT, OUT_BIAS = range(4)
FREQUENCY, PHASE, TABLE, MASK_WEIGHT = range(4)
NET = 11
MODEL = (7, 3)
STREAM = bytes.fromhex("000135d902004160")  # 0 0 1 0 -2 0 0 3 by that model


def tensor_cases() -> Iterator[Case]:
    made, gaps = siren(), volume()
    entries = [[codec, len(payload)] for codec, payload in made.tensors]

    def corrupt(name: str, about: str, changed: Made) -> Case:
        return Case(f"tensors-{name}", "corrupt", about, changed.bytes())

    def listed(index: int, entry: list[object]) -> Made:
        return made.with_head(tens=[*entries[:index], entry, *entries[index + 1 :]])

    yield corrupt("few", "a tensor less than the network has", replace(made, tensors=made.tensors[:-1]))
    yield corrupt("many", "a tensor more than the network has", made.with_more((0, floats(0.0))))
    yield corrupt("none", "no tensors", made.with_head(tens=[]))
    yield corrupt("entry-long", "an entry of three values", listed(OUT_BIAS, [0, 4, 0]))
    yield corrupt("entry-boolean", "a boolean as a codec", listed(OUT_BIAS, [False, 4]))
    yield corrupt("entry-integer", "an entry that is not a list", made.with_head(tens=[*entries[:3], 0]))
    yield corrupt(
        "length-negative",
        "lengths with the right sum, one of them negative",
        made.with_head(tens=[*entries[:2], [1, -4], [0, entries[2][1] + entries[3][1] + 4]]),
    )
    yield corrupt("sum-short", "lengths whose sum is a byte less than DATA", listed(OUT_BIAS, [0, 3]))
    yield corrupt("sum-long", "lengths whose sum is a byte more than DATA", listed(OUT_BIAS, [0, 5]))
    for name, codec in {"unknown": 99, "two": 2, "five": 5}.items():
        yield Case(f"tensors-codec-{name}", "unsupported", f"codec {codec}", listed(OUT_BIAS, [codec, 4]).bytes())
    yield corrupt("lattice-matrix", "codec lattice for a matrix", made.with_tensor(WEIGHT, 4, b"\x02\x00\x2f\x80"))
    yield corrupt("mask-missing", "valid, but no tensor of codec mask", replace(gaps, tensors=gaps.tensors[:-1]))
    yield corrupt("mask-codec", "valid, but the last tensor has codec raw-f32", gaps.with_tensor(4, 0, floats(*[1.0] * 9)))
    yield corrupt("mask-unasked", "a tensor of codec mask without valid", made.with_more((7, frame(b"\xff\xff\xf0"))))
    yield corrupt("mask-parameter", "codec mask for a parameter", made.with_tensor(OUT_BIAS, 7, frame(b"\x80")))
    yield corrupt(
        "mask-first", "the mask before the last parameter", replace(gaps, tensors=(*gaps.tensors[:3], gaps.tensors[4], gaps.tensors[3]))
    )
    yield corrupt("mask-padding", "padding of the mask that is not zero", gaps.with_tensor(4, 7, frame(bytes.fromhex("c281"))))
    yield corrupt("mask-short", "a byte of the mask less", gaps.with_tensor(4, 7, frame(bytes.fromhex("c2"))))
    yield corrupt("mask-long", "a byte of the mask more", gaps.with_tensor(4, 7, frame(bytes.fromhex("c28000"))))


def coded_cases() -> Iterator[Case]:
    made, grid = siren(), sasnet()

    def corrupt(name: str, about: str, index: int, codec: int, payload: bytes) -> Case:
        return Case(f"codec-{name}", "corrupt", about, made.with_tensor(index, codec, payload).bytes())

    def embedding(name: str, about: str, payload: bytes, codec: int = 4) -> Case:
        return Case(f"lattice-{name}", "corrupt", about, grid.with_tensor(FREQUENCY, codec, payload).bytes())

    yield corrupt("raw-short", "float32 values a byte short", OUT_BIAS, 0, floats(0.25)[:-1])
    yield corrupt("raw-long", "a float32 value too many", OUT_BIAS, 0, floats(0.25, 0.25))
    yield corrupt("raw-nan", "NaN", OUT_BIAS, 0, floats(float("nan")))
    yield corrupt("raw-infinity", "infinity", OUT_BIAS, 0, floats(float("-inf")))
    yield corrupt("int-empty", "no step codes", WEIGHT, 1, b"")
    yield corrupt("int-steps", "step codes, and nothing else", WEIGHT, 1, bytes([0xD0] * 8))
    yield corrupt("int-width", "symbols of three bytes", WEIGHT, 1, bytes([0xD0] * 8) + b"\3" + bytes(48))
    yield corrupt("int-short", "a symbol too few", WEIGHT, 1, bytes([0xD0] * 8) + b"\1" + bytes(15))
    yield corrupt("int-long", "a symbol too many", WEIGHT, 1, bytes([0xD0] * 8) + b"\1" + bytes(17))
    yield embedding("empty", "no bytes", b"")
    yield embedding("bound-zero", "a bound of 0", b"\x00\x00\x2f\x80")
    yield embedding("parameter", "a Golomb-Rice code of 25", b"\x02\x19" + bytes(8))
    yield embedding("beyond", "vector 12 of a half lattice of 12", b"\x02\x04\x02\xc0")
    yield embedding("cut", "the second vector is cut off", b"\x02\x04\x00")
    yield embedding("padding", "padding that is not zero", b"\x02\x00\x01")
    yield embedding("padding-byte", "a byte of padding", b"\x02\x00\x00\x00")
    yield embedding("band", "a frequency beyond the band", b"\x03\x04\x02\xc0")
    yield embedding("raw", "frequencies as float32 values", floats(0.0, 1.0, 2.0, 0.0), 0)
    four = replace(grid.with_net(1, 4).with_net(14, [[0.5, 2, 16, 2]]).with_net(15, [1.0] * 4), tensors=grid.tensors)
    four = four.with_head(axes=[{"name": name, "n": 1} for name in "abcd"]).with_tensor(TABLE, 0, floats(*[0.0] * 16))
    yield Case("lattice-large", "corrupt", "a bound of 40 in four dimensions", four.with_tensor(FREQUENCY, 4, b"\x28\x00\x00").bytes())


def frame_cases() -> Iterator[Case]:
    """Faults of the zstd frame of a mask."""
    made, content = volume(), bytes.fromhex("c280")
    good = frame(content)
    magic, blocks = good[:4], b"".join([struct.pack("<I", (1 << 17) << 3 | 1 << 1)[:3] + b"\0"] * 4000)

    def corrupt(name: str, about: str, payload: bytes) -> Case:
        return Case(f"mask-{name}", "corrupt", about, made.with_tensor(4, 7, payload).bytes())

    yield corrupt("magic", "no zstd frame", b"\x29" + good[1:])
    yield corrupt("empty", "no frame at all", b"")
    yield corrupt("cut", "a frame that is cut off", good[:-1])
    yield corrupt("trailing", "a byte behind the frame", good + b"\0")
    yield corrupt("twice", "two frames with half of the content each", frame(content[:1]) + frame(content[1:]))
    yield corrupt("unstated", "a frame that does not state its size", magic + b"\x00\x00" + good[6:])
    yield corrupt("states-less", "a frame that states two bytes and holds three", frame(content + b"\0", stated=2))
    yield corrupt("states-more", "a frame that states two bytes and holds one", frame(content[:1], stated=2))
    yield corrupt("bomb", "a frame that states two bytes and holds 500 MB", good[:6] + blocks + b"\x01\0\0")
    yield corrupt("window", "a window of 256 MiB", magic + b"\x80\x90" + struct.pack("<I", 2) + good[6:])
    yield corrupt("dictionary", "a frame that needs a dictionary", magic + b"\x21\x07\x02" + good[6:])
    yield corrupt("reserved", "a frame with its reserved bit", magic + b"\x28\x02" + good[6:])
    yield corrupt("checksum", "a frame with a wrong checksum", magic + b"\x24\x02" + good[6:] + b"\1\2\3\4")


def stream_cases() -> Iterator[Case]:
    made, wave = siren(), sound()
    escaped = rans([1000, 0, -70000, 0, 0, 0, 0, 0], (40, 0))

    def corrupt(name: str, about: str, stream: bytes, model: tuple[int, int] = MODEL) -> Case:
        return Case(f"stream-{name}", "corrupt", about, made.with_tensor(BIAS, 3, b"\xd0" + bytes(model) + stream).bytes())

    def shared(name: str, about: str, payload: bytes) -> Case:
        return Case(f"shared-{name}", "corrupt", about, wave.with_tensor(0, 6, payload).bytes())

    yield Case("stream-models", "corrupt", "a step code, and no model", made.with_tensor(BIAS, 3, b"\xd0").bytes())
    yield corrupt("zero-code", "a zero code of 64", STREAM, (64, 3))
    yield corrupt("decay-code", "a decay code of 64", STREAM, (7, 64))
    yield corrupt("empty", "no stream", b"")
    yield corrupt("lanes", "2^11 lanes", b"\x0b\x00" + struct.pack("<I", 2**16) * 2**11)
    yield corrupt("lanes-cut", "1024 lanes, of which one is there", b"\x0a" + STREAM[1:])
    yield corrupt("words-long", "the number of words in two bytes that fits one", b"\x00\x81\x00" + STREAM[2:])
    yield corrupt("words-endless", "a number of words that never ends", b"\x00" + b"\x80" * 12)
    yield corrupt("words-beyond", "more words than bytes", b"\x00\xff\xff\xff\x7f" + STREAM[2:])
    yield corrupt("word-missing", "a word too few", b"\x00\x00" + STREAM[2:-2])
    yield corrupt("word-unused", "a word too many", b"\x00\x02" + STREAM[2:] + b"\0\0")
    yield corrupt("state-low", "a state below 2^16", b"\x00\x01\xff\xff\x00\x00" + STREAM[6:])
    yield corrupt("state-end", "a state that does not come back to 2^16", b"\x00\x01\x36" + STREAM[3:])
    yield corrupt("trailing", "a byte behind the stream", STREAM + b"\0")
    yield corrupt("escape-missing", "an escape too few", escaped[: -len(b"\xdd\xc5\x08")], (40, 0))
    yield corrupt("escape-cut", "an escape that is cut off", escaped[:-1], (40, 0))
    yield corrupt("escape-long", "an escape that is not in its shortest form", escaped[:-1] + bytes([escaped[-1] | 0x80, 0]), (40, 0))
    yield corrupt("escape-beyond", "a symbol beyond 2^30", escaped[:-3] + b"\xff\xff\xff\xff\x0f", (40, 0))
    yield corrupt("escape-endless", "an escape that never ends", escaped[:-3] + b"\xff" * 12, (40, 0))
    symbols = [0, 0, 1, 0, -2, 0]
    yield shared("short", "four bytes", b"\x00\x07\x03\x07")
    yield shared("step-high", "a step code of 128", b"\x7f" + bytes(MODEL * 2) + rans([1, *symbols], MODEL))
    yield shared("step-low", "a step code of -129", b"\x80" + bytes(MODEL * 2) + rans([-1, *symbols], MODEL))
    yield shared("few", "a stream of one number less", b"\xd0" + bytes(MODEL * 2) + rans(symbols, MODEL))


def work_cases() -> Iterator[Case]:
    """Few bytes that ask for much work; the first and the last could be read, in time."""
    plain, coded, entries = sasnet(), sasnet(contexts=True), 5 << 18
    zeros = stream([0] * entries, [(63, 0)] * entries, 0)

    def limit(name: str, about: str, made: Made, level: list[object], codec: int, payload: bytes) -> Case:
        return Case(f"work-{name}", "limit", about, made.with_net(14, [level]).with_tensor(TABLE, codec, b"\xe8" + payload).bytes())

    yield limit("rans", "a stream of 1.3 million numbers in 44 bytes", plain, [0.5, 2, entries, 2], 3, bytes((63, 0)) + zeros)
    yield limit("shared", "a stream of 2^24 numbers by codec rans-shared", plain, [0.5, 2, 2**24, 2], 6, bytes((*MODEL, 63, 0)) + zeros)
    yield limit("contexts", "a dense level of 2^22 entries by contexts", coded, [0.5, 2**11, 2**22, 2], 8, zeros)
    yield limit("parameters", "2^26 parameters in four bytes", plain, [0.5, 2, 2**26, 2], 1, b"\1\0\0\0")


def context_cases() -> Iterator[Case]:
    made, plain = sasnet(contexts=True), sasnet()
    zero = context.ContextNet(*(np.zeros(size, dtype=np.int64) for size in ((1, 12), (2, 1), (2, 11), (2, 1))))
    described, table = made.tensors[NET][1], made.tensors[TABLE][1]
    heavy = replace(zero, bias=np.array([[2**15 + 1], [0]]))

    def corrupt(name: str, about: str, changed: Made) -> Case:
        return Case(f"context-{name}", "corrupt", about, changed.bytes())

    yield corrupt("net-missing", "codec context, but no context network", replace(made, tensors=made.tensors[:NET]))
    yield corrupt("net-unused", "a context network, but no tensor of codec context", plain.with_more((9, described)))
    yield corrupt("net-twice", "two context networks", made.with_more((9, described)))
    yield corrupt("net-parameter", "codec context-net for a parameter", plain.with_tensor(PHASE, 9, described))
    yield corrupt("net-empty", "no bytes of the network", made.with_tensor(NET, 9, b""))
    yield corrupt("neurons-zero", "a network of no neurons", made.with_tensor(NET, 9, b"\0" + described[1:]))
    yield corrupt("neurons-beyond", "a network of 65 neurons", made.with_tensor(NET, 9, b"\x41" + described[1:]))
    yield corrupt("neurons-other", "a network of two neurons, with the weights of one", made.with_tensor(NET, 9, b"\2" + described[1:]))
    yield corrupt("net-model", "a zero code of 64", made.with_tensor(NET, 9, described[:1] + b"\x40" + described[2:]))
    yield corrupt("net-trailing", "a byte behind the network", made.with_tensor(NET, 9, described + b"\0"))
    yield corrupt("weight-beyond", "a weight of 2^15 + 1", made.with_tensor(NET, 9, context.pack_net(heavy)))
    yield corrupt("steps", "no step code", made.with_tensor(TABLE, 8, b""))
    yield corrupt("stream-empty", "a step code, and no stream", made.with_tensor(TABLE, 8, table[:1]))
    yield corrupt("stream-trailing", "a byte behind the stream", made.with_tensor(TABLE, 8, table + b"\0"))
    yield corrupt("matrix", "codec context for a matrix", made.with_tensor(MASK_WEIGHT, 8, table))
    second = [[0.5, 2, 4, 2], [1.5, 3, 9, 2]]
    wide = replace(made.with_net(14, second), tensors=(*made.tensors[:3], (0, floats(*[0.0] * 9)), *made.tensors[3:]))
    sizes = {4: (2, 2), 8: (2, 4), 10: (1, 4)}
    for index, (rows, columns) in sizes.items():
        wide = wide.with_tensor(index, 0, floats(*[0.25] * rows * columns))
    net = replace(zero, bias=np.zeros((2, 2), dtype=np.int64))
    wide = wide.with_tensor(NET + 1, 9, context.pack_net(net))
    yield corrupt("floats", "a dense level of float32 values beside a level of codec context", wide)
    hashed = wide.with_net(14, [second[0], [1.5, 3, 8, 2]]).with_tensor(TABLE + 1, 8, table).with_head()
    yield corrupt("hashed", "codec context for a hashed level", hashed)
    sparse = plain.with_net(14, [[0.5, 2, 3, 2]]).with_tensor(TABLE, 8, table).with_more((9, described))
    yield corrupt("no-levels", "a context network, and no dense level", sparse)
