"""Encodes in tiles: where a signal is cut, that a run goes on where it ended, what is measured, and that seams cannot be seen."""

import json
import math
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import inrcodec
from inrcodec.batch.options import EncodeOptions
from inrcodec.batch.tasks import Result, TileTask
from inrcodec.batch.tiles import TiledReport, do_tile, encode_tiles
from inrcodec.codec import verify
from inrcodec.cutting import CELL, cut, estimate, usual_overlap
from inrcodec.errors import InrError, UsageError
from inrcodec.metrics import psnr, ssim
from inrcodec.tiling import Box, tiling
from tests.test_cli import assert_fails, run

FAST = {"steps": "40", "hidden_features": "16", "frequencies": "16", "mask_features": "8", "levels": "3", "context_features": "4"}
OPTIONS = EncodeOptions(effort=1, settings=FAST, threads=1, device="cpu", deterministic=True)


def picture(h: int, w: int) -> NDArray[np.uint8]:
    """Smooth, with fine waves in its lower right."""
    y, x = np.mgrid[0:h, 0:w]
    values = 0.5 + 0.3 * np.sin(0.05 * x + 0.03 * y) + 0.15 * np.sin(0.9 * x + 0.4 * y) * ((y > h / 2) & (x > w / 2))
    return (np.stack([values, 0.8 * values, 1 - values], axis=-1) * 255).round().astype(np.uint8)


@dataclass
class Serial:
    """A pool without processes, which may end in the middle."""

    most: int = 10**9
    done: list[str] = field(default_factory=list)
    places: int = 1
    _waiting: list[tuple[int, Any]] = field(default_factory=list)

    def start(self, number: int, task: Any) -> None:
        self._waiting.append((number, task))

    def finished(self) -> tuple[int, Result | None]:
        if len(self.done) >= self.most:
            raise KeyboardInterrupt
        number, task = self._waiting.pop()
        self.done.append(task.source)
        return number, do_tile(task)

    def close(self) -> None:
        self._waiting.clear()


def encoded(source: Any, output: Path, *, side: int = 32, pool: Any = None, **changes: Any) -> TiledReport:
    return encode_tiles(source, output, replace(OPTIONS, **changes), side=side, pool=lambda: pool or Serial())


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiles") / "photo.png"
    Image.fromarray(picture(70, 91)).save(path)
    return path


@pytest.fixture(scope="module")
def file(photo: Path) -> tuple[Path, TiledReport]:
    path = photo.with_suffix(".inr")
    return path, encoded(str(photo), path)


def test_what_is_reported_is_what_is_decoded(photo: Path, file: tuple[Path, TiledReport]) -> None:
    path, report = file
    inr, truth = inrcodec.open(path), np.asarray(Image.open(photo))
    found = inr.decode()
    assert report.bytes == path.stat().st_size == inr.info["bytes"] and report.tiles == inr.info["tiles"]["count"] > 4
    assert report.psnr == pytest.approx(psnr(truth / 255, found / 255), abs=1e-4)
    assert report.ssim == pytest.approx(ssim(truth / np.float32(255), found / np.float32(255)), abs=1e-6)
    assert report.parameters == inr.info["parameters"] and report.target is None and report.target_met
    checks = verify(inr, source=str(photo))
    assert checks["psnr"] == pytest.approx(report.psnr, abs=1e-3) and checks["tiles"] == report.tiles
    assert not Path(f"{path}.tiles").exists()


def test_slabs_are_measured_like_the_whole(photo: Path, file: tuple[Path, TiledReport], monkeypatch: pytest.MonkeyPatch) -> None:
    from inrcodec import quality_regions
    from inrcodec.signals.regions import open_regions

    whole = quality_regions.measure_regions(inrcodec.open(file[0]), open_regions(str(photo)))
    monkeypatch.setattr(quality_regions, "slab_rows", lambda *_: 7)
    parts = quality_regions.measure_regions(inrcodec.open(file[0]), open_regions(str(photo)))
    assert parts.psnr == pytest.approx(whole.psnr, abs=1e-9) and parts.ssim == pytest.approx(whole.ssim, abs=1e-9)


