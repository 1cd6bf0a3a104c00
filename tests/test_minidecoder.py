"""The decoder in one file: what it may import, the examples of the format's text, the package's samples, and damage."""

import ast
import copy
import subprocess
import sys
import zlib
from pathlib import Path
from random import Random

import numpy as np
import pytest

import inrcodec
from conformance import adapter, compared, minidecoder, run
from inrcodec import residual, spec
from tests.readers import outcomes
from tools import small_files, small_residuals, small_tiles

PATH = Path(minidecoder.__file__)
VALID = PATH.parent / "valid" / "1"
FILES = small_files.files()
RESIDUALS = small_residuals.files()
BYTES = FILES | {name: data for name, (data, _) in RESIDUALS.items()}


def test_it_needs_numpy_and_the_standard_library_only() -> None:
    tree = ast.parse(PATH.read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} <= {"numpy", *sys.stdlib_module_names}
    calls = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not calls & {"eval", "exec", "__import__", "compile"}
    assert "pickle" not in names


def test_it_stays_small() -> None:
    assert len(PATH.read_text().splitlines()) <= 640  # 625, 9 for networks of other files, 6 for tiles


def test_networks_for_comparison_are_a_file_of_their_own(tmp_path: Path) -> None:
    """Both files together know what the package knows; the decoder alone refuses the others."""
    assert compared.COMPARED.keys() == spec.COMPARED_FIELDS.keys()
    assert {name for name in minidecoder.TABLES if "." in name} == spec.NETWORK_FIELDS.keys()
    for program, code in ((["-m", "conformance.adapter"], 5), (["-m", "conformance.compared"], 0)):
        file = VALID / "finer.1-rgb" / "input.inr"
        found = subprocess.run(
            [sys.executable, *program, str(file), "-o", str(tmp_path / "out")], capture_output=True, text=True, check=False
        )
        assert found.returncode == code, found.stderr
        assert "finer.1" in found.stderr or code == 0


def numbers(text: str, models: list[tuple[int, int]]) -> list[int]:
    return list(minidecoder.Stream(bytes.fromhex(text)).take(minidecoder.model(*codes) for codes in models))


def test_examples_of_the_text() -> None:
    assert minidecoder.model(0, 0)[0] == [164, 8043, 8043, 66, 66, 2]
    assert minidecoder.model(63, 0)[0] == [16381, 1, 1, 1]
    assert numbers("00 01 35d90200 4160", [(7, 3)] * 8) == [0, 0, 1, 0, -2, 0, 0, 3]
    assert numbers("00 01 ddaeaf13 445e cc0f ddc508", [(3, 4)] + [(40, 0)] * 3) == [-1, 1000, 0, -70000]
    assert numbers("00 00 00000100", []) == []
    assert minidecoder.lattice(bytes.fromhex("02002f80"), 4, 2).tolist() == [[0, 1], [1, -1], [1, 1], [2, 0]]
    assert minidecoder.lattice(bytes.fromhex("04032f30"), 2, 2).tolist() == [[1, 0], [4, 3]]
    for text in ("00 09 013f000000c8010100 06 00002e62c30b", "01 09 013f000000c8010100 06 0000a30b1c02 80"):
        assert minidecoder.residual(bytes.fromhex(text), (5,), 1)[:, 0].tolist() == [1, 0, -2, 0, 0]
    assert minidecoder.laplace(4)[0] == [16379, 2, 2, 1]
    assert minidecoder.laplace(8 * 16 + 7)[0][:12] == [5740, 4570, 2158, 1681, 794, 619, 292, 227, 108, 84, 39, 31]


@pytest.mark.parametrize(("entries", "rows", "feature"), [(256, (73, 74, 89, 90), 75.5625), (100, (61, 62, 24, 27), 57.078125)])
def test_the_worked_numbers_of_a_grid(entries: int, rows: tuple[int, ...], feature: float) -> None:
    weights = 0.3828125, 0.4921875, 0.0546875, 0.0703125
    net = {"levels": [{"scale": 14.5, "resolution": 16, "entries": entries, "taps": 2}], "stretch": [1.0, 1.0]}
    table = np.arange(entries, dtype=float)[:, None]
    found = minidecoder.grid_features(net, {"grid.0": table}, np.array([[-0.5, 0.25]]))
    assert found.item() == feature == sum(w * row for w, row in zip(weights, rows, strict=True))
    text = " ".join((PATH.parents[1] / "formats" / "inr-1.0.md").read_text().split())
    assert str(feature) in text and ", ".join(map(str, weights)) in text and ", ".join(map(str, rows[1:])) in text


def test_the_shares_of_all_laplace_models() -> None:
    text = (PATH.parents[1] / "formats" / "inr-1.0.md").read_text()
    listed = [int(word) for word in text[text.index("      2270549") :].split("```")[0].split()]
    assert listed == minidecoder.DECAYS


