"""Old readers and new files, new readers and old files."""

import json
from pathlib import Path

import numpy as np
import pytest

import inrcodec
from conformance import minidecoder
from inrcodec.errors import InrError, UnsupportedFile
from tools import make_faulty, make_vectors, small_files

CONFORMANCE = Path(__file__).resolve().parents[1] / "conformance"
MADE = small_files.siren()


def versioned(major: int, minor: int, **head: object) -> bytes:
    made = MADE.with_head(**head)
    return small_files.joined([(b"HEAD", bytes([major, minor]) + made.map()), *made.chunks()[1:]])


@pytest.mark.parametrize("minor", [0, 1, 2, 255])
def test_a_newer_minor_version_decodes_as_long_as_it_asks_for_nothing(minor: int) -> None:
    expected = inrcodec.open(MADE.bytes(), backend="numpy").decode()
    np.testing.assert_array_equal(inrcodec.open(versioned(0, minor), backend="numpy").decode(), expected)
    assert minidecoder.open(versioned(0, minor)).decode().shape == expected.shape


def test_what_a_newer_writer_may_add_is_ignored() -> None:
    chunks = MADE.chunks()
    newer = small_files.joined([(b"HEAD", b"\0\xff" + MADE.with_head(opt={"zz": [1, {"a": None}]}).map()), (b"neWw", b"?"), *chunks[1:]])
    np.testing.assert_array_equal(inrcodec.open(newer, backend="numpy").decode(), inrcodec.open(MADE.bytes(), backend="numpy").decode())


@pytest.mark.parametrize("name", ["patches", "time.2"])
def test_an_unknown_feature_is_named(name: str) -> None:
    for data in (versioned(0, 255, req=[name]), versioned(0, 255, req=sorted(["residual", name]), newkey=1)):
        with pytest.raises(UnsupportedFile, match=f"HEAD.req: unknown features: {name}$"):
            inrcodec.open(data)
        with pytest.raises(minidecoder.InrError, match=name) as caught:
            minidecoder.open(data)
        assert caught.value.code == minidecoder.UNSUPPORTED
    with pytest.raises(UnsupportedFile, match="a, b"):
        inrcodec.open(versioned(0, 1, req=["a", "b"]))


def test_a_newer_major_version_is_named_before_anything_else() -> None:
    for data in (versioned(1, 0), versioned(1, 0, kind="other"), small_files.joined([(b"HEAD", b"\7\0\xff"), *MADE.chunks()[1:]])):
        with pytest.raises(UnsupportedFile, match=r"format version \d\.0: this decoder knows major version 0"):
            inrcodec.open(data)


def test_unknown_ids_are_named() -> None:
    for changed, told in (
        (MADE.with_net(0, "siren.9"), "siren.9"),
        (MADE.with_head(kind="smell"), "smell"),
        (MADE.with_head(level=3), "3"),
        (MADE.with_tensor(0, 12, MADE.tensors[0][1]), "12"),
    ):
        with pytest.raises(UnsupportedFile, match=told):
            inrcodec.open(changed.bytes())


def test_every_file_that_was_ever_committed_is_read() -> None:
    folders = sorted((CONFORMANCE / "valid").glob("*/*"))
    assert len(folders) >= 51
    for folder in folders:
        inr = inrcodec.open(folder / "input.inr", backend="numpy", device="cpu")
        facts = json.loads((folder / "test.json").read_text())
        assert inrcodec.codec.params_digest(inr) == facts["parameters_sha256"], folder.name
        assert inr.decode().shape == inr.shape


def test_every_faulty_file_is_refused_with_its_class() -> None:
    codes = {"corrupt": 4, "unsupported": 5, "limit": 6}
    for name, entry in json.loads((CONFORMANCE / "faulty" / "faulty.json").read_text()).items():
        with np.errstate(all="ignore"), pytest.raises(InrError) as caught:
            inrcodec.open(CONFORMANCE / "faulty" / f"{name}.inr", backend="numpy", device="cpu").decode()
        assert caught.value.exit_code == codes[entry["class"]], name


def test_vectors_are_never_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    kept = [tmp_path / "1" / "sasnet.1-rgb" / "input.inr", tmp_path / "2" / "tiles-one" / "input.inr"]
    for path in kept:
        path.parent.mkdir(parents=True)
        path.write_bytes(b"once valid")
    monkeypatch.setattr(make_vectors, "QUERIES", {})
    monkeypatch.setattr(make_vectors, "cases", lambda: [("sasnet.1-rgb", np.zeros((2, 2, 3), np.uint8), {})])
    monkeypatch.setattr("sys.argv", ["make_vectors", "--out", str(tmp_path)])
    assert make_vectors.main() == 0
    told = capsys.readouterr().err
    assert all(f"{path.parent.name}: exists, left as it is" in told and path.read_bytes() == b"once valid" for path in kept)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert len(before) > 20
    first = next(path for path in before if path.name == "reference.npy")
    first.write_bytes(b"other")
    assert make_vectors.main() == 0
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before | {first: b"other"}


def test_faulty_files_are_never_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    case = small_files.Case("one", "corrupt", "a fault", b"new bytes")
    monkeypatch.setattr(make_faulty, "cases", lambda: iter([case]))
    monkeypatch.setattr("sys.argv", ["make_faulty", "--out", str(tmp_path)])
    (tmp_path / "one.inr").write_bytes(b"old bytes")
    assert make_faulty.main() == 0
    assert "exists with other bytes" in capsys.readouterr().err
    assert (tmp_path / "one.inr").read_bytes() == b"old bytes"
