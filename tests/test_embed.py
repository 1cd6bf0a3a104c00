"""The decoder in one C header: the corpus through its command line, damage under the sanitizers, both languages, the comment's example."""

import re
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from conformance import minidecoder, run
from tests.test_minidecoder import BYTES, Random, damaged

EMBED = Path(__file__).resolve().parents[1] / "embed"
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"]
SANITIZERS = ["-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
WITHOUT = frozenset({"missing", "windows", "residual", "networks", "tiles", "nfc"})
COMPILER, CPP = shutil.which("cc") or shutil.which("gcc"), shutil.which("c++") or shutil.which("g++")
pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C compiler")


def build(
    out: Path, *options: str, source: Path = EMBED / "adapter.c", compiler: str = COMPILER or "cc"
) -> subprocess.CompletedProcess[str]:
    line = [compiler, *options, f"-I{EMBED}", str(source), "-o", str(out), *([] if "-c" in options else ["-lm"])]
    return subprocess.run(line, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("plain") / "adapter"
    found = build(out, "-std=c99", "-O2", *STRICT)
    assert found.returncode == 0, found.stderr
    return out


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("checked") / "adapter"
    if build(out, "-std=c99", *SANITIZERS).returncode:
        pytest.skip("no sanitizers")
    return out


def failures(corpus: Path, decoder: Path) -> tuple[dict[str, list[str]], dict[str, set[str]], int]:
    """What failed, which cases were skipped for the lack of what, and how many passed."""
    found = list(run.judged(corpus, run.command(str(decoder)), without=WITHOUT))
    failed = {name: problems for name, problems, missing in found if problems and not missing}
    skipped = {name: missing for name, _, missing in found if missing}
    return failed, skipped, len(found) - len(skipped) - len(failed)


@pytest.mark.parametrize("kind", ["adapter", "checked"])
def test_the_corpus_passes(kind: str, request: pytest.FixtureRequest) -> None:
    failed, skipped, passed = failures(run.CORPUS, request.getfixturevalue(kind))
    assert failed == {}
    assert passed > 200 > 100 > len([name for name, missing in skipped.items() if missing != {"tiles"}])
    tiled = {path.parent.relative_to(run.CORPUS).as_posix() for path in run.CORPUS.glob("valid/2/*/input.inr")}
    assert tiled and {name for name in skipped if name.startswith("valid/2/")} == tiled


@pytest.mark.parametrize("name", BYTES)
def test_damage_is_judged_as_by_the_minidecoder(name: str, checked: Path, tmp_path: Path) -> None:
    random, decode, scratch = Random(name), run.command(str(checked)), tmp_path / "out"
    data = BYTES[name]
    with np.errstate(all="ignore"):
        for _ in range(12):
            file = tmp_path / "a.inr"
            file.write_bytes(damaged(data, random))
            code, message = decode([str(file), "-o", str(scratch)])
            try:
                minidecoder.open(file.read_bytes()).decode()
                expected = 0
            except minidecoder.InrError as error:
                expected = error.code
            assert code in (expected, run.EXIT_CODES["unsupported"]), (message, file.read_bytes().hex())


def test_lines() -> None:
    lines = (EMBED / "inr.h").read_text().splitlines()
    assert len(lines) <= 640


@pytest.mark.skipif(CPP is None, reason="no C++ compiler")
def test_it_is_c_plus_plus_too(tmp_path: Path) -> None:
    found = build(tmp_path / "adapter", "-x", "c++", "-std=c++11", *STRICT, compiler=CPP or "c++")
    assert found.returncode == 0, found.stderr


def test_the_example_of_the_comment_compiles(tmp_path: Path) -> None:
    text = (EMBED / "inr.h").read_text()
    example = re.search(r"\n( {7}#define INR_IMPLEMENTATION\n.*?return code; \})\n", text, re.DOTALL)
    assert example
    source = tmp_path / "example.c"
    source.write_text("\n".join(line.strip() for line in example[1].splitlines()) + "\n")
    found = build(tmp_path / "example.o", "-c", "-std=c99", *STRICT, source=source)
    assert found.returncode == 0, found.stderr


def test_it_says_what_it_is_without(adapter: Path, tmp_path: Path) -> None:
    decode, valid = run.command(str(adapter)), run.CORPUS / "valid" / "1"
    for case, word in {"small-missing": "missing", "small-windows": "windows", "small-residual": "residual"}.items():
        code, message = decode([str(valid / case / "input.inr"), "-o", str(tmp_path / "out")])
        assert code == run.EXIT_CODES["unsupported"]
        assert word in message


def test_without_counts_apart(adapter: Path, capsys: pytest.CaptureFixture[str]) -> None:
    decode = run.command(str(adapter))
    assert run.run(run.CORPUS, decode, "small-", WITHOUT) == 0
    found = capsys.readouterr().out
    assert "skip valid/1/small-missing: without missing" in found
    assert re.search(r"\d+ passed, 0 failed, [1-9]\d* skipped", found)
    assert run.run(run.CORPUS, decode, "small-") == 1


def test_seconds(adapter: Path, tmp_path: Path) -> None:
    source = run.CORPUS / "valid" / "1" / "sasnet.2-rgb" / "input.inr"
    start = time.perf_counter()
    code, message = run.command(str(adapter))([str(source), "-o", str(tmp_path / "out"), "--size", "512,512"])
    print(f"a small sasnet.2 at 512x512: {time.perf_counter() - start:.2f} s")
    assert code == 0, message
