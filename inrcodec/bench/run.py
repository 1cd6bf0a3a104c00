"""The measurement: every codec at every setting on every item of a folder, each file decoded from its bytes."""

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from inrcodec.bench.base import OURS, Array, Missing, Peer, Row, Unusable
from inrcodec.bench.curves import need_scipy
from inrcodec.bench.items import Item, Place, find_items, read_item
from inrcodec.bench.machine import PACKAGES, machine, versions
from inrcodec.bench.peers import image_peers
from inrcodec.bench.published import SETS, Published, published_curves
from inrcodec.bench.quality import code_psnr, value_psnr
from inrcodec.bench.record import Record
from inrcodec.bench.report import SCHEMA, write_csv
from inrcodec.bench.summary import averages, distances
from inrcodec.bench.volume_peers import volume_peers
from inrcodec.errors import Interrupted, UsageError
from inrcodec.progress import Progress, ProgressCallback
from inrcodec.version import VERSION

DEFAULT_BPP = (0.5, 1.0, 2.0, 3.0)
DEFAULT_RATIOS = (100.0, 300.0, 1000.0)
JSON, CSV, MEANS, PLOTS = "rd.json", "rd.csv", "rd.png", "items"


@dataclass(frozen=True)
class Outcome:
    """What a measurement gave: the content of rd.json, and a line for each thing a user should know of."""

    content: dict[str, Any]
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Options:
    """Of our encodes, as rate_distortion has them."""

    effort: int
    arch: str | None
    settings: Mapping[str, int | float | str]
    seed: int
    device: str


@dataclass(frozen=True)
class _Target:
    """What one of our files is asked to be: at most `value` bpp, at least the compression ratio `value`, or of the quality `value`."""

    name: str
    value: float

    @property
    def parameter(self) -> str:
        return f"{self.name}={self.value:g}"


def rate_distortion(
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    kind: str | None = None,
    crop: tuple[int, int] | None = None,
    bpp: Sequence[float] = (),
    ratio: Sequence[float] = (),
    quality: Sequence[float] = (),
    effort: int = 5,
    arch: str | None = None,
    settings: Mapping[str, int | float | str] | None = None,
    seed: int = 0,
    device: str = "auto",
    published: str | None = None,
    resume: bool = False,
    overwrite: bool = True,
    progress: ProgressCallback | None = None,
) -> Outcome:
    """Measure rate-distortion curves over the images or volumes of a folder into rd.json, rd.csv, rd.png and items/*.png in `out`.

    Ours is encoded at each of bpp (images, at most), ratio (volumes, at least) and quality (0..100), DEFAULT_BPP or DEFAULT_RATIOS where
    none is given; the others are swept over their own settings, and named as absent where not installed. crop: (width, height) of the
    centre of each image. published: a set of published curves to draw, one of published.SETS. rd.json is written after every file;
    resume goes on from it. progress: stage names the item, codec and setting.
    Raises InputError, UsageError, BackendMissing (scipy or matplotlib), Interrupted, and what encode and the readers raise.
    """
    need_scipy()
    from inrcodec.bench.plots import draw_item, draw_means, need_matplotlib

    need_matplotlib()
    folder, out = Path(folder), Path(out)
    chosen, places = find_items(folder, kind)
    targets = _targets(chosen, bpp, ratio, quality)
    others = _others(chosen, published)
    if crop is not None and (chosen != "image" or min(crop) < 1):
        raise UsageError(f"crop: expected a width and a height of at least 1, of images, got {crop[0]}x{crop[1]} of {chosen}s")
    path = _output(folder, out, resume=resume, overwrite=overwrite)
    options = _Options(effort=effort, arch=arch, settings=dict(settings or {}), seed=seed, device=device)
    installed = image_peers() if chosen == "image" else volume_peers()
    peers = [peer for peer in installed if isinstance(peer, Peer)]
    absent = {peer.name: peer.reason for peer in installed if isinstance(peer, Missing)}
    about = {
        "schema": SCHEMA,
        "kind": chosen,
        "machine": machine(),
        "versions": versions(PACKAGES),
        "seed": seed,
        "options": {
            "crop": None if crop is None else list(crop),
            "effort": effort,
            "arch": arch,
            "settings": {key: str(value) for key, value in options.settings.items()},
            "device": device,
            "targets": [target.parameter for target in targets],
        },
        "codecs": {OURS: VERSION} | {peer.name: peer.version for peer in peers},
        "absent": absent,
        "items": [_about(place, read_item(place, chosen, crop)) for place in places],
    }
    record = Record(path, about)
    dropped = record.resume() if resume and path.exists() else 0
    out.mkdir(parents=True, exist_ok=True)
    try:
        for place in places:
            item = read_item(place, chosen, crop)
            _measure_ours(record, place.name, item, targets, options, progress)
            for peer in peers:
                _measure_peer(record, place.name, item, peer, progress)
    except (KeyboardInterrupt, Interrupted) as error:
        raise Interrupted(f"interrupted; {path} holds {len(record.rows)} rows, and --resume goes on from them") from error
    record.sort()
    names = [place.name for place in places]
    rivals = [peer.name for peer in peers]
    content = record.write(
        {
            "distances": distances(record.rows, names, rivals),
            "bd": averages(record.rows, names, rivals),
            "published": [_plain(other) for other in others],
        }
    )
    write_csv(out / CSV, record.rows, chosen)
    draw_means(out / MEANS, names, record.rows, chosen, others)
    (out / PLOTS).mkdir(exist_ok=True)
    for name in names:
        draw_item(out / PLOTS / f"{name}.png", name, record.rows, chosen)
    return Outcome(content, _notes(record, absent, dropped))


