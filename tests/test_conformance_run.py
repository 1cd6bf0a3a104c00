"""The runner passes the engines and the decoders of its folder on the corpus, and fails whatever is wrong."""

import contextlib
import io
import json
import shutil
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conformance import adapter, minidecoder, run, tiledecoder
from inrcodec.backends import available
from tools.make_faulty import cases
from tools.small_files import chunk

ENGINES = ("mini", *available())
TILES = frozenset({"tiles"})


def in_process(backend: str, opened: adapter.Opened = minidecoder.File) -> run.Decoder:
    def decode(arguments: list[str]) -> tuple[int, str]:
        with contextlib.redirect_stderr(io.StringIO()) as errors:
            code = adapter.main(["--backend", backend, *arguments], opened)
        return code, errors.getvalue()

    return decode


MINI = in_process("mini")


@pytest.mark.parametrize("name", [*available(), "tiles"])
def test_the_corpus_passes(name: str) -> None:
    decode = in_process("mini", tiledecoder.File) if name == "tiles" else in_process(name)
    found = dict(run.results(run.CORPUS, decode))
    assert {case: problems for case, problems in found.items() if problems} == {}
    assert len([case for case in found if case.startswith("faulty/")]) > len([case for case in found if case.startswith("valid/")]) > 0


def test_a_reader_of_level_1_refuses_tiles_and_passes_the_rest() -> None:
    found = {name: (problems, missing) for name, problems, missing in run.judged(run.CORPUS, MINI, without=TILES)}
    assert {case: problems for case, (problems, missing) in found.items() if problems and not missing} == {}
    skipped = {case for case, (_, missing) in found.items() if missing}
    assert all(case.startswith(("valid/2/", "faulty/tiles-")) for case in skipped)
    assert skipped >= {case for case in found if case.startswith("valid/2/")} != set()


