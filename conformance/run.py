"""Hold a decoder to the files of this folder: valid ones by values, faulty ones by the class of the error.

    python -m conformance.run --decoder 'python -m conformance.adapter' [--corpus FOLDER] [--only NAME] [--without missing,windows]

The command line that a decoder must have, and what the files say, is in README.md. Prints a row per case and ends with 1 if any failed.
"""

import argparse
import hashlib
import json
import math
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance import compared, minidecoder

CORPUS = Path(__file__).resolve().parent
EXIT_CODES = {"corrupt": 4, "unsupported": 5, "limit": 6}
SECONDS = 300  # for one answer of a decoder
FEATURES = ("windows", "residual", "missing", "networks", "tiles", "nfc", *minidecoder.KINDS)  # what a decoder may be without
Decoder = Callable[[list[str]], tuple[int, str]]  # arguments -> exit code and stderr
Query = dict[str, Any]


def command(line: str) -> Decoder:
    """The decoder that a command line starts, one process per question."""

    def decode(arguments: list[str]) -> tuple[int, str]:
        try:
            found = subprocess.run([*shlex.split(line), *arguments], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            return -1, f"no answer within {SECONDS} seconds"
        return found.returncode, found.stderr.decode(errors="replace")

    return decode


def check_facts(facts: Any) -> list[str]:
    """What is wrong with the content of a test.json, one line each."""
    if not isinstance(facts, dict):
        return ["test.json: expected a map"]
    required: dict[str, type | tuple[type, ...]] = {
        "version": str,
        "parameters_sha256": str,
        "scale": (int, float),
        "rms_error": (int, float),
        "peak_error": (int, float),
    }
    found = [f"test.json: unknown key {key}" for key in facts.keys() - required.keys() - {"queries", "bound"}]
    found += [f"test.json: no key {key}" for key in required.keys() - facts.keys()]
    found += [
        f"test.json: {key} is of the wrong type" for key in required.keys() & facts.keys() if not isinstance(facts[key], required[key])
    ]
    for key in ("scale", "rms_error", "peak_error"):
        if not found and not (math.isfinite(facts[key]) and facts[key] > 0):
            found.append(f"test.json: {key} is not above 0")
    if not found and (len(facts["parameters_sha256"]) != 64 or set(facts["parameters_sha256"]) - set("0123456789abcdef")):
        found.append("test.json: parameters_sha256 is not one")
    bound = facts.get("bound", 0)
    if type(bound) not in (int, float) or not (math.isfinite(bound) and bound >= 0):
        found.append("test.json: bound is not a number of at least 0")
    queries = facts.get("queries", {})
    if not isinstance(queries, dict):
        return [*found, "test.json: queries is not a map"]
    return found + [f"test.json: queries.{name}: {problem}" for name, query in queries.items() for problem in _query_problems(query)]


def _query_problems(query: Any) -> list[str]:
    if not isinstance(query, dict) or not query or query.keys() - {"size", "region", "points"}:
        return ["expected size, region or points"]
    if "points" in query and len(query) > 1:
        return ["points stand alone"]
    shapes = {"size": 1, "region": 2, "points": 2}
    try:
        wrong = [key for key, value in query.items() if np.asarray(value, dtype=np.float64).ndim != shapes[key]]
    except (TypeError, ValueError):
        wrong = list(query)
    return [f"{key} is of the wrong shape" for key in wrong]


def check_parameters(file: Path, sha256: str, decode: Decoder, scratch: Path) -> list[str]:
    code, message = decode([str(file), "-o", str(scratch), "--parameters"])
    if code != 0:
        return [f"parameters: exit code {code}: {message.strip()}"]
    return [] if hashlib.sha256(scratch.read_bytes()).hexdigest() == sha256 else ["parameters differ"]


def check_values(
    file: Path, query: Query, reference: NDArray[np.float32], bounds: dict[str, float], decode: Decoder, scratch: Path
) -> list[str]:
    """Compare the answer to a query with the reference (..., channel) by the bounds rms_error and peak_error."""
    code, message = decode([str(file), "-o", str(scratch), *_arguments(query, scratch)])
    if code != 0:
        return [f"exit code {code}: {message.strip()}"]
    answer = scratch.read_bytes()
    if len(answer) != 4 * reference.size:
        return [f"expected {4 * reference.size} bytes, got {len(answer)}"]
    found = np.frombuffer(answer, dtype="<f4").astype(np.float64)
    expected = reference.astype(np.float64).reshape(-1)
    if not np.array_equal(np.isnan(found), np.isnan(expected)):
        return ["other samples are missing"]
    error = np.abs(np.nan_to_num(found - expected))
    rms, peak = float(np.sqrt(np.mean(error**2))), float(error.max())
    problems = [f"rms error {rms:.2g} beyond {bounds['rms_error']:.2g}"] if not rms <= bounds["rms_error"] else []
    return problems + ([f"peak error {peak:.2g} beyond {bounds['peak_error']:.2g}"] if not peak <= bounds["peak_error"] else [])


def check_samples(file: Path, source: NDArray[Any], bound: float, decode: Decoder, scratch: Path) -> list[str]:
    """Compare the samples of the nominal grid with those that were encoded, of the same type."""
    code, message = decode([str(file), "-o", str(scratch), "--samples"])
    if code != 0:
        return [f"samples: exit code {code}: {message.strip()}"]
    answer = scratch.read_bytes()
    if len(answer) != source.nbytes:
        return [f"samples: expected {source.nbytes} bytes, got {len(answer)}"]
    found = np.frombuffer(answer, source.dtype.newbyteorder("<")).astype(np.float64)
    expected = source.astype(np.float64).reshape(-1)
    if not np.array_equal(np.isnan(found), np.isnan(expected)):
        return ["samples: others are missing"]
    off = float(np.abs(np.nan_to_num(found - expected)).max())
    return [] if off <= bound else [f"samples: one is {off:g} off, beyond {bound:g}"]


def _arguments(query: Query, scratch: Path) -> list[str]:
    if "points" in query:
        points = scratch.with_name("points")
        points.write_bytes(np.asarray(query["points"], dtype="<f8").tobytes())
        return ["--points", str(points)]
    found = ["--size", ",".join(str(m) for m in query["size"])] if "size" in query else []
    return found + (["--region", ",".join(f"{a}:{b}" for a, b in query["region"])] if "region" in query else [])


def check_valid(folder: Path, decode: Decoder, scratch: Path) -> list[str]:
    """What is wrong with a decoder's answers, or with the files, of valid/<level>/<case>."""
    try:
        facts = json.loads((folder / "test.json").read_text())
    except (OSError, ValueError) as error:
        return [f"test.json: {error}"]
    problems = check_facts(facts)
    if problems:
        return problems
    file = folder / "input.inr"
    try:
        level = head_of(file.read_bytes())["level"]
    except (minidecoder.InrError, LookupError, TypeError) as error:
        return [f"input.inr: {error}"]
    if folder.parent.name != str(level):
        return [f"a file of level {level} in the folder {folder.parent.name}"]
    problems = check_parameters(file, facts["parameters_sha256"], decode, scratch)
    reference = np.load(folder / "reference.npy")
    if "bound" in facts:
        problems += check_samples(file, np.load(folder / "source.npy"), facts["bound"], decode, scratch)
    queries = {"reference": {"size": list(reference.shape[:-1])}, **facts.get("queries", {})}
    for name, query in queries.items():
        found = check_values(file, query, np.load(folder / f"{name}.npy"), facts, decode, scratch)
        problems += [f"{name}: {problem}" for problem in found]
    return problems


def check_faulty(file: Path, error: str, decode: Decoder, scratch: Path) -> list[str]:
    """A faulty file must give the exit code of its class, and one line of text."""
    code, message = decode([str(file), "-o", str(scratch)])
    if code != EXIT_CODES[error]:
        return [f"expected exit code {EXIT_CODES[error]} ({error}), got {code}: {message.strip()[-200:]}"]
    return [] if len(message.strip().splitlines()) == 1 else ["expected one line of text on stderr"]


def faulty_files(folder: Path) -> dict[str, str]:
    """Class by name of the files of faulty/; the listing and the files must agree. Raises ValueError."""
    if not folder.exists():
        return {}
    listing = json.loads((folder / "faulty.json").read_text())
    names = {path.stem for path in folder.glob("*.inr")}
    if names != listing.keys():
        raise ValueError(f"faulty.json and the files differ: {sorted(names ^ listing.keys())}")
    for name, entry in listing.items():
        if entry.keys() != {"class", "about"} or entry["class"] not in EXIT_CODES:
            raise ValueError(f"faulty.json: {name}: expected a class of {', '.join(EXIT_CODES)}, and about, got {entry}")
    return {name: entry["class"] for name, entry in listing.items()}


def results(corpus: Path, decode: Decoder, only: str = "") -> Iterator[tuple[str, list[str]]]:
    """Name of every case that contains `only`, and what is wrong with it."""
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary) / "out"
        folders = sorted(path for path in (corpus / "valid").glob("*/*") if path.is_dir())
        for folder in folders:
            name = folder.relative_to(corpus).as_posix()
            if only in name:
                yield name, check_valid(folder, decode, scratch)
        try:
            listed = faulty_files(corpus / "faulty")
        except (OSError, ValueError, AttributeError) as error:
            yield "faulty/faulty.json", [str(error)]
            return
        for name, error_class in sorted(listed.items()):
            if only in f"faulty/{name}":
                yield f"faulty/{name}", check_faulty(corpus / "faulty" / f"{name}.inr", error_class, decode, scratch)


