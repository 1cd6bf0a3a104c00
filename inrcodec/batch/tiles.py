"""One large signal as many tasks: its tiles, each a file of its own in a folder beside the output until all are there.

The folder makes a run that was killed go on: what a tile has there is done. It says what it belongs to, and goes with the last step.
"""

import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from inrcodec.assembly import head_of, metadata_chunks, provenance
from inrcodec.batch.options import EncodeOptions, encode_with
from inrcodec.batch.pool import Pool, outcomes
from inrcodec.batch.tasks import Result, TileTask
from inrcodec.batch.tile_plan import TilePlan, check_options, planned, tile_signal
from inrcodec.batch.work import result_of
from inrcodec.chunks import file_ranges
from inrcodec.container import Container, load, load_ranges, pieces
from inrcodec.decoder import Inr
from inrcodec.errors import InrError, UsageError
from inrcodec.files import atomic_file, write_atomic
from inrcodec.limits import DEFAULT_LIMITS
from inrcodec.numbered import Numbered
from inrcodec.progress import Progress, ProgressCallback
from inrcodec.quality import metric_rows
from inrcodec.quality_regions import measure_regions
from inrcodec.signals.regions import Regions, open_regions
from inrcodec.tile_assembly import tiled

PLAN = "plan.json"


@dataclass(frozen=True, kw_only=True)
class TiledReport:
    """What an encode in tiles gave, measured on the file decoded from its bytes."""

    arch: str
    bytes: int
    bpp: float
    psnr: float
    ssim: float | None
    max_error: float | None
    parameters: int
    tiles: int
    overlap: tuple[int, ...]
    encode_seconds: float
    decode_seconds: float
    target: str | None
    target_met: bool
    notes: tuple[str, ...]


def encode_tiles(
    source: Any,
    output: str | os.PathLike[str],
    options: EncodeOptions,
    *,
    side: int,
    pool: Callable[[], Pool],
    retries: int = 2,
    overwrite: bool = True,
    progress: ProgressCallback | None = None,
) -> TiledReport:
    """Encode an image, volume, video or field in tiles of about `side` samples into the file `output`, which appears when it is whole.

    Tiles that are in the folder OUTPUT.tiles are not encoded again; it is made, and taken away at the end. `pool` is asked for workers
    if there is something to do, and closed. A target of bytes is shared out by what the samples tell, one of PSNR is that of every tile.
    Raises UsageError, InputError, what a failed tile raised, KeyboardInterrupt.
    """
    begin = time.monotonic()
    check_options(options, side)
    regions = open_regions(source, kind=options.kind, strip=options.strip, frames=options.frames, rate=options.rate)
    plan = planned(regions, options, side)
    folder = Path(f"{os.fspath(output)}.tiles")
    _claim(folder, plan)
    work = _Tasks(regions, plan, options, [k for k in range(plan.count) if not _is_whole(folder / _name(k))])
    if work.numbers:
        workers, kept = pool(), plan.count - len(work)
        try:
            _tell(progress, kept, plan.count, None)
            for done, (number, data) in enumerate(_results(work, workers, retries), start=1):
                write_atomic(folder / _name(number), data)
                _tell(progress, kept + done, plan.count, (time.monotonic() - begin) / done * (len(work) - done))
        except BaseException:
            if not _tiles_in(folder):
                shutil.rmtree(folder)
            raise
        finally:
            workers.close()

    def tile(number: int) -> Container:
        return load((folder / _name(number)).read_bytes())

    content = regions.content
    whole = head_of(content, tile(0).head["net"], 1.0, [0.0] * len(content.channels))
    ancillary = metadata_chunks(content)
    if not options.deterministic:
        usual = {field.name: field.default for field in fields(EncodeOptions)} | {
            name: getattr(options, name) for name in ("seed", "threads", "device", "deterministic")
        }
        told = {name: value for name, value in asdict(options).items() if value != usual[name]}
        ancillary += (provenance(content, {**told, "tile": side}, options.seed),)
    container = tiled(whole, plan.tiling.root, plan.tiling.overlap, tile, plan.count, ancillary)
    if progress is not None:
        progress(Progress("check", plan.count, plan.count, None, None, None))
    path = folder / "whole.inr"
    _write(path, container)
    measured = measure_regions(_opened(path, options.device), regions)
    _write(path, replace(container, ancillary=(*ancillary, metric_rows(measured, content))))
    function, size, samples = _opened(path, options.device).function, path.stat().st_size, math.prod(plan.tiling.shape)
    if not overwrite and os.path.exists(output):
        raise UsageError(f"{output}: exists, and is not to be overwritten")
    os.replace(path, Path(output).resolve())
    shutil.rmtree(folder)
    target, met = _target(options, measured.psnr, size, samples)
    trained = sum(param.size for param in function.network.params(function.config) if param.trainable)
    return TiledReport(
        arch=function.network.id,
        bytes=size,
        bpp=8 * size / samples,
        psnr=measured.psnr,
        ssim=measured.ssim,
        max_error=measured.max_error,
        parameters=trained * plan.count,
        tiles=plan.count,
        overlap=plan.tiling.overlap,
        encode_seconds=time.monotonic() - begin,
        decode_seconds=measured.seconds,
        target=target,
        target_met=met,
        notes=content.notes,
    )


