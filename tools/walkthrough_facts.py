"""What formats/walkthrough.md says of its file, in numbers, found with the package and the decoder in one file."""

import json
import struct
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

import numpy as np

import inrcodec
from conformance import minidecoder
from inrcodec import container, entropy, quantize, spec

Facts = dict[str, Any]
SAMPLE = (1, 3)  # the one that is computed by hand


def facts(data: bytes) -> Facts:
    """All of them. The file is a siren.1 without hidden layers, its tensors have the codecs 3, 1, 1 and 0."""
    chunks = list(chunk_facts(data))
    opened = container.load(data)
    config = minidecoder.read_net(opened.head)
    start = next(chunk["offset"] + 8 for chunk in chunks if chunk["letters"] == "DATA")
    tensors, at = [], start
    for (name, shape, axis), (codec, length) in zip(config["tensors"], opened.head["tens"], strict=True):
        tensors.append({"name": name, "shape": list(shape), "axis": axis, "codec": codec, "offset": at, "length": length})
        at += length
    parts = [data[t["offset"] : t["offset"] + t["length"]] for t in tensors]
    return {
        "data": data,
        "axes": [axis["name"] for axis in opened.head["axes"]],
        "sizes": [axis["n"] for axis in opened.head["axes"]],
        "neurons": opened.head["net"][3],
        "chunks": chunks,
        "version": list(data[16:18]),
        "head": list(head_facts(data[: start - 12], 18)),
        "tensors": tensors,
        "weights": rans_facts(parts[0], tensors[0]["shape"]),
        "bias": plain_facts(parts[1]),
        "out": plain_facts(parts[2]),
        "last": struct.unpack("<f", parts[3])[0],
        "sample": sample_facts(data, opened.head),
        "codes": inrcodec.open(data, backend="numpy").decode().reshape([axis["n"] for axis in opened.head["axes"]]).tolist(),
    }


def chunk_facts(data: bytes) -> Iterator[Facts]:
    at = len(spec.SIGNATURE)
    for letters, payload in minidecoder.read_chunks(data):
        end = at + 8 + len(payload)
        crc = int.from_bytes(data[end : end + 4], "little")
        yield {"offset": at, "length": len(payload), "letters": letters.decode(), "crc": crc}
        at = end + 4


def head_facts(data: bytes, at: int, path: str = "", start: int | None = None) -> Iterator[Facts]:
    """A row per value, with the key in front of it: offset, size, path, and what is there."""
    start = at if start is None else start
    value, end = minidecoder.unpack(data, at)
    if not isinstance(value, dict | list):
        yield {"offset": start, "size": end - start, "path": path, "says": json.dumps(value)}
        return
    count = len(value)
    yield {"offset": start, "size": at + 1 - start, "path": path, "says": f"{'map' if isinstance(value, dict) else 'list'} of {count}"}
    at += 1
    for i in range(count):
        begin, name = at, f"{path}[{i}]"
        if isinstance(value, dict):
            key, at = minidecoder.unpack(data, at)
            name = f"{path}.{key}" if path else key
        yield from head_facts(data, at, name, begin)
        at = minidecoder.unpack(data, at)[1]


