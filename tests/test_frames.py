"""Videos as pictures: sequences in and out, and the picture at any time."""

import re
from pathlib import Path

import numpy as np
import pytest

import inrcodec
from inrcodec.container import Container, dump, load
from inrcodec.errors import InputError, UsageError
from inrcodec.frames import picture_at
from inrcodec.signals import read_signal
from inrcodec.signals.frames import frame_name, is_pattern, sequence_paths
from tests.test_cli import assert_fails, run
from tests.test_streaming import volume_file

STEP = 0.25


def clip_file() -> bytes:
    """Five frames of 6x8 pixels, RGB, a quarter of a second apart, of an unfitted network."""
    container = load(volume_file((5, 6, 8), channels=3))
    head = {**container.head, "kind": "video", "space": {"spacing": [STEP, 0.0, 0.0], "units": "s"}}
    head["axes"] = [{**axis, "name": name} for axis, name in zip(head["axes"], "tyx", strict=True)]
    channels = [{"name": name, "role": "color", "scale": 0.5, "offset": 0.5} for name in "RGB"]
    head["out"] = {"channels": channels, "bits": 8}
    return dump(Container(head, container.data))


def write_pictures(folder: Path, names: list[str]) -> np.ndarray:
    image = pytest.importorskip("PIL.Image")
    frames = np.random.default_rng(0).integers(0, 256, (len(names), 4, 6, 3), dtype=np.uint8)
    for name, frame in zip(names, frames, strict=True):
        image.fromarray(frame).save(folder / name)
    return frames


def test_names_of_frames(tmp_path: Path) -> None:
    assert frame_name("a%d/f_%03d.png", 7) == "a%d/f_007.png" and frame_name("%d.png", 12) == "12.png"
    assert is_pattern("x/%04d.png") and not is_pattern("x%d/a.png") and not is_pattern("%d%d.png") and not is_pattern("a.png")
    (tmp_path / "%d.png").touch()
    assert not is_pattern(str(tmp_path / "%d.png"))


def test_a_pattern_and_a_folder_are_the_frames_in_their_order(tmp_path: Path) -> None:
    frames = write_pictures(tmp_path, [f"f{k}.png" for k in range(8, 12)])
    (tmp_path / "notes.txt").touch()
    for name in (str(tmp_path / "f%d.png"), str(tmp_path)):
        signal = read_signal(name, rate=10)
        np.testing.assert_array_equal(np.round(signal.values * 255), frames)
        assert signal.kind == "video" and signal.space is not None and signal.space.spacing[0] == 0.1
        assert len(read_signal(name, frames=2).values) == 2 and read_signal(name).space.spacing[0] == 1 / 25
    assert [Path(p).name for p in sequence_paths(str(tmp_path))] == ["f8.png", "f9.png", "f10.png", "f11.png"]


def test_sequences_that_cannot_be_read(tmp_path: Path) -> None:
    write_pictures(tmp_path, ["1.png", "3.png"])
    with pytest.raises(InputError, match="without a gap, got 1 and then 3"):
        read_signal(str(tmp_path / "%d.png"))
    with pytest.raises(InputError, match="found none"):
        read_signal(str(tmp_path / "no_%d.png"))
    with pytest.raises(UsageError, match="rate: expected a folder or a pattern"):
        read_signal(tmp_path / "1.png", rate=5.0)
    with pytest.raises(UsageError, match="frames: expected a video, got image"):
        read_signal(tmp_path / "1.png", frames=5)
    with pytest.raises(UsageError, match="at least one frame"):
        read_signal(tmp_path, frames=0)


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_the_picture_at_a_frames_time_is_the_frame(backend: str) -> None:
    inr = inrcodec.open(clip_file(), backend=backend, device="cpu")
    frames = inr.decode()
    for k in range(5):
        codes = picture_at(inr, k * STEP).codes
        assert codes.dtype == np.uint8 and codes.shape == (6, 8, 3)
        assert np.abs(codes.astype(int) - frames[k]).max() <= 1 and (codes == frames[k]).mean() > 0.99
    finer = inr.decode(scale=2.0)  # its frames lie a quarter of a step before and after the nominal ones
    found = picture_at(inr, 1.25 * STEP, scale=2.0)
    assert (found.codes == finer[3]).mean() > 0.98 and found.bits == 8
    assert (picture_at(inr, 0.6).codes != frames[2]).any() and picture_at(inr, 5 * STEP, bits=16).codes.dtype == np.uint16


def test_values_on_vectors_are_those_at_their_points() -> None:
    inr = inrcodec.open(clip_file(), backend="numpy")
    t, y, x = [0.1], [-0.5, 0.2], [0.3, 0.4, 0.9]
    points = [[a, b, c] for a in t for b in y for c in x]
    np.testing.assert_allclose(inr.on(t, y, x).reshape(-1, 3), inr.at(points), atol=2e-5)
    for wrong in (([0.0], [0.0]), ([0.0], [0.0], [[0.0]]), ([0.0], [0.0], [np.nan])):
        with pytest.raises(UsageError, match="expected 3 vectors of finite coordinates"):
            inr.on(*wrong)


def test_times_that_do_not_fit() -> None:
    inr = inrcodec.open(clip_file(), backend="numpy")
    for seconds in (-0.1, 1.3, float("nan")):
        with pytest.raises(UsageError, match=re.escape("time: expected 0 to 1.25 s")):
            picture_at(inr, seconds)
    with pytest.raises(UsageError, match="scale of at least 1"):
        picture_at(inr, 0.0, scale=0.5)
    with pytest.raises(UsageError, match="expected a video, got volume"):
        picture_at(inrcodec.open(volume_file(), backend="numpy"), 0.0)
    container = load(clip_file())
    unknown = {**container.head, "space": {"spacing": [0.0, 0.0, 0.0]}}
    with pytest.raises(UsageError, match="does not say how far"):
        picture_at(inrcodec.open(dump(Container(unknown, container.data)), backend="numpy"), 0.0)


def test_the_commands(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    (tmp_path / "c.inr").write_bytes(clip_file())
    (tmp_path / "out").mkdir()
    done = run("decode", "c.inr", "-o", "out/%04d.png", "--backend", "numpy", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [f"{k:04d}.png" for k in range(1, 6)]
    frames = inrcodec.open(clip_file(), backend="numpy").decode()
    np.testing.assert_array_equal(np.asarray(image.open(tmp_path / "out" / "0002.png")), frames[1])
    done = run("decode", "c.inr", "-o", "f.png", "--time", "0.3", "--scale", "2", "--backend", "numpy", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert np.asarray(image.open(tmp_path / "f.png")).shape == (12, 16, 3)
    assert_fails(run("decode", "c.inr", "-o", "g.png", "--time", "9", cwd=tmp_path), 2, "time: expected 0 to 1.25 s")
    assert_fails(run("decode", "c.inr", "-o", "g.png", "--time", "0", "--size", "3x3x3", cwd=tmp_path), 2, "--time")
    done = run("encode", "out", "-o", "d.inr", "--rate", "4", "--frames", "3", "--set", "steps=5", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = inrcodec.open(tmp_path / "d.inr")
    assert found.grid_shape == (3, 6, 8) and found.space is not None and found.space.spacing[0] == 0.25
