"""What is fuzzed of the .inr format: whole files, also by two readers, maps, and the streams in tensors; see fuzz.py."""

import struct
import zlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from random import Random

import numpy as np

from conformance import minidecoder, tiledecoder
from inrcodec import context, convert, entropy, lattice, residual, validity
from inrcodec.codec import verify
from inrcodec.container import decompress, dump, load, unpack_map
from inrcodec.errors import InrError
from inrcodec.head import check_head
from inrcodec.limits import Limits
from inrcodec.opening import open_inr
from inrcodec.weights import read_network
from tools import small_files, small_residuals, small_tiles
from tools.fuzz_bytes import changed_value, damaged, damaged_file, one_changed, packed, split
from tools.fuzz_run import Target
from tools.small_files import SIGNATURE, joined

CONFORMANCE = Path(__file__).resolve().parents[1] / "conformance"
LARGE = 6000  # bytes of a seed that is left out
TAGS = (*(bytes([tag]) for tag in range(0x80, 0x100)), b"\0", b"\x7f", b"\xcb\x7f\xef", b"\xce\xff\xff\xff\xff", b"\xa1y")  # of msgpack
TINY = Limits(output_samples=1 << 12, work=1 << 26)  # of what is evaluated


@cache
def valid() -> tuple[bytes, ...]:
    """The conformance files that are small, and those made by hand."""
    read = [path.read_bytes() for path in sorted(CONFORMANCE.glob("valid/*/*/input.inr"))]
    made = [*small_files.files().values(), *(data for data, _ in small_residuals.files().values()), *small_tiles.files().values()]
    return (*made, *(data for data in read if len(data) < LARGE))


@cache
def files() -> tuple[bytes, ...]:
    """These, and faulty ones whose chunks are whole."""
    read = [path.read_bytes() for path in sorted(CONFORMANCE.glob("faulty/*.inr"))]
    return (*valid(), *(data for data in read if len(data) < LARGE and _whole(data)))


def one_of(random: Random) -> bytes:
    return random.choice(valid() if random.random() < 0.8 else files())


def _whole(data: bytes) -> bool:
    try:
        load(data)
    except InrError:
        return False
    return True


def make_file(random: Random) -> bytes:
    return damaged_file(one_of(random), random, files())


def read_file(data: bytes) -> None:
    """All that a file says, a sample at a point and, if they are few, those of its grid."""
    inr = open_inr(data, backend="numpy", device="cpu")
    tiny = open_inr(data, backend="numpy", device="cpu", limits=TINY)
    for part in ("params", "added", "missing"):
        getattr(inr, part)
    for part in ("info", "bounds", "axes", "space", "channels"):
        getattr(inr, part)
    inr.metadata()
    verify(inr, decode=False)
    tiny.at(np.zeros((1, len(inr.grid_shape))))
    tiny.decode()


@cache
def _parts() -> tuple[tuple[bytes, bytes], ...]:
    """HEAD with its letters, and what follows the chunk, of the files of `valid`."""
    return tuple((data[12 : 16 + size], data[20 + size :]) for data in valid() for size in [int.from_bytes(data[8:12], "little")])


def make_head(random: Random) -> bytes:
    """A file with a few bytes of HEAD changed, put in or left out; the checksum is right again."""
    head, rest = random.choice(_parts())
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        at = random.randrange(6, len(head))
        left = random.choice((0, 1, 1, 1, 1, 2, 9))
        flipped, low = bytes([head[at] ^ 1 << random.randrange(8)]), bytes([random.randrange(128)])
        put = random.choice((random.randbytes(left), low, low, flipped, flipped, random.choice(TAGS)))
        head = head[:at] + put + head[at + left :]
    return b"".join((SIGNATURE, struct.pack("<I", len(head) - 4), head, struct.pack("<I", zlib.crc32(head)), rest))


def read_head(data: bytes) -> None:
    """The container, HEAD and the network's configuration."""
    read_network(load(data).head)


def make_map(random: Random) -> bytes:
    head = load(one_of(random)).head
    found = packed(changed_value(head, random), random)
    return damaged(found, random) if random.random() < 0.5 else found


def read_map(data: bytes) -> None:
    head = unpack_map(data, "HEAD")
    check_head(head)
    read_network(head)