def do_tile(task: TileTask) -> Result:
    """Encode a tile; whatever fails is told in the result."""
    return result_of(task.source, lambda: None, lambda: encode_with(task.signal, task.options, part=task.part))


@dataclass(frozen=True, eq=False)
class _Tasks(Numbered[TileTask]):
    """The tiles that are left to do; the samples of one are read when it is begun."""

    regions: Regions
    plan: TilePlan
    options: EncodeOptions
    numbers: Sequence[int]

    def __len__(self) -> int:
        return len(self.numbers)

    def item(self, number: int) -> TileTask:
        number = self.numbers[number]
        size = None if self.plan.sizes is None else self.plan.sizes[number]
        options = replace(self.options, kind=None, frames=None, rate=None, bpp=None, size=size, deterministic=True, strip=False)
        content = self.regions.content
        signal = tile_signal(self.regions, self.plan.tiling, number)
        return TileTask(f"{content.source or 'signal'}: tile {number}", signal, options, self.plan.part)


def _claim(folder: Path, plan: TilePlan) -> None:
    """Make the folder, or go on in one of the same plan. Raises UsageError where it has tiles of another."""
    path = folder / PLAN
    try:
        theirs = json.loads(path.read_text()).get("key")
    except (OSError, ValueError, AttributeError):
        theirs = None
    if theirs != plan.key and _tiles_in(folder):
        raise UsageError(f"{folder}: holds tiles of another source, other options or another version; remove it to begin anew")
    folder.mkdir(parents=True, exist_ok=True)
    boxes = [list(map(list, box)) for box in plan.tiling.boxes]
    write_atomic(path, json.dumps({"key": plan.key, "side": plan.side, "overlap": plan.tiling.overlap, "boxes": boxes}).encode())


def _tiles_in(folder: Path) -> list[Path]:
    return list(folder.glob("[0-9]*.inr"))


def _name(number: int) -> str:
    return f"{number:07}.inr"


def _is_whole(path: Path) -> bool:
    try:
        load(path.read_bytes())
    except (OSError, InrError):
        return False
    return True


def _results(work: _Tasks, pool: Pool, retries: int) -> Iterator[tuple[int, bytes]]:
    for outcome in outcomes(work, pool, retries=retries):
        if outcome.result.data is None:
            error = InrError(outcome.result.message or "a tile failed")
            error.exit_code = outcome.result.exit_code
            raise error
        yield work.numbers[outcome.number], outcome.result.data


def _tell(progress: ProgressCallback | None, done: int, count: int, eta: float | None) -> None:
    if progress is not None:
        progress(Progress("tiles", done, count, None, None, eta))


def _write(path: Path, container: Container) -> None:
    with atomic_file(path) as file:
        for piece in pieces(container):
            file.write(piece)


def _opened(path: Path, device: str) -> Inr:
    ranges = file_ranges(os.fspath(path))
    assert ranges is not None
    limits = replace(DEFAULT_LIMITS, output_samples=1 << 40, work=1 << 80)
    return Inr(load_ranges(ranges), ranges.size, backend="torch", device=device, limits=limits)


def _target(options: EncodeOptions, found: float, nbytes: int, samples: int) -> tuple[str | None, bool]:
    if options.psnr is not None:
        return f"psnr >= {options.psnr:g} dB", found >= options.psnr
    if options.bpp is not None:
        return f"bpp <= {options.bpp:g}", 8 * nbytes <= options.bpp * samples
    if options.size is not None:
        return f"size <= {options.size} bytes", nbytes <= options.size
    return None, True
