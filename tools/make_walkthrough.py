"""Write formats/walkthrough.md, which takes a small file apart byte by byte, from conformance/valid/1/small-walkthrough.

    python -m tools.make_walkthrough [--check]

With --check nothing is written, and the program ends with 1 if the text is not as it would be written.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from inrcodec import spec
from tools.render_tables import FORMATS, put, table
from tools.walkthrough_facts import Facts, facts

PATH = FORMATS / "walkthrough.md"
FILE = Path(__file__).resolve().parents[1] / "conformance" / "valid" / "1" / "small-walkthrough" / "input.inr"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--check", action="store_true")
    return put(PATH, layout(facts(FILE.read_bytes())), "tools.make_walkthrough", check=parser.parse_args().check)


def layout(found: Facts) -> str:
    """The document that says these facts: it forms offsets and counts, all other numbers are those of `found`."""
    parts = (introduction, container, head, data, steps, models, stream, turns, others, sample)
    return "\n".join(part(found) for part in parts)


def introduction(found: Facts) -> str:
    data = found["data"]
    lines = [f"{i:08x}  {hexed(data[i : i + 16]):<47}  |{printable(data[i : i + 16])}|" for i in range(0, len(data), 16)]
    return f"""# A file, byte by byte

This is an appendix of [the format](inr-1.0.md); it adds nothing to it. It takes the file `conformance/valid/1/small-walkthrough/input.inr`
apart: a picture of {" x ".join(map(str, found["sizes"]))} samples as the function of {found["neurons"]} neurons, {len(data)} bytes. The
text is made by `python -m tools.make_walkthrough`; every number in it is computed a second time by the tests. Offsets, bytes and checksums
are hexadecimal, all other numbers decimal.

```
{chr(10).join(lines)}
```

The tables below that begin with an offset have every byte of the file once, in order.
"""


def container(found: Facts) -> str:
    head, data = found["chunks"][0], found["data"]
    rows = [
        span(data, 0, len(spec.SIGNATURE), "signature"),
        span(data, head["offset"], 4, f"length of the payload: {head['length']}"),
        span(data, head["offset"] + 4, 4, f"letters `{head['letters']}`: critical, of this format"),
        span(data, head["offset"] + 8, 1, f"major version {found['version'][0]}"),
        span(data, head["offset"] + 9, 1, f"minor version {found['version'][1]}"),
    ]
    chunks = [
        (f"`{c['letters']}`", offset(c["offset"]), c["length"], offset(c["offset"] + 8), f"`{c['crc']:08x}`") for c in found["chunks"]
    ]
    return f"""## 1. Container

Section 1 of the format. The chunks, with the offsets of their lengths and of their payloads, and with their checksums as numbers (in the
file the low byte is first):

{table(("chunk", "offset", "length", "payload", "CRC-32"), chunks)}
The file begins with the signature, the frame of the first chunk and the version:

{spans(rows)}"""


def head(found: Facts) -> str:
    rows = [span(found["data"], row["offset"], row["size"], f"`{row['path'] or 'HEAD'}`: {row['says']}") for row in found["head"]]
    crc = found["chunks"][0]
    rows.append(span(found["data"], crc["offset"] + 8 + crc["length"], 4, "CRC-32 over `HEAD` and its payload"))
    return f"""## 2. HEAD

The map in canonical msgpack. Each row has one value, with its key in front of it if it is in a map. `8n` begins a map of n entries, `9n` a
list of n, and `an` a string of n bytes; a byte up to `7f` is an integer; `ca` begins a float32, whose four bytes have the high one first,
as numbers in msgpack do. The keys are sorted by their bytes.

{spans(rows)}"""


def data(found: Facts) -> str:
    chunk = found["chunks"][1]
    rows = [
        span(found["data"], chunk["offset"], 4, f"length of the payload: {chunk['length']}"),
        span(found["data"], chunk["offset"] + 4, 4, f"letters `{chunk['letters']}`"),
    ]
    tensors = [
        (f"`{t['name']}`", shaped(t["shape"]), t["axis"], f"{t['codec']}, {spec.CODEC_NAMES[t['codec']]}", offset(t["offset"]), t["length"])
        for t in found["tensors"]
    ]
    return f"""## 3. DATA

{spans(rows)}
`net` says siren.1 with {found["neurons"]} neurons and no hidden layers behind the first, so there are these tensors (section 9). `tens`
has their codecs and lengths; the offsets follow from the lengths:

{table(("tensor", "shape", "axis", "codec", "offset", "length"), tensors)}"""


def steps(found: Facts) -> str:
    first, weights = found["tensors"][0], found["weights"]
    g, at = len(weights["steps"]), first["offset"]
    rows = [span(found["data"], at, g, f"step codes: {listed(s['code'] for s in weights['steps'])}")]
    rows += [
        span(found["data"], at + g + 2 * i, 2, f"model of group {i}: zero code {m['zero']}, decay code {m['decay']}")
        for i, m in enumerate(weights["models"])
    ]
    return f"""## 4. A tensor of codec rans

`{first["name"]}` has the shape {shaped(first["shape"])} and the axis {first["axis"]}: {g} groups, one per neuron.

{spans(rows)}
### Steps

Section 4: step = M[code mod 8] * 2^(code div 8) / 2^23, with floored `div` and `mod`. Nine digits tell float32 numbers apart.

{step_table(weights["steps"])}"""


def step_table(known: list[Facts]) -> str:
    rows = [(s["code"], s["div"], s["mod"], s["mantissa"], number(s["step"])) for s in known]
    return table(("code", "code div 8", "code mod 8", "M", "step"), rows)


def models(found: Facts) -> str:
    parts = []
    for i, m in enumerate(found["weights"]["models"]):
        most = len(m["freq"]) // 2 - 1
        rows = [(k + 1, m["rests"][k], m["freq"][2 * k + 1], m["rests"][k + 1]) for k in range(most)]
        letters = ["0", *(f"{sign}{k}" for k in range(1, most + 1) for sign in "+-"), "ESC"]
        parts.append(f"""Group {i}, model ({m["zero"]}, {m["decay"]}):

```
N = {wrapped(m["shares"])}
D = {wrapped(m["decays"])}
```

{table(("K", "rem", "f", "rem - 2 f"), rows)}
{table(("letter", *letters), [("freq", *m["freq"]), ("start", *m["start"])])}""")
    return f"""### Models

Section 5. N and D from their beginnings on, one number per turn; freq[0] = clip(16384 - (N >> 2), 1, 16381) with the last N;
f = max(1, rem * D >> 17) with the last D. When 2 f + 1 would be more than what is left, that is the frequency of ESC.

{chr(10).join(parts)}"""


def stream(found: Facts) -> str:
    weights, data = found["weights"], found["data"]
    at = found["tensors"][0]["offset"] + 3 * len(weights["steps"])
    lanes, words = len(weights["states"]), len(weights["words"])
    rows = [
        span(data, at, 1, f"log2 L = {weights['log2_lanes']}: {lanes} lanes"),
        span(data, at + 1, 1, f"W = {words}"),
        *(span(data, at + 2 + 4 * k, 4, f"state[{k}] = {state}") for k, state in enumerate(weights["states"])),
        *(span(data, at + 2 + 4 * lanes + 2 * k, 2, f"word[{k}] = {word}") for k, word in enumerate(weights["words"])),
        *(
            span(data, at + 2 + 4 * lanes + 2 * words + k, 1, f"escape of symbol {e['i']}: v = {e['v']}")
            for k, e in enumerate(weights["escapes"])
        ),
    ]
    return f"""### The stream

{spans(rows)}"""


def turns(found: Facts) -> str:
    weights = found["weights"]
    rows = []
    for turn in weights["turns"]:
        group = turn["i"] // found["tensors"][0]["shape"][1]
        letters = len(weights["models"][group]["freq"])
        rows.append(
            (
                *(turn["i"], group, turn["lane"], turn["x"], turn["slot"], named(turn["letter"], letters), turn["freq"], turn["start"]),
                *(turn["next"], "" if turn["word"] is None else turn["word"], turn["state"]),
            )
        )
    titles = ("i", "group", "lane", "x", "slot", "letter", "freq", "start", "x'", "word", "state")
    said = [
        f"Symbol {e['i']} is ESC. Its v is {e['v']}: (v >> 1) + K + 1 = {e['half']} + {e['most']} + 1, and v is"
        f" {'odd, so it is negated' if e['v'] & 1 else 'even, so it stays positive'}: {e['symbol']}."
        for e in weights["escapes"]
    ]
    width = found["tensors"][0]["shape"][1]
    values = [
        (i, listed(weights["symbols"][i * width : (i + 1) * width]), number(weights["steps"][i]["step"]), listed(map(number, row)))
        for i, row in enumerate(weights["values"])
    ]
    return f"""The loop of section 6: slot = x mod 2^14, x' = freq * (x >> 14) + slot - start. Where x' is below 2^16 a word is taken, and