@cache
def _streams() -> tuple[bytes, ...]:
    """A number of `_read_one`, then a payload that it takes."""
    random = np.random.default_rng(0)
    zeros, many = np.zeros(4096, dtype=np.int64), random.integers(-40, 40, 6000).astype(np.int32)
    net, wide = small_residuals.network(2, 2), small_residuals.network(3, 1)
    plane, box = random.integers(-3, 4, (9, 9, 2)), random.integers(-3, 4, (4, 4, 4, 1))
    corrected = residual.to_planes(random.integers(-90, 90, (6, 7, 2)).astype(np.int32))
    kept = (random.random((5, 6, 7)) < 0.5)[1:]
    return (
        b"\0" + entropy.encode(np.array([1, -300, 0, 2**29], np.int32), zeros[:4], [(7, 3)]),
        b"\1" + entropy.encode(many, np.arange(6000) % 2, [(10, 20), (3, 30)]),
        b"\2" + context.encode(net, plane, None, 0),
        b"\3" + context.encode(wide, box, None, 0),
        b"\4" + context.pack_net(net),
        b"\5" + residual.encode(corrected, 2, small_residuals.network(2, 2)),
        b"\6" + lattice.encode(lattice.half_lattice(9, 2)[::7]),
        b"\7" + validity.encode(kept)[1],
        b"\x08" + small_files.frame(bytes(100)),
        b"\x09" + entropy.encode(zeros.astype(np.int32), zeros, [(63, 0)]),
    )


def make_stream(random: Random) -> bytes:
    chosen = random.choice(_streams())
    return chosen[:1] + damaged(chosen[1:], random, [part[1:] for part in _streams()])


def read_stream(data: bytes) -> None:
    """One stream, of the kind that its first byte says, by what belongs to it."""
    kind, payload = data[0] % 10, data[1:]
    if kind in (0, 9):
        n = 4 if kind == 0 else 4096
        entropy.decode(payload, np.zeros(n, dtype=np.int64), [(7, 3) if kind == 0 else (63, 0)])
    elif kind == 1:
        entropy.decode(payload, np.arange(6000) % 2, [(10, 20), (3, 30)])
    elif kind == 2:
        context.decode(payload, small_residuals.network(2, 2), (9, 9, 2), None, 0)
    elif kind == 3:
        context.decode(payload, small_residuals.network(3, 1), (4, 4, 4, 1), None, 0)
    elif kind == 4:
        context.unpack_net(payload, d=2, planes=2)
    elif kind == 5:
        residual.decode(payload, (6, 7), 2)
    elif kind == 6:
        lattice.decode(payload, len(lattice.half_lattice(9, 2)[::7]), 2)
    elif kind == 7:
        validity.decode(payload, (4, 6, 7))
    else:
        decompress(payload, 1 << 20)


def rewrapped(data: bytes) -> None:
    """Files that are taken come back from the writer as they were read, and from `convert` with the same parameters and once for all."""
    container = load(data)
    assert load(dump(container)) == container
    assert len(split(dump(container))) == 3 + len(container.ancillary) + bool(container.tile) + len(container.parts)
    once = convert.rewrapped(data)
    assert convert.rewrapped(once) == once
    assert (load(once).data, load(once).tile, load(once).parts) == (container.data, container.tile, container.parts)
    assert load(once).head == container.head
    assert not [chunk for chunk in load(convert.rewrapped(data, strip=True)).ancillary if chunk.type != b"iCCP"]


def make_single(random: Random) -> bytes:
    """A file with one fault, which all readers judge alike: a byte or bit is another, put in or left out; the checksum is right."""

    def change(payload: bytes) -> bytes:
        at = random.randrange(len(payload))
        put = random.choice((b"", random.randbytes(1), bytes([payload[at] ^ 1 << random.randrange(8)])))
        return payload[:at] + put + payload[at + random.randrange(2) :]

    data = random.choice(small_tiles_files() if random.random() < 0.5 else valid())
    return joined(one_changed(split(data), random, change))


@cache
def small_tiles_files() -> tuple[bytes, ...]:
    return tuple(small_tiles.files().values())


def read_alike(data: bytes) -> None:
    """By the package and by the decoder of tiles: both take it, or refuse it for the same; each may have its own limits."""
    refused: InrError | None = None
    try:
        inr = open_inr(data, backend="numpy", device="cpu")
        _, _, _ = [*inr.params.values()], inr.added, inr.missing
    except InrError as error:
        refused = error
    code = 0 if refused is None else refused.exit_code
    try:
        tiledecoder.open(data)
    except minidecoder.InrError as error:
        assert error.code == code or minidecoder.LIMIT in (error.code, code), f"{error.code} {error}, {code} {refused}"
    else:
        assert code in (0, minidecoder.LIMIT), f"accepted, {code} {refused}"
    if refused is not None:
        raise refused


def targets() -> Sequence[Target]:
    return (
        Target("head", make_head, read_head),
        Target("file", make_file, read_file),
        Target("map", make_map, read_map),
        Target("stream", make_stream, read_stream),
        Target("rewrap", make_file, rewrapped),
        Target("readers", make_single, read_alike),
    )