def rans_facts(part: bytes, shape: list[int]) -> Facts:
    g, width = shape
    codes = np.frombuffer(part, np.int8, g).astype(int).tolist()
    models = [(part[g + 2 * i], part[g + 2 * i + 1]) for i in range(g)]
    stream = part[3 * g :]
    lanes, (count, at) = 1 << stream[0], minidecoder.leb128(stream, 1)
    states = list(struct.unpack_from(f"<{lanes}I", stream, at))
    words = list(struct.unpack_from(f"<{count}H", stream, at + 4 * lanes))
    turns, escapes = turn_facts(states, words, [models[e // width] for e in range(g * width)], stream[at + 4 * lanes + 2 * count :])
    symbols = entropy.decode(stream, np.arange(g * width) // width, models).tolist()
    values = quantize.dequantize(np.array(symbols, np.int32).reshape(shape), np.array(codes, np.int8), 0)
    return {
        "steps": [step_facts(code) for code in codes],
        "models": [model_facts(*model) for model in models],
        "log2_lanes": stream[0],
        "states": states,
        "words": words,
        "turns": turns,
        "escapes": escapes,
        "symbols": symbols,
        "values": np.asarray(values, float).tolist(),
    }


def step_facts(code: int) -> Facts:
    octave, eighth = divmod(code, 8)
    return {
        "code": code,
        "div": octave,
        "mod": eighth,
        "mantissa": spec.STEP_MANTISSAS[eighth],
        "step": float(quantize.steps(np.array(code))),
    }


def model_facts(zero: int, decay: int) -> Facts:
    freq = entropy.table((zero, decay)).tolist()
    return {
        "zero": zero,
        "decay": decay,
        "shares": [entropy.nonzero_share(code) for code in range(zero + 1)],
        "decays": [entropy.decay_share(code) for code in range(decay + 1)],
        "rests": [entropy.TOTAL - sum(freq[: 2 * k + 1]) for k in range(len(freq) // 2)],
        "freq": freq,
        "start": [0, *accumulate(freq[:-1])],
    }


def turn_facts(states: list[int], words: list[int], models: list[tuple[int, int]], extra: bytes) -> tuple[list[Facts], list[Facts]]:
    """The loop of section 6, turn by turn, and what stands for the escapes."""
    turns, escapes, now, p, at = [], [], [*states], 0, 0
    for i, model in enumerate(models):
        freq = entropy.table(model).tolist()
        lane, last = i % len(now), len(freq) - 1
        x, slot = now[lane], now[lane] % entropy.TOTAL
        letter = int(np.searchsorted(np.cumsum(freq), slot, side="right"))
        first = sum(freq[:letter])
        y = freq[letter] * (x >> spec.RANS_PRECISION) + slot - first
        turn = {"i": i, "lane": lane, "x": x, "slot": slot, "letter": letter, "freq": freq[letter], "start": first, "next": y, "word": None}
        if y < spec.RANS_LOW:
            turn["word"], y, p = words[p], y * spec.RANS_LOW + words[p], p + 1
        now[lane] = turn["state"] = y
        turns.append(turn)
        if letter == last:
            v, at = minidecoder.leb128(extra, at)
            size = (v >> 1) + last // 2 + 1
            escapes.append({"i": i, "v": v, "half": v >> 1, "most": last // 2, "symbol": -size if v & 1 else size})
    return turns, escapes


def plain_facts(part: bytes) -> Facts:
    """A tensor of one group whose symbols are bytes."""
    code, symbols = struct.unpack("b", part[:1])[0], list(struct.unpack(f"{len(part) - 2}b", part[2:]))
    values = quantize.dequantize(np.array(symbols, np.int32), np.array([code], np.int8), -1)
    return {"step": step_facts(code), "width": part[1], "symbols": symbols, "values": np.asarray(values, float).tolist()}


def sample_facts(data: bytes, head: Facts) -> Facts:
    file = minidecoder.open(data, np.float64)
    p = {name: value.astype(float) for name, value in file.params.items()}
    x = np.array([-1 + (i + 0.5) / axis["n"] * 2 for i, axis in zip(SAMPLE, head["axes"], strict=True)])
    z = p["first.weight"] @ x + p["first.bias"]
    sines = np.sin(head["net"][5] * z)
    products = p["out.weight"][0] * sines
    y = float(file.outputs(x[None], np.float64)[0, 0])
    channel = head["out"]["channels"][0]
    v, top = channel["scale"] * y + channel["offset"], 2 ** head["out"]["bits"] - 1
    return {
        "index": list(SAMPLE),
        "x": x.tolist(),
        "z": z.tolist(),
        "arguments": (head["net"][5] * z).tolist(),
        "sines": sines.tolist(),
        "products": products.tolist(),
        "y": y,
        "v": v,
        "scaled": v * top,
        "code": int(file.decode()[SAMPLE][0]),
    }
