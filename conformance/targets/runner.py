"""Encode the signals of targets.json, decode the bytes through every engine, and judge what comes out.

    python -m conformance.targets [--fast] [--only NAME] [--measure]

A row per target, then `N passed, M failed`; ends with 1 if any failed or there were none. With --measure the table gets what was
measured, and targets that lie its margins below.
"""

import argparse
import contextlib
import io
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance import adapter, minidecoder
from conformance.targets.signals import SIGNALS, Source

FOLDER = Path(__file__).resolve().parent
TABLE = FOLDER / "targets.json"
ENGINES = ("torch", "numpy", "mini")
SIDE = 48  # samples per axis of the grid on which shapes are compared
Target = dict[str, Any]
Encode = Callable[[Source, Target], bytes]


def load(path: Path = TABLE) -> dict[str, Any]:
    """The table, held to its schema. Raises ValueError."""
    import jsonschema

    found: dict[str, Any] = json.loads(path.read_text())
    try:
        jsonschema.validate(found, json.loads((FOLDER / "targets.schema.json").read_text()))
    except jsonschema.ValidationError as error:
        raise ValueError(f"{path.name}: {error.json_path}: {error.message}") from error
    return found


def encode(source: Source, target: Target) -> bytes:
    """The file of a target. What is judged is this, and nothing that the encoder says of it."""
    import inrcodec

    return inrcodec.encode(source.encoded, deterministic=True, device="cpu", **target["options"]).data


def decoded(file: Path, engine: str, arguments: list[str]) -> bytes:
    """What an engine gives by the command line of conformance. Raises ValueError."""
    out = file.with_suffix(".out")
    with contextlib.redirect_stderr(io.StringIO()) as errors:
        code = adapter.main(["--backend", engine, str(file), "-o", str(out), *arguments])
    if code:
        raise ValueError(f"exit code {code}: {errors.getvalue().strip()}")
    return out.read_bytes()


def quality(file: Path, engine: str, source: Source) -> float:
    """PSNR in dB of the nominal samples, or IoU of a shape, of a file decoded by an engine. Raises ValueError."""
    head = minidecoder.check_head(minidecoder.read_map(minidecoder.read_chunks(file.read_bytes())[0][1]), icc=True)
    if source.samples is None:
        assert source.inside is not None
        raw = decoded(file, engine, ["--size", ",".join([str(SIDE)] * 3)])
        return overlap(np.frombuffer(raw, "<f4") < 0, source.inside(grid_points(head)))
    dtype = np.dtype(head["out"].get("dtype", "uint8" if head["out"]["bits"] <= 8 else "uint16")).newbyteorder("<")
    found = np.frombuffer(decoded(file, engine, ["--samples"]), dtype)
    if found.size != source.samples.size:
        raise ValueError(f"expected {source.samples.size} samples, got {found.size}")
    return psnr(found.reshape(source.samples.shape), source.samples, source.peak)


def psnr(found: NDArray[Any], expected: NDArray[Any], peak: float) -> float:
    """In dB. Missing samples must be the same. Raises ValueError."""
    if not np.array_equal(np.isnan(found), np.isnan(expected)):
        raise ValueError("other samples are missing")
    error = float(np.nanmean((found.astype(float) - expected.astype(float)) ** 2))
    return 10 * float(np.log10(peak**2 / error)) if error else float("inf")


def overlap(a: NDArray[np.bool_], b: NDArray[Any]) -> float:
    """Intersection over union."""
    return float((a & b).sum() / max(1, (a | b).sum()))


def grid_points(head: Mapping[str, Any]) -> NDArray[Any]:
    """World coordinates (SIDE^3, 3) of a grid of SIDE samples per axis, by section 2's affine of nominal indices."""
    index = [(np.arange(SIDE) + 0.5) / SIDE * axis["n"] - 0.5 for axis in head["axes"]]
    place = np.stack(np.meshgrid(*index, indexing="ij"), axis=-1).reshape(-1, 3)
    affine = np.reshape(head["space"]["affine"], (4, 4))
    return np.asarray(place @ affine[:3, :3].T + affine[:3, 3])


def measure(target: Target, make: Encode = encode) -> tuple[dict[str, float], int]:
    """Quality by engine, and bytes. Raises ValueError."""
    with tempfile.TemporaryDirectory() as temporary:
        source = SIGNALS[target["signal"]](Path(temporary))
        file = Path(temporary) / "a.inr"
        file.write_bytes(make(source, target))
        return {engine: quality(file, engine, source) for engine in ENGINES}, file.stat().st_size


def problems(target: Target, found: Mapping[str, float], nbytes: int) -> list[str]:
    """What of a target is missed, one line each."""
    missed = [
        f"{engine}: expected at least {target['least']}, got {value:.4f}" for engine, value in found.items() if not value >= target["least"]
    ]
    return missed + [f"expected at most {target['most_bytes']} bytes, got {nbytes}"] * (nbytes > target["most_bytes"])


def judged(targets: list[Target], make: Encode = encode) -> Iterator[tuple[Target, str, list[str]]]:
    """Every target, what was measured as text, and what is missed; a file that an engine cannot read misses it too."""
    for target in targets:
        try:
            found, nbytes = measure(target, make)
        except (ValueError, minidecoder.InrError) as error:
            yield target, "", [str(error)]
            continue
        text = ", ".join(f"{engine} {value:.4f}" for engine, value in found.items()) + f", {nbytes} bytes"
        yield target, text, problems(target, found, nbytes)


def updated(target: Target, margins: Mapping[str, float]) -> Target:
    """The target as it follows from what is measured now."""
    found, nbytes = measure(target)
    value = round(min(found.values()), 4)
    least = round(value - margins[target["metric"]], 3)
    return {**target, "measured": value, "bytes": nbytes, "least": least, "most_bytes": int(nbytes * (1 + margins["bytes"]))}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--fast", action="store_true", help="the small signals alone")
    parser.add_argument("--only", default="", help="targets whose name contains this")
    parser.add_argument("--measure", action="store_true", help="write what is measured, and targets from it, into the table")
    parser.add_argument("--table", type=Path, default=TABLE)
    options = parser.parse_args(arguments)
    table = load(options.table)
    chosen = [t for t in table["targets"] if options.only in t["name"] and (t["fast"] or not options.fast)]
    if options.measure:
        for target in chosen:
            target.update(updated(target, table["margins"]))
            print(f"{target['name']}: {target['measured']}, {target['bytes']} bytes")
            options.table.write_text(json.dumps(table, indent=1) + "\n")
        return 0
    passed = failed = 0
    for target, text, missed in judged(chosen):
        print(f"{'FAIL' if missed else 'ok  '} {target['name']}: {text}" + "".join(f"\n     {line}" for line in missed), flush=True)
        passed, failed = passed + (not missed), failed + bool(missed)
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1
