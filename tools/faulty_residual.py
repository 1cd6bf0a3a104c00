"""Faults of residuals: see make_faulty.py."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from inrcodec import context, residual
from tools.small_files import Case, Made, shape, siren
from tools.small_residuals import SINGLE, Corrected, corrected, gaps, line, network, pattern, stated

LARGEST = 2**30


def image() -> Corrected:
    """The image of small_files.py with a residual."""
    return corrected(siren(), pattern((4, 5, 1), 251).astype(np.uint8), bound=0.0, tolerance=SINGLE, low=1, lively=False)


def residual_head_cases() -> Iterator[Case]:
    made, (gap, samples) = image(), gaps()
    payload = made.tensors[-1][1]
    missing = corrected(gap, samples, bound=0.01, tolerance=SINGLE)
    *others, behind, mask = missing.tensors
    plain = made.with_out(residual=None).head["out"]
    square = stated(siren().with_head(axes=[{"name": name, "n": 2**16} for name in "yx"]), bound=0.0, step=1.0, tolerance=SINGLE)

    def corrupt(name: str, about: str, changed: Made) -> Case:
        return Case(f"residual-{name}", "corrupt", about, changed.bytes())

    yield corrupt("req-missing", "a residual that req does not name", made.with_head(req=[]))
    yield corrupt("req-alone", "req names a residual, and there is none", siren().with_head(req=["residual"]))
    yield corrupt(
        "out-missing",
        "a tensor of codec residual and its name in req, but nothing in out",
        made.with_head(out={k: v for k, v in plain.items() if v is not None}),
    )
    yield corrupt("out-list", "a list in place of the map", made.with_out(residual=[0.0, 1.0, 1.0]))
    yield corrupt("key-missing", "no tolerance", made.with_stated(tolerance=None))
    yield corrupt("key-unknown", "a key that no table has", made.with_stated(unit=1.0))
    yield corrupt("bound-integer", "an integer as bound", made.with_stated(bound=0))
    yield corrupt("bound-negative", "a bound below 0", made.with_stated(bound=-1.0))
    yield corrupt("step-zero", "a step of 0", made.with_stated(step=0.0))
    yield corrupt("step-negative", "a step below 0", made.with_stated(step=-1.0))
    yield corrupt("tolerance-zero", "a tolerance of 0", made.with_stated(tolerance=0.0))
    yield corrupt("shape", "a residual of a shape", stated(shape(), bound=1.0, step=1.0, tolerance=SINGLE).with_residual(b""))
    yield corrupt("tensor-missing", "no tensor of codec residual", replace(made, tensors=made.tensors[:-1]))
    yield corrupt("tensor-unasked", "a tensor of codec residual, and no residual in HEAD", siren().with_more((10, payload)))
    yield corrupt("tensor-twice", "two residuals", made.with_more((10, payload)))
    yield corrupt("tensor-parameter", "codec residual for a parameter", made.with_tensor(3, 10, b""))
    yield corrupt(
        "tensor-first", "the residual before the last parameter", replace(made, tensors=(*made.tensors[:3], *made.tensors[:2:-1]))
    )
    yield corrupt("tensor-last", "the residual behind the mask", replace(missing, tensors=(*others, mask, behind)))
    long = stated(siren().with_head(axes=[{"name": "y", "n": 2**22}, {"name": "x", "n": 2}]), bound=0.0, step=1.0, tolerance=SINGLE)
    yield Case("residual-work", "limit", "a residual of 2^23 numbers in one byte", long.with_residual(b"\0").bytes())
    yield Case("residual-numbers", "limit", "a residual of 2^32 numbers", square.with_residual(b"").bytes())


def residual_cases() -> Iterator[Case]:
    made, planes = image(), residual.to_planes(pattern((4, 5, 1), 9).astype(np.int32) - 4)
    net, folded = network(2, 1, lively=False), stated(line(), bound=1.0, step=1.0, tolerance=SINGLE)
    described, stream = context.pack_net(net), context.encode(net, planes >> 1, None, 0)
    low = residual.encode(planes, 1, net)[-3:]
    behind = residual.to_planes(pattern((11, 1), 5).astype(np.int32))
    behind[-1, -1] = 1

    def sized(part: bytes) -> bytes:
        assert len(part) < 128
        return bytes([len(part)]) + part

    def large(value: int) -> bytes:
        return sized(context.encode(net, np.where(np.arange(20).reshape(4, 5, 1) == 7, value, 0), None, 0))

    def corrupt(name: str, about: str, *parts: bytes) -> Case:
        return Case(f"residual-{name}", "corrupt", about, made.with_residual(b"".join(parts)).bytes())

    first = b"\1" + sized(described)
    assert first + sized(stream) + low == residual.encode(planes, 1, net)
    yield corrupt("low-bits", "17 low bits", b"\x11", sized(described), sized(stream), bytes(43))
    yield corrupt("net-missing", "the number of low bits, and nothing else", b"\1")
    yield corrupt("net-empty", "a network of no bytes", b"\1\0", sized(stream), low)
    yield corrupt("net-cut", "a network that is cut off", first[:-1])
    yield corrupt(
        "net-length",
        "the length of the network in two bytes that fits one",
        b"\1",
        bytes([len(described) | 128, 0]),
        described,
        sized(stream),
        low,
    )
    yield corrupt("net-endless", "a length that never ends", b"\1", b"\x80" * 12)
    yield corrupt("net-trailing", "a byte behind the network's stream", b"\1", sized(described + b"\0"), sized(stream), low)
    yield corrupt(
        "net-planes", "a network for two channels", b"\1", sized(context.pack_net(network(2, 2, lively=False))), sized(stream), low
    )
    yield corrupt("net-axes", "a network for three axes", b"\1", sized(context.pack_net(network(3, 1, lively=False))), sized(stream), low)
    yield corrupt("stream-missing", "no stream", first)
    yield corrupt("stream-empty", "a stream of no bytes", first, b"\0", low)
    yield corrupt("stream-cut", "a stream that is cut off", first, sized(stream)[:-1])
    yield corrupt("stream-trailing", "a byte behind the stream, of its length", first, sized(stream + b"\0"), low)
    yield corrupt(
        "stream-state", "a state that does not come back to 2^16", first, sized(stream[:2] + bytes([stream[2] ^ 1]) + stream[3:]), low
    )
    yield corrupt("stream-twice", "two streams of one channel", first, sized(stream), sized(stream), low)
    yield corrupt("integer-high", "an integer above 2^30 with its low bit", first, large(LARGEST // 2 + 1), bytes(3))
    yield corrupt("integer-low", "an integer below -2^30 with its low bit", first, large(-LARGEST // 2 - 1), bytes(3))
    yield corrupt("bits-missing", "no low bits", first, sized(stream))
    yield corrupt("bits-cut", "low bits a byte short", first, sized(stream), low[:-1])
    yield corrupt("bits-padding", "padding of the low bits that is not zero", first, sized(stream), low[:-1], bytes([low[-1] | 1]))
    yield corrupt("bits-none", "low bits, and the number of them is 0", b"\0", first[1:], sized(stream), low)
    yield corrupt("trailing", "a byte behind the low bits", first, sized(stream), low, b"\0")
    yield Case(
        "residual-behind", "corrupt", "an integer behind the last sample", folded.with_residual(residual.encode(behind, 0, net)).bytes()
    )