def head_of(data: bytes) -> Any:
    """HEAD, unchecked. Raises minidecoder.InrError."""
    return minidecoder.unpack(data[16 : 16 + int.from_bytes(data[8:12], "little")], 2)[0]


def needs(data: bytes) -> set[str]:
    """Those of FEATURES that a file asks of a decoder, as far as its HEAD can be read; `tiles` also if it has only a part of them."""
    try:
        head = head_of(data)
        codecs = {entry[0] for entry in head["tens"]}
        found = {"windows": "windows" in head, "residual": 10 in codecs or "residual" in head["out"]}
        found["tiles"] = "tiles" in head or "tiles" in head["req"] or head["level"] == 2 or 11 in codecs or b"TILE" in data
        found |= {"missing": "valid" in head["out"], "networks": head["net"][0] in compared.COMPARED, head["kind"]: True}
        return {name for name, there in found.items() if there}
    except minidecoder.InrError as error:
        return {"nfc"} if "NFC" in str(error) else set()
    except (LookupError, TypeError):
        return set()


def lacking(file: Path, problems: list[str], without: frozenset[str]) -> set[str]:
    """What a decoder is without and a file needs, if refusing it as unsupported is all that is wrong with the answers."""
    refused = [re.search(r"(exit code|got) 5: ", problem) for problem in problems]
    return needs(file.read_bytes()) & without if refused and all(refused) else set()


