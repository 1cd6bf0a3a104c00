"""convert: the same function in other chunks, and nothing else."""

from pathlib import Path

import numpy as np
import pytest

import inrcodec
from inrcodec.chunks import Chunk
from inrcodec.cli import main
from inrcodec.codec import params_digest
from inrcodec.container import compress, dump, get, load
from inrcodec.convert import rewrapped
from inrcodec.errors import CorruptFile, InputError, UsageError
from tests.pictures import SRGB, XMP
from tools import small_files, small_residuals

VALID = Path(__file__).resolve().parents[1] / "conformance" / "valid" / "1"
EXIF = b"II*\0" + (8).to_bytes(4, "little") + (1).to_bytes(2, "little") + bytes.fromhex("1201 0300 01000000 06000000") + bytes(4)
RGB = (VALID / "sasnet.2-rgb" / "input.inr").read_bytes()


def same(a: bytes, b: bytes) -> None:
    """The parameters bit for bit, the same numbers at the nominal grid."""
    first, second = (inrcodec.open(data, backend="numpy", device="cpu") for data in (a, b))
    assert params_digest(first) == params_digest(second)
    np.testing.assert_array_equal(first.decode(), second.decode())
    assert load(a).data == load(b).data


@pytest.mark.parametrize("name", sorted(path.name for path in VALID.iterdir()))
def test_every_conformance_file_keeps_its_samples(name: str) -> None:
    data = (VALID / name / "input.inr").read_bytes()
    same(data, rewrapped(data))
    assert rewrapped(rewrapped(data)) == rewrapped(data)
    stripped = rewrapped(data, strip=True)
    same(data, stripped)
    assert load(stripped).ancillary == ()


def test_metadata_come_and_go() -> None:
    full = rewrapped(RGB, exif=b"Exif\0\0" + EXIF, icc=SRGB, xmp=XMP)
    same(RGB, full)
    metadata = inrcodec.open(full).metadata()
    assert (metadata.icc, metadata.xmp) == (SRGB, XMP)
    assert metadata.exif is not None
    assert (metadata.exif[:18], metadata.exif[18:20]) == (EXIF[:18], b"\1\0")
    assert load(full).head["color"] == {**load(RGB).head.get("color", {}), "icc": True}
    other = rewrapped(full, xmp=b"<other/>")
    assert [chunk.type for chunk in load(other).ancillary].count(b"xMPp") == 1
    assert inrcodec.open(other).metadata().xmp == b"<other/>"
    stripped = rewrapped(other, strip=True)
    assert [chunk.type for chunk in load(stripped).ancillary] == [b"iCCP"]
    assert inrcodec.open(rewrapped(other, strip=True, exif=EXIF)).metadata().exif is not None
    same(RGB, stripped)


def test_chunks_are_put_in_order() -> None:
    head, data, done = small_files.siren().chunks()
    parts = [head, (b"abCd", b"unsafe?"), (b"abCD", b"unsafe"), (b"mETa", b"safe"), (b"hASH", b"of other bytes"), (b"xMPp", b"<a/>")]
    cut = [(b"DATA", data[1][:5]), (b"DATA", data[1][5:]), (b"xMPp", b"<b/>"), done]
    found = rewrapped(small_files.joined([*parts, *cut]))
    assert [(c.type, c.payload) for c in load(found).ancillary] == [(b"abCd", b"unsafe?"), (b"mETa", b"safe"), (b"xMPp", b"<a/>")]
    assert found.count(b"DATA") == 1
    same(small_files.siren().bytes(), found)


def test_it_states_the_version_that_it_writes() -> None:
    packed = small_files.siren().map()
    newer = small_files.joined([(b"HEAD", b"\0\xff" + packed), *small_files.siren().chunks()[1:]])
    assert rewrapped(newer) == rewrapped(small_files.siren().bytes()) == small_files.siren().bytes()


def test_what_cannot_be_put_in() -> None:
    for wrong in ({"exif": b"nothing"}, {"icc": b"short"}, {"xmp": b"\xff<"}, {"xmp": b"text"}, {"xmp": b"<" * (1 << 24) + b"<"}):
        with pytest.raises(InputError):
            rewrapped(RGB, **wrong)
    with pytest.raises(InputError, match="GRAY for 1 channels"):
        rewrapped(small_files.siren().bytes(), icc=SRGB)
    with pytest.raises(UsageError, match="expected an image, got audio"):
        rewrapped(small_files.sound().bytes(), icc=SRGB)


def test_a_damaged_file_is_not_written_anew() -> None:
    made = small_files.siren()
    with pytest.raises(CorruptFile):
        rewrapped(made.with_tensor(3, 0, b"abc").bytes())
    bad = dump(load(made.bytes()).__class__(load(made.bytes()).head, load(made.bytes()).data, (Chunk(b"iCCP", compress(b"x")[:-1]),)))
    with pytest.raises(CorruptFile):
        rewrapped(bad)


def test_residuals_and_masks_stay() -> None:
    for data, _ in small_residuals.files().values():
        same(data, rewrapped(data))


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)

    def converted(*arguments: str) -> tuple[int, list[str]]:
        with pytest.raises(SystemExit) as caught:
            main(["convert", *arguments])
        said = capsys.readouterr()
        assert said.out == ""
        return int(caught.value.code or 0), said.err.splitlines()

    Path("a.inr").write_bytes(rewrapped(RGB, xmp=XMP))
    Path("x.xmp").write_bytes(b"<x/>")
    assert converted("a.inr", "-o", "b.inr", "--strip") == (0, [])
    same(RGB, Path("b.inr").read_bytes())
    assert converted("b.inr", "c.inr", "--xmp", "x.xmp") == (0, [])
    assert get(load(Path("c.inr").read_bytes()), b"xMPp") == b"<x/>"
    before = Path("c.inr").read_bytes()
    for arguments, code, told in (
        (("a.inr", "-o", "c.inr", "--no-overwrite"), 2, "exists"),
        (("a.inr", "-o", "a.inr"), 2, "other than the input"),
        (("a.inr", "-o", "c.htm"), 2, "suffix .inr or .html, got .htm"),
        (("a.inr",), 2, "expected one output, got none"),
        (("a.inr", "c.inr", "-o", "d.inr"), 2, "expected one output, got two"),
        (("a.inr", "-o", "c"), 2, "got none"),
        (("a.inr", "-o", "c.inr", "--exif", "x.xmp"), 3, "TIFF header"),
        (("a.inr", "-o", "c.inr", "--icc", "none.icc"), 3, "none.icc"),
        (("x.xmp", "-o", "c.inr"), 4, "not an .inr file"),
    ):
        found, said = converted(*arguments)
        assert (found, len(said)) == (code, 1), (arguments, said)
        assert told in said[0]
    assert Path("c.inr").read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"a.inr", "b.inr", "c.inr", "x.xmp"}
