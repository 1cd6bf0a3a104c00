"""A folder of odd files through `inrcodec encode`: each becomes a right file, or one clear line and the documented exit code."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import inrcodec
from inrcodec.cli import main

ODD = Path(__file__).resolve().parents[2] / "shared" / "data" / "odd"
FAST = ("-e", "1", "--set", "steps=2", "--set", "hidden_features=16", "--no-progress", "--json")


@dataclass(frozen=True)
class Taken:
    """What decodes: shape (*axes, c) and bits, None where a file decodes to a surface; a part of each note, in order."""

    shape: tuple[int, ...] | None
    bits: int = 8
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Refused:
    """The exit code, and what the line says beside the file's name."""

    code: int
    words: str


CMYK = ("CMYK converted to RGB without a profile",)
EXPECTED = {
    "animated.gif": Taken((90, 160, 3), notes=("the first of 10 pictures; the others are left out",)),
    "audio_24bit_stereo.wav": Taken((22050, 2), 16, ("24-bit",)),
    "audio_8bit_mono_22k.wav": Taken((11025, 1)),
    "audio_silence.wav": Taken((1600, 1), 16),
    "audio_truncated.wav": Taken((11021, 2), 16, ("truncated: 66128 of the 132300 bytes", "24-bit")),
    "audio_zero_samples.wav": Refused(3, "expected samples"),
    "cmyk.jpg": Taken((256, 384, 3), notes=CMYK),
    "constant.png": Taken((96, 128, 3)),
    "corrupt_idat.png": Refused(3, "damaged PNG file: wrong CRC of the IDAT chunk"),
    "empty.png": Refused(3, "got an empty file"),
    "exif_orientation_6.jpg": Taken((480, 320, 3)),
    "foreign_inrimage_skull.inr": Taken((64, 64, 64, 1), 16),
    "grey16.png": Taken((512, 512, 1), 16),
    "grey8.png": Taken((256, 384, 1)),
    "grey_alpha.png": Taken((192, 256, 2)),
    "header_claims_60000x60000.png": Refused(6, "60000x60000 is 3600000000 pixels, the limit is 178956970"),
    "icc_profile.jpg": Taken((128, 192, 3)),
    "interlaced.png": Taken((191, 255, 3)),
    "mesh_empty.ply": Refused(3, "expected vertices, got none"),
    "mesh_index_out_of_range.obj": Refused(3, "index 8 is out of bounds"),
    "mesh_inverted_normals_fandisk.ply": Taken(None, notes=("the faces were inside out and are turned",)),
    "mesh_nan_vertex.ply": Refused(3, "vertex 10: expected finite numbers, got nan nan nan"),
    "mesh_quads_cube.obj": Taken(None),
    "name with späces & ünïcode.png": Taken((96, 128, 3)),
    "not_an_image.png": Refused(3, "got a file beginning with b'This is '"),
    "one_pixel.png": Taken((1, 1, 3)),
    "one_row_768x1.png": Taken((1, 768, 3)),
    "onebit.png": Taken((512, 512, 1), 1),
    "palette64.png": Taken((384, 384, 3)),
    "palette_trns.png": Taken((192, 256, 4)),
    "points_no_normals.xyz": Refused(3, "no normals"),
    "progressive_444.jpg": Taken((256, 384, 3)),
    "really_a_jpeg.png": Taken((256, 384, 3), notes=CMYK),
    "rgb16.png": Taken((192, 256, 3), 16),
    "rgba_transparent.png": Taken((320, 384, 4)),
    "truncated.jpg": Refused(3, "JPEG file: image file is truncated"),
    "truncated.png": Refused(3, "truncated PNG file: it ends at byte 204194"),
    "video_empty.mp4": Refused(3, "got an empty file"),
    "video_truncated.mp4": Refused(3, "truncated MP4"),
    "volume_bigendian_32x16x16_gt_i2.npy": Taken((32, 16, 16, 1), 11),
    "volume_constant_16x16x16_uint8.npy": Taken((16, 16, 16, 1), 1),
    "volume_flat_1x64x64_float32.npy": Taken((1, 64, 64, 1), 16),
    "volume_fortran_32x16x16_float64.npy": Taken((32, 16, 16, 1), 16),
    "volume_nan_inf_32x16x16_float32.npy": Taken((32, 16, 16, 1), 16, ("3 of 8192 samples are NaN or infinite and read as missing",)),
    "volume_size_mismatch.json": Refused(3, "volume_size_mismatch.raw: size: expected 16384 bytes (32x16x16 int16), got 16284"),
    "volume_size_mismatch.raw": Refused(3, "size: expected 16384 bytes (32x16x16 int16), got 16284"),
    "volume_truncated.nii.gz": Refused(3, "truncated gzip data: it ends at byte 2060"),
}


def odd_files() -> list[object]:
    found = sorted(path.name for path in ODD.iterdir()) if ODD.is_dir() else []
    missing = [pytest.param(name, marks=pytest.mark.skip(f"no file odd/{name}")) for name in sorted(set(EXPECTED) - set(found))]
    return [*found, *missing]


@pytest.mark.parametrize("name", odd_files())
def test_odd_file(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = EXPECTED.get(name)
    assert expected is not None, f"nothing says what is expected of {name}"
    target = tmp_path / "odd.inr"
    with pytest.raises(SystemExit) as left:
        main(["encode", str(ODD / name), "-o", str(target), *FAST])
    said = capsys.readouterr()
    if isinstance(expected, Refused):
        assert left.value.code == expected.code, said.err
        assert said.err.startswith("error: ") and said.err.count("\n") == 1 and "Traceback" not in said.err
        assert Path(name).stem in said.err and expected.words in said.err
        assert said.out == "" and list(tmp_path.iterdir()) == []
    else:
        assert left.value.code == 0 and "error:" not in said.err, said.err
        assert [path.name for path in tmp_path.iterdir()] == ["odd.inr"]
        check_taken(expected, target, json.loads(said.out)["notes"])


def check_taken(expected: Taken, path: Path, notes: list[str]) -> None:
    assert len(notes) == len(expected.notes) and all(part in note for part, note in zip(expected.notes, notes, strict=True)), notes
    inr = inrcodec.open(path, device="cpu")
    if expected.shape is None:
        surface = inr.mesh(resolution=16)
        vertices, faces = surface.vertices, surface.faces
        assert vertices.shape[1] == faces.shape[1] == 3 and np.isfinite(vertices).all()
        return
    assert (inr.shape, inr.bits) == (expected.shape, expected.bits)
    assert inr.decode().shape == expected.shape
