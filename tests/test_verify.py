"""verify without a source: what a file keeps to by itself, and that no changed byte escapes."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import inrcodec
from inrcodec import lattice
from inrcodec.chunks import Chunk
from inrcodec.cli import main
from inrcodec.codec import verify
from inrcodec.container import dump, load, pack_map
from inrcodec.errors import CorruptFile, InrError, VerificationFailed
from tools import small_files, small_residuals, small_tiles
from tools.fuzz_bytes import split

FILES = small_files.files() | {name: data for name, (data, _) in small_residuals.files().items()} | small_tiles.files()


def check(data: bytes) -> dict:
    return verify(inrcodec.open(data, backend="numpy", device="cpu"), decode=False)


def refused(data: bytes) -> bool:
    try:
        check(data)
    except InrError as error:
        return error.exit_code > 0
    return False


@pytest.mark.parametrize("name", FILES)
def test_what_is_told_of_a_file(name: str) -> None:
    told = check(FILES[name])
    inr = inrcodec.open(FILES[name], backend="numpy")
    assert told["parameters_sha256"] == inrcodec.codec.params_digest(inr)
    assert told["missing_samples"] == (0 if inr.missing is None else inr.missing.sum())
    for key in ("elements", "parameters", "coding", "decode_work"):
        needed, most = told[key]
        assert 0 <= needed <= most
    json.dumps(told)
    assert "decoded_shape" not in told
    assert verify(inr)["decoded_shape"] == list(inr.shape)


def test_nothing_is_evaluated_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inrcodec.decoder.make_engine", None)
    assert check(FILES["siren"])
    with pytest.raises(TypeError):
        verify(inrcodec.open(FILES["siren"]))


@pytest.mark.parametrize("name", ["siren", "contexts", "residual-missing", "tiles-volume"])
def test_no_changed_byte_escapes(name: str) -> None:
    """Every byte of a small file, with all its bits, with one, and with one more: none is taken."""
    data = FILES[name]
    assert not refused(data)
    assert {chunk for chunk, _ in split(data)} - {b"TILE"} == {b"HEAD", b"DATA", b"DONE"}
    for at in range(len(data)):
        for value in (data[at] ^ 0xFF, data[at] ^ (1 << at % 8), (data[at] + 1) % 256, 0x20 ^ data[at]):
            assert refused(data[:at] + bytes([value]) + data[at + 1 :]), (at, value)


def test_a_changed_byte_of_an_ancillary_chunk_is_seen_too() -> None:
    container = load(FILES["siren"])
    data = dump(replace(container, ancillary=(Chunk(b"mTRC", pack_map({"metrics": []})), Chunk(b"xMPp", b"<x/>"))))
    for at in range(len(data)):
        for value in (data[at] ^ 0xFF, data[at] ^ (1 << at % 8), (data[at] + 1) % 256):
            assert refused(data[:at] + bytes([value]) + data[at + 1 :]), (at, value)


def test_the_command_sees_a_changed_byte(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, path = FILES["siren"], tmp_path / "a.inr"
    for at in (0, 9, 40, len(data) - 30, len(data) - 1):
        path.write_bytes(data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :])
        with pytest.raises(SystemExit) as caught:
            main(["verify", str(path)])
        assert caught.value.code == 4
        assert len(capsys.readouterr().err.splitlines()) == 1


def test_faults_that_opening_does_not_see() -> None:
    made, grid = small_files.siren(), small_files.sasnet()
    wrong = {
        "a tensor": made.with_tensor(3, 0, b"abc"),
        "a residual": small_residuals.stated(made, bound=0.0, step=1.0, tolerance=4e-5).with_residual(b"\1"),
        "a mask": small_files.volume().with_tensor(4, 7, small_files.frame(b"\xff")),
        "a frequency": grid.with_tensor(0, 4, lattice.encode(np.array([[0, 1], [3, 0]]))),
    }
    for name, part in wrong.items():
        inrcodec.open(part.bytes())
        assert refused(part.bytes()), name
    container = load(made.bytes())
    for chunk in (Chunk(b"mTRC", b"\xc1"), Chunk(b"mTRC", pack_map({})), Chunk(b"pROV", b"\x90"), Chunk(b"iCCP", b"no frame")):
        assert refused(dump(replace(container, ancillary=(chunk,)))), chunk


def test_a_writer_that_changes_a_file_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inrcodec.structure.dump", lambda container: dump(replace(container, ancillary=(Chunk(b"xMPp", b""),))))
    with pytest.raises(VerificationFailed, match="chunks: expected the same when they are written again"):
        check(FILES["siren"])
    monkeypatch.setattr("inrcodec.structure.pack_index", lambda *_: b"")
    with pytest.raises(VerificationFailed, match="TILE: expected the same bytes"):
        check(FILES["tiles-image"])


def test_a_decode_that_is_not_finite_is_found() -> None:
    numbers = small_files.integers().with_out(dtype="float32").with_channel(low=0.0, high=1.7e308)
    assert check(numbers.bytes())
    with pytest.raises(VerificationFailed, match="finite"):
        verify(inrcodec.open(numbers.bytes(), backend="numpy", device="cpu"))


def test_the_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.inr"
    path.write_bytes(FILES["siren"])

    def said(*more: str) -> str:
        with pytest.raises(SystemExit) as caught:
            main(["verify", str(path), *more])
        assert not caught.value.code
        return capsys.readouterr().out

    plain, decoded = (json.loads(said("--json", *more)) for more in ((), ("--decode",)))
    assert "decoded_shape" not in plain
    assert decoded["decoded_shape"] == [4, 5, 1]
    assert plain["parameters_sha256"] == decoded["parameters_sha256"]
    assert said().endswith("ok\n")


def test_frequencies_beyond_the_band_are_refused_with_the_parameters() -> None:
    made = small_files.sasnet().with_tensor(0, 4, lattice.encode(np.array([[0, 1], [3, 0]])))
    with pytest.raises(CorruptFile, match=r"frequency: expected max\|k\| of at most 2, got 3"):
        _ = inrcodec.open(made.bytes()).params
