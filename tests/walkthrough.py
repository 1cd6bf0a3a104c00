"""The numbers of formats/walkthrough.md from the bytes of its file, by the text of the format and the standard library alone."""

import json
import math
import re
import struct
import zlib
from typing import Any

MANTISSAS = [8388608, 9147842, 9975792, 10878679, 11863283, 12937002, 14107901, 15384775]
SIZES = [("first.weight", [4, 2], 0), ("first.bias", [4], -1), ("out.weight", [1, 4], 0), ("out.bias", [1], -1)]
DUMP = re.compile(r"^([0-9a-f]{8})  ((?:[0-9a-f]{2} ?)+) *\|", re.MULTILINE)
SPAN = re.compile(r"^\| `([0-9a-f]{4})` \| `((?:[0-9a-f]{2} ?)+)` \| ", re.MULTILINE)


def dumped(document: str) -> bytes:
    """The bytes of the hex dump."""
    return _joined(DUMP, document)


def explained(document: str) -> bytes:
    """The bytes of the rows that explain some."""
    return _joined(SPAN, document)


def _joined(lines: re.Pattern[str], document: str) -> bytes:
    """The bytes of all lines of a kind, which follow one another without holes."""
    found = b""
    for offset, line in lines.findall(document):
        assert int(offset, 16) == len(found), offset
        found += bytes.fromhex(line)
    return found


def facts(data: bytes) -> dict[str, Any]:
    """What the document says, in the form of tools/walkthrough_facts.py."""
    assert data[:8] == b"\x89INR\r\n\x1a\n"
    chunks, at = [], 8
    while at < len(data):
        length, letters = struct.unpack_from("<I4s", data, at)
        (crc,) = struct.unpack_from("<I", data, at + 8 + length)
        assert crc == zlib.crc32(data[at + 4 : at + 8 + length])
        chunks.append({"offset": at, "length": length, "letters": letters.decode(), "crc": crc})
        at += 12 + length
    assert [chunk["letters"] for chunk in chunks] == ["HEAD", "DATA", "DONE"] and chunks[2]["length"] == 0
    rows: list[dict[str, Any]] = []
    head, end = value_at(data, 18, "", 18, rows)
    assert end == chunks[0]["offset"] + 8 + chunks[0]["length"]
    name, d, c, h, layers, omega, _ = head["net"]
    assert (name, d, c, h, layers) == ("siren.1", 2, 1, 4, 0)
    tensors, at = [], chunks[1]["offset"] + 8
    for (tensor, shape, axis), (codec, length) in zip(SIZES, head["tens"], strict=True):
        tensors.append({"name": tensor, "shape": shape, "axis": axis, "codec": codec, "offset": at, "length": length})
        at += length
    assert at == chunks[1]["offset"] + 8 + chunks[1]["length"]
    parts = [data[tensor["offset"] : tensor["offset"] + tensor["length"]] for tensor in tensors]
    weights, bias, out = rans(parts[0], 4, 2), plain(*parts[1][:2], parts[1][2:]), plain(*parts[2][:2], parts[2][2:])
    (last,) = struct.unpack("<f", parts[3])
    assert [tensor["codec"] for tensor in tensors] == [3, 1, 1, 0] and len(bias["symbols"]) == len(out["symbols"]) == 4
    sizes = [axis["n"] for axis in head["axes"]]
    channel, top = head["out"]["channels"][0], 2 ** head["out"]["bits"] - 1

    def sample(row: int, column: int) -> dict[str, Any]:
        x = [-1 + (i + 0.5) / n * 2 for i, n in zip((row, column), sizes, strict=True)]
        z = [
            sum(w * value for w, value in zip(line, x, strict=True)) + b for line, b in zip(weights["values"], bias["values"], strict=True)
        ]
        sines = [math.sin(omega * value) for value in z]
        products = [w * sine for w, sine in zip(out["values"], sines, strict=True)]
        y = sum(products) + last
        v = channel["scale"] * y + channel["offset"]
        found = {"index": [row, column], "x": x, "z": z, "arguments": [omega * value for value in z], "sines": sines, "products": products}
        return {**found, "y": y, "v": v, "scaled": v * top, "code": math.floor(min(max(v, 0), 1) * top + 0.5)}

    return {
        "data": data,
        "axes": [axis["name"] for axis in head["axes"]],
        "sizes": sizes,
        "neurons": h,
        "chunks": chunks,
        "version": [data[16], data[17]],
        "head": rows,
        "tensors": tensors,
        "weights": weights,
        "bias": bias,
        "out": out,
        "last": last,
        "sample": sample(1, 3),
        "codes": [[sample(row, column)["code"] for column in range(sizes[1])] for row in range(sizes[0])],
    }


