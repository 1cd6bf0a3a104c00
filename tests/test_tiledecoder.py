"""The decoder of tiled files: what it may import, the example of the text, the package's samples, limits, and damage."""

import ast
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest

import inrcodec
from conformance import adapter, minidecoder, tiledecoder
from tests.readers import outcomes
from tests.test_minidecoder import BYTES, damaged
from tools import small_tiles
from tools.small_files import joined

PATH = Path(tiledecoder.__file__)
FILES = small_tiles.files()
VALID = PATH.parent / "valid" / "2"


def test_it_needs_numpy_the_standard_library_and_its_folder_only() -> None:
    for path in (PATH, PATH.with_name("compared.py")):
        tree = ast.parse(path.read_text())
        names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert {name.split(".")[0] for name in names} <= {"numpy", "conformance", *sys.stdlib_module_names}
    code = "import sys, conformance.tiledecoder; sys.exit(any(name.split('.')[0] == 'inrcodec' for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_example_of_the_text() -> None:
    coded = "01 08 00 02 0b 00 00"
    assert f"`{coded}`" in (PATH.parents[1] / "formats" / "inr-1.0.md").read_text()
    found: list[tiledecoder.Box] = []
    assert tiledecoder.read_tree(bytes.fromhex(coded), 0, ((0, 20), (0, 30)), 0, found) == 7
    assert found == [((0, 8), (0, 30)), ((8, 20), (0, 11)), ((8, 20), (11, 30))]


def test_the_corpus_has_these_files() -> None:
    assert {path.name: (path / "input.inr").read_bytes() for path in VALID.iterdir()} == FILES
    assert all(sum(path.stat().st_size for path in (VALID / name).iterdir()) < 30_000 for name in FILES)
    assert small_tiles.QUERIES.keys() == FILES.keys()


@pytest.mark.parametrize("name", FILES)
def test_samples_and_parameters_are_those_of_the_package(name: str) -> None:
    file, inr = tiledecoder.open(FILES[name]), inrcodec.open(FILES[name], backend="numpy", device="cpu")
    found, expected = file.decode(), inr.decode()
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    assert np.abs(found.astype(int) - expected).max() <= 1 and np.ptp(found) > 40
    assert file.params.keys() == inr.params.keys()
    assert all(np.array_equal(value, inr.params[key]) for key, value in file.params.items())


@pytest.mark.parametrize("name", FILES)
def test_double_precision_is_near(name: str) -> None:
    single, double = (tiledecoder.open(FILES[name], real).decode(numbers=True) for real in (np.float32, np.float64))
    assert 0 < np.abs(single - double).max() < 1e-6 * max(1, np.ptp(double))


def test_a_region_is_the_crop() -> None:
    file = tiledecoder.open(FILES["tiles-image"])
    whole = file.decode((48, 66), numbers=True)
    np.testing.assert_allclose(file.decode((48, 66), ((4, 8), (6, 12)), numbers=True), whole[12:24, 18:36], atol=1e-6)


def test_other_files_are_those_of_the_minidecoder() -> None:
    for data in BYTES.values():
        ours, theirs = tiledecoder.open(data).decode(), minidecoder.open(data).decode()
        assert np.array_equal(ours, theirs, equal_nan=ours.dtype.kind == "f")


def test_the_command_line(tmp_path: Path) -> None:
    file, out = VALID / "tiles-one" / "input.inr", tmp_path / "out"
    for arguments, expected in ((["--parameters"], adapter.parameters(tiledecoder.open(FILES["tiles-one"]).params)), ([], None)):
        command = [sys.executable, "-m", "conformance.tiledecoder", str(file), "-o", str(out), *arguments]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        assert found.returncode == 0, found.stderr
        assert expected is None or out.read_bytes() == expected
    assert b"tiles.0.first.weight[6, 3]" in adapter.parameters(tiledecoder.open(FILES["tiles-one"]).params)


def tall(splits: int, *, comb: bool) -> bytes:
    """Splits of the first axis: each below the one before, or in a tree without much depth."""
    made, places = small_tiles.pair(), [2 * k + 2 for k in range(splits)]

    def place(number: int) -> bytes:
        return bytes([number]) if number < 128 else bytes([number & 127 | 128, number >> 7])

    def node(found: list[int]) -> bytes:
        if not found:
            return b"\0"
        at = 0 if comb else len(found) // 2
        return b"\1" + place(found[at]) + node(found[:at]) + node(found[at + 1 :])

    made = made.with_head(axes=[{"name": "y", "n": 2 * splits + 2}, {"name": "x", "n": 5}])
    tiles = splits + 1
    return replace(made, tree=node(places), entries=made.entries[:1] * tiles, data=(made.data[0], *made.data[1:2] * tiles)).bytes()


@pytest.mark.parametrize(("splits", "comb", "code"), [(64, True, 0), (65, True, 4), (1100, False, 0)])
def test_deep_trees_and_many_tiles(splits: int, comb: bool, code: int) -> None:
    assert outcomes(tiledecoder, tall(splits, comb=comb)) == (code, code)


def test_chunks_beside_those_of_tiles_count() -> None:
    head, index, *data, done = small_tiles.pair().chunks()
    for notes, code in ((1020, 0), (1021, 6)):
        file = joined([head, index, *[(b"pROV", b"\x80")] * notes, *data, done])
        assert outcomes(tiledecoder, file) == (code, code), notes


@pytest.mark.parametrize("name", [*FILES, *BYTES])
def test_both_readers_judge_damage_alike(name: str) -> None:
    random, seen = Random(f"tiles {name}"), set()
    with np.errstate(all="ignore"):
        for _ in range(80 if name in FILES else 20):
            data = damaged((FILES | BYTES)[name], random)
            ours, package = outcomes(tiledecoder, data)
            assert ours == package, data.hex()
            seen.add(ours)
    assert 4 in seen