def test_another_answer_to_tiles_is_not_skipped() -> None:
    for code, expected in ((5, {"tiles"}), (4, set())):
        [(_, problems, missing)] = run.judged(run.CORPUS, lambda _, code=code: (code, "error"), "valid/2/tiles-one", TILES)  # type: ignore[misc]
        assert problems and missing == expected


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A small corpus, to be spoiled: one valid case with queries, one faulty file of each class."""
    for name in ("small-missing", "small-integers"):
        shutil.copytree(run.CORPUS / "valid" / "1" / name, tmp_path / "valid" / "1" / name)
    names = ("container-crc-data", "container-critical", "head-samples")
    (tmp_path / "faulty").mkdir()
    listing = json.loads((run.CORPUS / "faulty" / "faulty.json").read_text())
    for name in names:
        shutil.copy(run.CORPUS / "faulty" / f"{name}.inr", tmp_path / "faulty")
    (tmp_path / "faulty" / "faulty.json").write_text(json.dumps({name: listing[name] for name in names}))
    return tmp_path


def outcome(corpus: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = run.run(corpus, MINI)
    return code, capsys.readouterr().out


def change(path: Path, **values: Any) -> None:
    """Other values in a map of JSON; those that are None are left out."""
    merged = {**json.loads(path.read_text()), **values}
    path.write_text(json.dumps({key: value for key, value in merged.items() if value is not None}))


def test_rows_and_sum(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, printed = outcome(corpus, capsys)
    assert code == 0
    assert printed.splitlines()[0] == "ok   valid/1/small-integers"
    assert printed.splitlines()[-1] == "5 passed, 0 failed"


def test_a_process_answers_the_same(corpus: Path) -> None:
    shutil.rmtree(corpus / "valid" / "1" / "small-integers")
    assert run.main(["--decoder", f"{sys.executable} -m conformance.adapter", "--corpus", str(corpus)]) == 0
    assert run.main(["--decoder", f"{sys.executable} -c 0", "--corpus", str(corpus), "--only", "crc"]) == 1


def test_no_cases_fail(tmp_path: Path, capsys: pytest.CaptureFixture[str], corpus: Path) -> None:
    assert outcome(tmp_path / "nothing", capsys) == (1, "0 passed, 0 failed\n")
    assert run.run(corpus, MINI, only="no such case") == 1


def test_another_tensor_fails(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = corpus / "valid" / "1" / "small-integers" / "input.inr"
    data = path.read_bytes()
    at = data.index(b"DATA")
    (length,) = struct.unpack_from("<I", data, at - 4)
    payload = bytearray(data[at + 4 : at + 4 + length])
    payload[9] ^= 1
    path.write_bytes(data[: at - 4] + chunk(b"DATA", bytes(payload)) + data[at + 8 + length :])
    code, printed = outcome(corpus, capsys)
    assert code == 1
    assert "FAIL valid/1/small-integers\n     parameters differ" in printed
    assert printed.endswith("4 passed, 1 failed\n")


def spoil_reference(folder: Path, name: str, change: Callable[[np.ndarray], Any]) -> None:
    values = np.load(folder / f"{name}.npy")
    change(values)
    np.save(folder / f"{name}.npy", values)


@pytest.mark.parametrize(
    ("name", "spoil", "message"),
    [
        ("reference", lambda v: np.put(v, 0, v.flat[0] + 1e-4), "reference: rms error"),
        ("reference", lambda v: np.put(v, 0, v.flat[0] + 2.2e-5), "reference: peak error"),
        ("reference", lambda v: np.put(v, 0, np.nan), "reference: other samples are missing"),
        ("smaller", lambda v: np.put(v, 0, v.flat[0] + 1e-3), "smaller: rms error"),
        ("points", lambda v: np.put(v, 0, v.flat[0] + 1e-3), "points: rms error"),
    ],
)
def test_another_reference_fails(
    name: str, spoil: Callable[[np.ndarray], Any], message: str, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil_reference(corpus / "valid" / "1" / "small-missing", name, spoil)
    code, printed = outcome(corpus, capsys)
    assert code == 1
    assert message in printed


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rms_error": 1e-12}, "rms error"),
        ({"peak_error": 1e-12}, "peak error"),
        ({"peak_error": 0}, "peak_error is not above 0"),
        ({"rms_error": float("nan")}, "rms_error is not above 0"),
        ({"rms_error": None}, "no key rms_error"),
        ({"tolerance": 1.0}, "unknown key tolerance"),
        ({"version": 1}, "version is of the wrong type"),
        ({"parameters_sha256": "0" * 64}, "parameters differ"),
        ({"parameters_sha256": "0" * 63}, "parameters_sha256 is not one"),
        ({"bound": -1}, "bound is not a number of at least 0"),
        ({"bound": True}, "bound is not a number of at least 0"),
        ({"queries": []}, "queries is not a map"),
        ({"queries": {"part": {"zoom": 2}}}, "queries.part: expected size, region or points"),
        ({"queries": {"part": {"size": 2}}}, "queries.part: size is of the wrong shape"),
        ({"queries": {"part": {"size": [2], "points": [[0.0]]}}}, "queries.part: points stand alone"),
    ],
)
def test_other_facts_fail(values: dict[str, Any], message: str, corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(corpus / "valid" / "1" / "small-integers" / "test.json", **values)
    code, printed = outcome(corpus, capsys)
    assert code == 1
    assert message in printed


@pytest.mark.parametrize("name", ["small-residual", "small-residual-missing"])
def test_another_source_fails(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "valid" / "1" / name
    shutil.copytree(run.CORPUS / "valid" / "1" / name, folder)
    source = np.load(folder / "source.npy")
    assert run.check_valid(folder, MINI, tmp_path / "out") == []
    np.save(folder / "source.npy", source + source.dtype.type(1))
    assert "samples: one is" in run.check_valid(folder, MINI, tmp_path / "out")[0]
    np.save(folder / "source.npy", source[:-1])
    assert run.check_valid(folder, MINI, tmp_path / "out")[0].startswith(
        f"samples: expected {source[:-1].nbytes} bytes, got {source.nbytes}"
    )
    if source.dtype.kind == "f":
        np.save(folder / "source.npy", np.nan_to_num(source))
        assert run.check_valid(folder, MINI, tmp_path / "out") == ["samples: others are missing"]


def test_a_file_in_the_folder_of_another_level_fails(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (corpus / "valid" / "2").mkdir()
    (corpus / "valid" / "1" / "small-integers").rename(corpus / "valid" / "2" / "small-integers")
    code, printed = outcome(corpus, capsys)
    assert code == 1
    assert "FAIL valid/2/small-integers\n     a file of level 1 in the folder 2" in printed


def test_a_valid_file_without_head_fails(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = corpus / "valid" / "1" / "small-integers" / "input.inr"
    path.write_bytes(path.read_bytes()[:17])
    code, printed = outcome(corpus, capsys)
    assert code == 1
    assert "FAIL valid/1/small-integers\n     input.inr: the map ends early" in printed


def test_facts_that_are_no_json_fail(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (corpus / "valid" / "1" / "small-integers" / "test.json").write_text("{")
    assert outcome(corpus, capsys)[0] == 1


@pytest.mark.parametrize("name", ["container-crc-data", "container-critical", "head-samples"])
def test_another_class_fails(name: str, corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listing = json.loads((corpus / "faulty" / "faulty.json").read_text())
    wrong = "corrupt" if listing[name]["class"] != "corrupt" else "unsupported"
    change(corpus / "faulty" / "faulty.json", **{name: {"class": wrong, "about": ""}})
    code, printed = outcome(corpus, capsys)
    assert code == 1
    assert f"FAIL faulty/{name}\n     expected exit code {run.EXIT_CODES[wrong]} ({wrong})" in printed


@pytest.mark.parametrize("entry", [None, {"class": "odd", "about": ""}, {"class": "corrupt", "about": "", "more": 1}])
def test_another_listing_fails(entry: Any, corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(corpus / "faulty" / "faulty.json", **{"head-samples": entry})
    code, printed = outcome(corpus, capsys)
    assert code == 1
    assert "FAIL faulty/faulty.json" in printed


def test_a_valid_file_among_the_faulty_ones_fails(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(corpus / "valid" / "1" / "small-missing" / "input.inr", corpus / "faulty" / "head-samples.inr")
    code, printed = outcome(corpus, capsys)
    assert code == 1
    assert "FAIL faulty/head-samples\n     expected exit code 6 (limit), got 0" in printed


def test_an_answer_of_another_size_fails(corpus: Path) -> None:
    def cut(arguments: list[str]) -> tuple[int, str]:
        code, message = MINI(arguments)
        out = Path(arguments[2])
        if code == 0:
            out.write_bytes(out.read_bytes()[:-4])
        return code, message

    found = dict(run.results(corpus, cut, "small-missing"))["valid/1/small-missing"]
    assert found == [
        "parameters differ",
        *(f"{name}: expected {n} bytes, got {n - 4}" for name, n in (("reference", 144), ("smaller", 16), ("points", 12))),
    ]


def test_silence_about_an_error_fails(corpus: Path) -> None:
    found = dict(run.results(corpus, lambda arguments: (MINI(arguments)[0], ""), "faulty/"))
    assert all(problems == ["expected one line of text on stderr"] for problems in found.values())


def test_the_faulty_files_are_what_the_tool_makes() -> None:
    made = {case.name: case for case in cases()}
    listing = json.loads((run.CORPUS / "faulty" / "faulty.json").read_text())
    assert {name: {"class": case.error, "about": case.about} for name, case in made.items()} == listing
    folder = run.CORPUS / "faulty"
    assert all((folder / f"{name}.inr").read_bytes() == case.data for name, case in made.items())
    assert sum(len(case.data) for case in made.values()) < 300_000