the state is x' * 2^16 + word; otherwise it is x'.

{table(titles, rows)}
All words are used, and both states end at 2^16, as they must. {" ".join(said)}

The symbols times the steps, in float32, are the rows of the matrix:

{table(("neuron", "symbols", "step", "weights"), values)}"""


def others(found: Facts) -> str:
    data, (_, bias, out, last), done = found["data"], found["tensors"], found["chunks"][2]
    end = found["chunks"][1]["offset"] + 8 + found["chunks"][1]["length"]
    first, second = (
        [
            span(data, tensor["offset"], 1, f"step code {known['step']['code']}"),
            span(data, tensor["offset"] + 1, 1, f"width {known['width']}"),
            span(data, tensor["offset"] + 2, tensor["length"] - 2, f"symbols {listed(known['symbols'])}"),
        ]
        for tensor, known in ((bias, found["bias"]), (out, found["out"]))
    )
    third = [
        span(data, last["offset"], 4, f"float32 {number(found['last'])}"),
        span(data, end, 4, "CRC-32 over `DATA` and its payload"),
        span(data, done["offset"], 4, f"length of the payload: {done['length']}"),
        span(data, done["offset"] + 4, 4, f"letters `{done['letters']}`"),
        span(data, done["offset"] + 8, 4, "CRC-32 over `DONE`"),
    ]
    return f"""## 5. The other tensors

`{bias["name"]}`, codec {spec.CODEC_NAMES[bias["codec"]]}:

{spans(first)}
{step_table([found["bias"]["step"]])}
The values are {listed(map(number, found["bias"]["values"]))}.

`{out["name"]}`, codec {spec.CODEC_NAMES[out["codec"]]}:

{spans(second)}
{step_table([found["out"]["step"]])}
The values are {listed(map(number, found["out"]["values"]))}.

`{last["name"]}`, codec {spec.CODEC_NAMES[last["codec"]]}, and the end of the file:

{spans(third)}"""


def sample(found: Facts) -> str:
    s = found["sample"]
    rows = [(j, *(f"{s[key][j]:.6f}" for key in ("z", "arguments", "sines", "products"))) for j in range(len(s["z"]))]
    coordinates = [(f"`{name}`", i, n, f"{x:.6f}") for name, i, n, x in zip(found["axes"], s["index"], found["sizes"], s["x"], strict=True)]
    grid = "\n".join(" ".join(f"{code:3}" for code in row) for row in found["codes"])
    return f"""## 6. A sample

The sample of row {s["index"][0]} and column {s["index"][1]}, both counted from 0. Section 8 gives its coordinates,
lo + (i + 0.5) / n * (hi - lo) with the borders -1 and 1:

{table(("axis", "i", "n", "coordinate"), coordinates)}
For each neuron z = weights x + bias, the argument `first_omega_0` * z, its sine, and that times the neuron's entry of `out.weight`:

{table(("neuron", "z", "argument", "sine", "product"), rows)}
The sum of the products and `out.bias` is y = {s["y"]:.6f}; v = scale * y + offset = {s["v"]:.6f}; times 2^M - 1 that is
{s["scaled"]:.6f}; the code is {s["code"]}, the floor of that and 0.5.

All codes of the nominal grid:

```
{grid}
```
"""


def spans(rows: Iterable[tuple[str, str, str]]) -> str:
    return table(("offset", "bytes", ""), rows)


def span(data: bytes, at: int, size: int, text: str) -> tuple[str, str, str]:
    return offset(at), f"`{hexed(data[at : at + size])}`", text


def offset(at: int) -> str:
    return f"`{at:04x}`"


def hexed(data: bytes) -> str:
    return data.hex(" ")


def printable(data: bytes) -> str:
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in data)


def named(letter: int, letters: int) -> str:
    """The letter of a number, of so many."""
    if letter == letters - 1:
        return "ESC"
    return f"{'-+'[letter % 2]}{(letter + 1) // 2}" if letter else "0"


def shaped(shape: list[int]) -> str:
    return f"({', '.join(map(str, shape))})"


def listed(values: Iterable[Any]) -> str:
    return ", ".join(map(str, values))


def number(value: float) -> str:
    return f"{value:.9g}"


def wrapped(values: list[int]) -> str:
    return "\n    ".join(_lines(values))


def _lines(values: list[int]) -> Iterator[str]:
    for i in range(0, len(values), 16):
        yield " ".join(map(str, values[i : i + 16]))


if __name__ == "__main__":
    sys.exit(main())