@pytest.mark.parametrize("name", [path.name for path in sorted(VALID.iterdir())])
def test_samples_are_those_of_the_package(name: str) -> None:
    data = (VALID / name / "input.inr").read_bytes()
    found = minidecoder.open(data).decode()
    expected = inrcodec.open(data, backend="numpy", device="cpu").decode()
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    if found.dtype.kind == "f":
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.nanmax(np.abs(expected)))
    else:
        off = np.abs(found.astype(np.int64) - expected)
        assert off.max() <= 1
        assert np.mean(off > 0) < 1e-3


def test_double_precision_is_near() -> None:
    for data in FILES.values():
        single, double = (minidecoder.open(data, real).decode(numbers=True) for real in (np.float32, np.float64))
        assert double.dtype == np.float64
        assert 0 < np.nanmax(np.abs(single - double)) < 1e-4


@pytest.mark.parametrize("name", [name for name, (_, source) in RESIDUALS.items() if source is not None])
def test_bounds_are_kept_by_the_precision_that_they_ask_for(name: str) -> None:
    data, source = RESIDUALS[name]
    file = minidecoder.open(data)
    stated, found = file.head["out"]["residual"], file.decode()
    assert found.dtype == source.dtype
    assert np.nanmax(np.abs(found.astype(np.float64) - source)) <= stated["bound"]
    assert np.array_equal(np.isnan(found), np.isnan(source))
    same = np.array_equal(file.decode(numbers=True), minidecoder.open(data, np.float64).decode(numbers=True), equal_nan=True)
    assert same or (stated["bound"] > 0 and stated["tolerance"] >= small_residuals.SINGLE)


@pytest.mark.parametrize("name", ["residual", "residual-four"])
def test_a_region_is_a_crop_and_other_grids_have_no_residual(name: str) -> None:
    file = minidecoder.open(RESIDUALS[name][0])
    region = [(1, axis["n"] - 1) for axis in file.head["axes"]]
    assert np.array_equal(file.decode(region=region), file.decode()[tuple(slice(*part) for part in region)])
    larger = [axis["n"] * 3 for axis in file.head["axes"]]
    zero = copy.copy(file)
    zero.added = None
    assert np.array_equal(file.decode(larger), zero.decode(larger))
    assert not np.array_equal(file.decode(), zero.decode())


@pytest.mark.parametrize(("shape", "low"), [((11, 6), 0), ((11, 6), 3), ((2, 3, 4, 5), 1), ((1, 1, 1), 16), ((1, 7), 2)])
def test_residuals_in_bands(shape: tuple[int, ...], low: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (residual, minidecoder):
        monkeypatch.setattr(module, "BAND", 24)
    values = (small_residuals.pattern((*shape, 2), 19) - 9).astype(np.int32)
    planes = residual.to_planes(values)
    payload = residual.encode(planes, low, small_residuals.network(planes.ndim - 1, 2))
    assert np.array_equal(minidecoder.residual(payload, shape, 2), values)


def test_misuse_is_told_apart_from_damage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.inr"
    path.write_bytes(FILES["siren"])
    for arguments in (["--size", "1"], ["--size", "0,4"], ["--region", "0:5,0:5"], ["--region", "0:4"]):
        assert adapter.main([str(path), "-o", str(tmp_path / "out"), *arguments]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


def test_without_zstd_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("compression.zstd", "backports.zstd", "zstandard"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(minidecoder.InrError, match="needs zstd") as caught:
        minidecoder.open(FILES["missing"])
    assert caught.value.code == 9
    assert minidecoder.open(FILES["windows"]).decode().shape == (12, 1)


def damaged(data: bytes, random: Random) -> bytes:
    """A byte changed, taken out or put in within any chunk but DONE; the checksums are right again."""
    chunks, at = [], 8
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "little")
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    number = random.choice([i for i, (_, payload) in enumerate(chunks) if payload])
    name, payload = chunks[number]
    place = random.randrange(len(payload))
    put = random.choice([b"", bytes([random.randrange(256)]), bytes([payload[place] ^ 1 << random.randrange(8)])])
    chunks[number] = name, payload[:place] + put + payload[place + random.randrange(2) :]
    return data[:8] + b"".join(len(p).to_bytes(4, "little") + n + p + zlib.crc32(n + p).to_bytes(4, "little") for n, p in chunks)


@pytest.mark.parametrize("name", BYTES)
def test_both_readers_judge_damage_alike(name: str) -> None:
    random = Random(name)
    with np.errstate(all="ignore"):
        for _ in range(60):
            data = damaged(BYTES[name], random)
            mini, package = outcomes(minidecoder, data)
            assert mini == (minidecoder.UNSUPPORTED if "tiles" in run.needs(data) and mini != package else package), data.hex()


@pytest.mark.parametrize("name", small_tiles.files())
def test_files_with_tiles_are_unsupported(name: str) -> None:
    """Whether TILE is met first, or HEAD."""
    data = small_tiles.files()[name]
    at = data.index(b"TILE") - 4
    without = data[:at] + data[at + 12 + int.from_bytes(data[at : at + 4], "little") :]
    for file in (data, without):
        with pytest.raises(minidecoder.InrError, match="TILE" if file is data else "tiles") as caught:
            minidecoder.open(file)
        assert caught.value.code == minidecoder.UNSUPPORTED