def test_seams_are_no_worse_than_the_rest(photo: Path, file: tuple[Path, TiledReport]) -> None:
    inr, truth = inrcodec.open(file[0]), np.asarray(Image.open(photo)).astype(float)
    assert inr.function.tiles is not None
    error, near = np.abs(inr.decode() - truth).mean(axis=-1), np.zeros((70, 91), dtype=bool)
    for (top, bottom), (left, right) in inr.function.tiles.tiling.boxes:
        for y in {top, bottom} - {0, 70}:
            near[y - 4 : y + 4, left:right] = True
        for x in {left, right} - {0, 91}:
            near[top:bottom, x - 4 : x + 4] = True
    assert near.any() and error[near].mean() <= 1.1 * error[~near].mean()


def test_a_run_that_ended_goes_on(photo: Path, file: tuple[Path, TiledReport], tmp_path: Path) -> None:
    path = tmp_path / "again.inr"
    first, second = Serial(most=3), Serial()
    with pytest.raises(KeyboardInterrupt):
        encoded(str(photo), path, pool=first)
    assert not path.exists()
    folder = Path(f"{path}.tiles")
    kept = {part.name: part.stat().st_mtime_ns for part in folder.glob("0*.inr")}
    assert len(kept) == 3
    damaged = folder / sorted(kept)[0]
    damaged.write_bytes(damaged.read_bytes()[:-5])
    with pytest.raises(UsageError, match="holds tiles of another source, other options"):
        encoded(str(photo), path, quality=20.0)
    report = encoded(str(photo), path, pool=second)
    assert len(second.done) == report.tiles - 2 and sorted({*first.done, *second.done}) == sorted({*first.done} | {*second.done})
    assert path.read_bytes() == file[0].read_bytes()


def test_a_tile_that_fails_is_told(photo: Path, tmp_path: Path) -> None:
    class Failing(Serial):
        def finished(self) -> tuple[int, Result | None]:
            number, task = self._waiting.pop()
            return number, do_tile(replace(task, options=replace(task.options, arch="none.1")))

    with pytest.raises(InrError, match=r"photo.png: tile \d+: .*expected one of siren.1") as caught:
        encoded(str(photo), tmp_path / "none.inr", pool=Failing())
    assert caught.value.exit_code == 2 and list(tmp_path.iterdir()) == []
    (tmp_path / "none.inr.tiles").mkdir()
    (tmp_path / "none.inr.tiles" / "plan.json").write_text('{"key": "of another"}')
    encoded(str(photo), tmp_path / "none.inr", side=64)
    assert [path.name for path in tmp_path.iterdir()] == ["none.inr"]


def test_a_size_is_shared_out(photo: Path, tmp_path: Path) -> None:
    report = encoded(str(photo), tmp_path / "small.inr", size=16000)
    assert report.bytes <= 16000 and report.target_met and report.target == "size <= 16000 bytes"
    tiles = inrcodec.open(tmp_path / "small.inr").function.tiles
    assert tiles is not None
    sizes = dict(zip(tiles.tiling.boxes, (entry.length for entry in tiles.index.entries), strict=True))
    smooth, rough = (sum(size for box, size in sizes.items() if held(box)) for held in (is_smooth, is_rough))
    area = {held: sum(math.prod(b - a for a, b in box) for box in sizes if held(box)) for held in (is_smooth, is_rough)}
    assert rough / area[is_rough] > smooth / area[is_smooth]


def is_rough(box: Box) -> bool:
    return box[0][0] >= 30 and box[1][0] >= 40


def is_smooth(box: Box) -> bool:
    return box[0][1] <= 40 and box[1][1] <= 50


def test_volumes_and_arrays(tmp_path: Path) -> None:
    z, y, x = np.mgrid[0:20, 0:34, 0:22]
    volume = (1000 * np.exp(-((z - 10) ** 2 + (y - 16) ** 2 + (x - 9) ** 2) / 90)).astype(np.int16)
    np.save(tmp_path / "v.npy", volume)
    report = encoded(str(tmp_path / "v.npy"), tmp_path / "v.inr", side=16, settings={"steps": "60"})
    inr = inrcodec.open(tmp_path / "v.inr")
    found = inr.decode()
    assert found.dtype == np.int16 and found.shape == (*volume.shape, 1) and report.tiles > 1
    assert report.psnr == pytest.approx(psnr(volume / 1000, found[..., 0] / 1000), abs=0.05)
    assert report.max_error == pytest.approx(np.abs(found[..., 0].astype(int) - volume).max(), rel=0.01)
    verify(inr, source=str(tmp_path / "v.npy"))


@pytest.mark.parametrize("changes", [{"max_error": "1"}, {"lossless": True}, {"time_limit": 3.0}, {"start": 1.0}])
def test_what_cannot_be_asked_of_tiles(photo: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="not with --tile"):
        encoded(str(photo), tmp_path / "no.inr", **changes)
    assert list(tmp_path.iterdir()) == []