def value_at(data: bytes, at: int, path: str, start: int, rows: list[dict[str, Any]]) -> tuple[Any, int]:
    """A value of msgpack, of those that the file has, and where it ends; a row for it and for those in it."""
    tag, at = data[at], at + 1
    if tag >> 4 in (8, 9):
        rows.append({"offset": start, "size": at - start, "path": path, "says": f"{'map' if tag >> 4 == 8 else 'list'} of {tag & 15}"})
        found: Any = {} if tag >> 4 == 8 else []
        for i in range(tag & 15):
            begin = at
            if isinstance(found, dict):
                size = data[at] - 0xA0
                key, at = data[at + 1 : at + 1 + size].decode(), at + 1 + size
                found[key], at = value_at(data, at, f"{path}.{key}" if path else key, begin, rows)
            else:
                item, at = value_at(data, at, f"{path}[{i}]", begin, rows)
                found.append(item)
        return found, at
    if tag < 0x80:
        value: Any = tag
    elif tag == 0xCA:
        (value,), at = struct.unpack_from(">f", data, at), at + 4
    else:
        assert tag >> 5 == 5, hex(tag)
        value, at = data[at : at + (tag & 31)].decode("ascii"), at + (tag & 31)
    rows.append({"offset": start, "size": at - start, "path": path, "says": json.dumps(value)})
    return value, at


def rans(part: bytes, g: int, width: int) -> dict[str, Any]:
    """A tensor of codec rans of g rows."""
    steps = [step(code) for code in part[:g]]
    models = [model(part[g + 2 * i], part[g + 2 * i + 1]) for i in range(g)]
    stream = part[3 * g :]
    lanes, w = 2 ** stream[0], stream[1]
    assert w < 128
    states = [int.from_bytes(stream[2 + 4 * k : 6 + 4 * k], "little") for k in range(lanes)]
    words = [int.from_bytes(stream[2 + 4 * lanes + 2 * k :][:2], "little") for k in range(w)]
    rest, waiting, now = list(stream[2 + 4 * lanes + 2 * w :]), list(words), list(states)
    turns, letters, escapes, symbols = [], [], [], []
    for i in range(g * width):
        known, lane = models[i // width], i % lanes
        x = now[lane]
        slot = x & 0x3FFF
        a = next(k for k in range(len(known["freq"])) if known["start"][k] <= slot < known["start"][k] + known["freq"][k])
        y = known["freq"][a] * (x // 16384) + slot - known["start"][a]
        word = waiting.pop(0) if y < 65536 else None
        now[lane] = y if word is None else y * 65536 + word
        turn = {"i": i, "lane": lane, "x": x, "slot": slot, "letter": a, "freq": known["freq"][a], "start": known["start"][a], "next": y}
        turns.append({**turn, "word": word, "state": now[lane]})
        letters.append(a)
    assert not waiting and set(now) == {65536}
    for i, a in enumerate(letters):
        most = len(models[i // width]["freq"]) // 2 - 1
        symbol = (a + 1) // 2 * (1 if a % 2 else -1)
        if a == 2 * most + 1:
            v = rest.pop(0)
            assert v < 128
            symbol = (v // 2 + most + 1) * (1 - 2 * (v % 2))
            escapes.append({"i": i, "v": v, "half": v // 2, "most": most, "symbol": symbol})
        symbols.append(symbol)
    assert not rest
    values = [[f32(symbols[i * width + j] * steps[i]["step"]) for j in range(width)] for i in range(g)]
    coded = {"steps": steps, "models": models, "log2_lanes": stream[0], "states": states, "words": words}
    return {**coded, "turns": turns, "escapes": escapes, "symbols": symbols, "values": values}


def step(byte: int) -> dict[str, Any]:
    code = byte - 256 if byte > 127 else byte
    octave, eighth = math.floor(code / 8), code - 8 * math.floor(code / 8)
    return {"code": code, "div": octave, "mod": eighth, "mantissa": MANTISSAS[eighth], "step": MANTISSAS[eighth] * 2.0 ** (octave - 23)}


def model(zero: int, decay: int) -> dict[str, Any]:
    assert zero < 64 and decay < 64
    shares, decays = [64880], [65000]
    while len(shares) <= zero:
        shares.append(shares[-1] * 57052 // 65536)
    while len(decays) <= decay:
        decays.append(decays[-1] * 58386 // 65536)
    freq = [min(max(16384 - shares[-1] // 4, 1), 16381)]
    rests = [16384 - freq[0]]
    while len(rests) <= 4096:
        f = max(1, rests[-1] * decays[-1] // 131072)
        if 2 * f + 1 > rests[-1]:
            break
        freq += [f, f]
        rests.append(rests[-1] - 2 * f)
    freq.append(rests[-1])
    start = [sum(freq[:k]) for k in range(len(freq))]
    return {"zero": zero, "decay": decay, "shares": shares, "decays": decays, "rests": rests, "freq": freq, "start": start}


def plain(code: int, width: int, symbols: bytes) -> dict[str, Any]:
    assert width == 1
    numbers, known = list(struct.unpack(f"{len(symbols)}b", symbols)), step(code)
    return {"step": known, "width": width, "symbols": numbers, "values": [f32(symbol * known["step"]) for symbol in numbers]}


def f32(value: float) -> float:
    return float(struct.unpack("<f", struct.pack("<f", value))[0])