def _targets(kind: str, bpp: Sequence[float], ratio: Sequence[float], quality: Sequence[float]) -> list[_Target]:
    for name, values, wanted in (("bpp", bpp, "image"), ("ratio", ratio, "volume")):
        if values and kind != wanted:
            raise UsageError(f"{name}: expected a folder of {wanted}s, got {kind}s")
        if not all(math.isfinite(value) and value > 0 for value in values):
            raise UsageError(f"{name}: expected positive numbers, got {', '.join(f'{value:g}' for value in values)}")
    if not all(0 <= value <= 100 for value in quality):
        raise UsageError(f"quality: expected 0 to 100, got {', '.join(f'{value:g}' for value in quality)}")
    if not (bpp or ratio or quality):
        bpp, ratio = (DEFAULT_BPP, ()) if kind == "image" else ((), DEFAULT_RATIOS)
    given = (("bpp", bpp), ("ratio", ratio), ("quality", quality))
    return list(dict.fromkeys(_Target(name, float(value)) for name, values in given for value in values))


def _others(kind: str, name: str | None) -> tuple[Published, ...]:
    if name is None:
        return ()
    if name not in SETS or kind != "image":
        raise UsageError(f"published: expected one of {', '.join(SETS)}, for images, got {name} for {kind}s")
    return published_curves(name)


def _output(folder: Path, out: Path, *, resume: bool, overwrite: bool) -> Path:
    """Where rd.json goes, checked before any long work; nothing is made yet."""
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: expected a folder to write into, got a file")
    if out.exists() and out.samefile(folder):
        raise UsageError(f"{out}: expected another folder than the one that is measured, whose plots would be items")
    existing = next(parent for parent in (out, *out.absolute().parents) if parent.exists())
    if not os.access(existing, os.W_OK):
        raise UsageError(f"{out}: the folder {existing} is not writable")
    path = out / JSON
    if path.exists() and not (overwrite or resume):
        raise UsageError(f"{path}: exists, and is not to be overwritten")
    return path


def _about(place: Place, item: Item) -> dict[str, Any]:
    return {
        "name": place.name,
        "file": place.path.name,
        "shape": list(item.samples.shape),
        "dtype": item.samples.dtype.name,
        "raw_bytes": item.samples.nbytes,
        "sha256": item.digest,
        "notes": list(item.notes),
    }