def test_the_command_gives_the_same_file_from_two_processes(photo: Path, file: tuple[Path, TiledReport], tmp_path: Path) -> None:
    fast = [part for name, value in FAST.items() for part in ("--set", f"{name}={value}")]
    options = ["--tile", "32", "-e", "1", "--jobs", "2", "--deterministic", "--device", "cpu", *fast]
    told = run("encode", str(photo), "-o", "c.inr", "--json", "--quiet", *options, cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    assert (tmp_path / "c.inr").read_bytes() == file[0].read_bytes()
    assert json.loads(told.stdout)["tiles"] == file[1].tiles
    assert_fails(run("encode", str(photo), "-o", "d.inr", "--jobs", "2", cwd=tmp_path), 2, "--tile")
    assert_fails(run("encode", str(photo), "-o", "-", "--tile", "48", cwd=tmp_path), 2, "--tile")
    done = run("decode", "c.inr", "-o", "part.png", "--region", "10,10,30,30", "--scale", "3", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    whole = inrcodec.open(tmp_path / "c.inr").decode(scale=3)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "part.png")), whole[30:90, 30:90])


def test_a_kill_at_any_moment_loses_no_tile(photo: Path, tmp_path: Path) -> None:
    path = tmp_path / "killed.inr"
    fast = [part for name, value in FAST.items() for part in ("--set", f"{name}={value}")]
    command = [sys.executable, "-m", "inrcodec", "encode", str(photo), "-o", str(path), "--tile", "32", "-e", "1", "--jobs", "1", *fast]
    command += ["--deterministic", "--device", "cpu"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    folder, deadline = Path(f"{path}.tiles"), time.monotonic() + 120
    while len(list(folder.glob("0*.inr"))) < 2:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = {part.name: part.stat().st_mtime_ns for part in folder.glob("0*.inr")}
    assert not path.exists() and len(kept) >= 2
    seen: list[TileTask] = []

    class Watching(Serial):
        def start(self, number: int, task: Any) -> None:
            seen.append(task)
            super().start(number, task)

    report = encoded(str(photo), path, pool=Watching())
    assert len(seen) == report.tiles - len(kept)


def test_bits_follow_what_samples_hold_and_cells_add_up() -> None:
    values = picture(200, 300).astype(np.float32) / 255
    reads: list[Any] = []

    def read(box: Any) -> NDArray[np.float32]:
        reads.append(box)
        return values[tuple(slice(*part) for part in box)]

    found = estimate((200, 300), read, 1e-4)
    assert found.bits.shape == (7, 10) and len(reads) == 1
    assert found.of(((0, 200), (0, 300))) == pytest.approx(found.bits.sum())
    left, right = found.of(((0, 200), (0, 150))), found.of(((0, 200), (150, 300)))
    assert left + right == pytest.approx(found.bits.sum()) and right > 3 * left
    noise = np.random.default_rng(0).normal(0.5, 0.1, (96, 96, 1))
    at = estimate((96, 96), lambda box: noise[tuple(slice(*part) for part in box)], 0.01 / 15)
    assert at.bits.mean() / CELL**2 == pytest.approx(0.5 * np.log2(16), rel=0.25)


def test_tiles_are_smaller_where_there_is_more() -> None:
    values = picture(256, 256).astype(np.float32) / 255
    found = estimate((256, 256), lambda box: values[tuple(slice(*part) for part in box)], 1e-4)
    root = cut(found, 64)
    tiles = tiling((256, 256), [(-1, 1)] * 2, (usual_overlap(64),) * 2, root)
    sides = {box: max(b - a for a, b in box) for box in tiles.boxes}
    rough = [side for ((top, _), (left, _)), side in sides.items() if top >= 128 and left >= 128]
    smooth = [side for ((top, _), (left, _)), side in sides.items() if top < 128 and left < 128]
    assert max(rough) < max(smooth) and all(32 <= side <= 128 for side in sides.values())
    flat = cut(estimate((100, 40), lambda box: np.zeros([b - a for a, b in box] + [1]), 1e-4), 32)
    assert len(tiling((100, 40), [(-1, 1)] * 2, (8, 8), flat).boxes) == 2


def test_overlaps() -> None:
    assert [usual_overlap(side) for side in (16, 64, 400, 5000)] == [8, 8, 16, 64]