def judged(
    corpus: Path, decode: Decoder, only: str = "", without: frozenset[str] = frozenset()
) -> Iterator[tuple[str, list[str], set[str]]]:
    """Name of every case, what is wrong with it, and for the lack of what it is skipped."""
    for name, problems in results(corpus, decode, only):
        file = corpus / f"{name}.inr" if name.startswith("faulty/") else corpus / name / "input.inr"
        yield name, problems, lacking(file, problems, without)


def run(corpus: Path, decode: Decoder, only: str = "", without: frozenset[str] = frozenset()) -> int:
    """Print a row per case. 0 if there are cases and all but the skipped ones passed, else 1."""
    passed = failed = skipped = 0
    for name, problems, missing in judged(corpus, decode, only, without):
        if missing:
            print(f"skip {name}: without {', '.join(sorted(missing))}")
            skipped += 1
            continue
        print(f"{'FAIL' if problems else 'ok  '} {name}" + "".join(f"\n     {problem}" for problem in problems))
        passed, failed = passed + (not problems), failed + bool(problems)
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if without else ""))
    return 0 if passed and not failed else 1


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--decoder", required=True, help="a command; the arguments of README.md are appended")
    parser.add_argument("--corpus", type=Path, default=CORPUS, help="a folder with valid/ and faulty/")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument(
        "--without", default="", help=f"what the decoder refuses as unsupported, of {', '.join(FEATURES)}; such cases count apart"
    )
    options = parser.parse_args(arguments)
    without = frozenset(options.without.split(",")) - {""}
    if without - {*FEATURES}:
        parser.error(f"--without: expected some of {', '.join(FEATURES)}, got {options.without}")
    return run(options.corpus, command(options.decoder), options.only, without)


if __name__ == "__main__":
    sys.exit(main())