def _measure_ours(
    record: Record, name: str, item: Item, targets: Sequence[_Target], options: _Options, progress: ProgressCallback | None
) -> None:
    from inrcodec.codec import encode
    from inrcodec.opening import open_inr

    for target in targets:
        if record.has(name, OURS, target.parameter):
            continue
        begin = time.monotonic()
        encoded = encode(
            item.signal,
            bpp=target.value if target.name == "bpp" else None,
            size=int(item.samples.nbytes / target.value) if target.name == "ratio" else None,
            quality=target.value if target.name == "quality" else None,
            effort=options.effort,
            arch=options.arch,
            settings=options.settings,
            seed=options.seed,
            device=options.device,
            progress=_staged(progress, f"{name} {OURS} {target.parameter}"),
        )
        seconds = time.monotonic() - begin

        def decode(stream: bytes) -> Array:
            decoded = open_inr(stream, device=options.device).decode()
            return decoded if item.signal.kind == "image" else decoded[..., 0]

        row = _row(name, OURS, target.parameter, item, encoded.data, seconds, decode)
        record.put(row if target.name == "quality" else replace(row, target_met=encoded.report.target_met))


def _measure_peer(record: Record, name: str, item: Item, peer: Peer, progress: ProgressCallback | None) -> None:
    try:
        trials = peer.trials(item.samples)
    except (OSError, ValueError, RuntimeError) as error:
        record.fail(name, peer.name, "all", error)
        return
    for number, trial in enumerate(trials, 1):
        if record.has(name, peer.name, trial.parameter):
            continue
        begin = time.monotonic()
        try:
            stream = trial.encode()
            row = _row(name, peer.name, trial.parameter, item, stream, time.monotonic() - begin, trial.decode)
        except (OSError, ValueError, RuntimeError, Unusable) as error:
            record.fail(name, peer.name, trial.parameter, error)
            continue
        record.put(row)
        if progress is not None:
            progress(Progress(f"{name} {peer.name}", number, len(trials), row.psnr, row.bytes, None))


def _row(name: str, codec: str, parameter: str, item: Item, stream: bytes, encode_seconds: float, decode: Callable[[bytes], Array]) -> Row:
    begin = time.monotonic()
    decoded = decode(stream)
    seconds = time.monotonic() - begin
    if decoded.shape != item.samples.shape:
        raise ValueError(f"{name}: {codec}: expected to decode {item.samples.shape}, got {decoded.shape}")
    found = (code_psnr if item.signal.kind == "image" else value_psnr)(item.samples, decoded)
    return Row(
        item=name,
        codec=codec,
        parameter=parameter,
        bytes=len(stream),
        rate=float(f"{item.rate(len(stream)):.8g}"),
        psnr=None if found is None else round(found, 4),
        encode_seconds=round(encode_seconds, 4),
        decode_seconds=round(seconds, 4),
    )


def _staged(progress: ProgressCallback | None, what: str) -> ProgressCallback | None:
    return None if progress is None else lambda moment: progress(replace(moment, stage=f"{what} {moment.stage}"))


def _plain(other: Published) -> dict[str, Any]:
    points = [{"bpp": point.size, "psnr": point.psnr} for point in other.curve]
    return {"name": other.name, "source": other.source, "interpolated": other.interpolated, "points": points}


def _notes(record: Record, absent: Mapping[str, str], dropped: int) -> tuple[str, ...]:
    notes = [f"{name} is absent: {reason}" for name, reason in absent.items()]
    if dropped:
        notes.append(f"{dropped} rows of another version of their codec, or of other items, were not kept")
    for row in record.rows:
        if row.target_met is False:
            notes.append(f"{row.item}: {row.parameter} was missed: {row.bytes} bytes")
    for failure in record.failures:
        notes.append(f"{failure['item']}: {failure['codec']} {failure['parameter']} failed: {failure['error']}")
    return tuple(notes)
