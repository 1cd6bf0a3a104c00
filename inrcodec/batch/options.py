"""The options of one encode as a value: what the command lines take, what travels to a worker, what a task's identity is made of."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from typing import IO, TYPE_CHECKING

from inrcodec import spec
from inrcodec.errors import UsageError
from inrcodec.progress import ProgressCallback
from inrcodec.version import VERSION

if TYPE_CHECKING:
    from inrcodec.codec import Encoded
    from inrcodec.fit.group import Group
    from inrcodec.fit.request import Part
    from inrcodec.signals.base import Signal


EXECUTORS = ("local", "ray", "dask")


@dataclass(frozen=True, kw_only=True)
class EncodeOptions:
    """The options of `inrcodec.encode` that say what bytes come out, by the same names; `threads` is what a fit runs on (None: all)."""

    kind: str | None = None
    frames: int | None = None
    rate: float | None = None
    quality: float | None = None
    psnr: float | None = None
    bpp: float | None = None
    size: int | None = None
    max_error: str | None = None
    lossless: bool = False
    metric: str = "psnr"
    effort: int = 5
    preset: str | None = None
    arch: str | None = None
    settings: Mapping[str, str] | None = None
    protocol: str | None = None
    sign: str | None = None
    seed: int = 0
    time_limit: float | None = None
    start: float | None = None
    stop: float | None = None
    strip: bool = False
    deterministic: bool = False
    device: str = "auto"
    precision: str = "float32"
    hash_backend: str = "own"
    threads: int | None = None


def digest(options: EncodeOptions) -> str:
    """SHA-256, in hexadecimal, of the options and of the versions of the codec and its format."""
    told = {"options": asdict(options), "inrcodec": VERSION, "format": [spec.MAJOR, spec.MINOR]}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def encode_with(
    source: "str | os.PathLike[str] | bytes | IO[bytes] | Signal",
    options: EncodeOptions,
    *,
    part: "Part | None" = None,
    checkpoint: str | None = None,
    resume: bool = False,
    on_interrupt: str = "discard",
    progress: ProgressCallback | None = None,
    interrupted: Callable[[], bool] | None = None,
    group: "Group | None" = None,
) -> "Encoded":
    """`inrcodec.encode` with `options`, on as many threads as they say; raises as it does."""
    from inrcodec.codec import encode

    with _on(options.threads):
        return encode(
            source,
            kind=options.kind,
            frames=options.frames,
            rate=options.rate,
            quality=options.quality,
            psnr=options.psnr,
            bpp=options.bpp,
            size=options.size,
            max_error=options.max_error,
            lossless=options.lossless,
            metric=options.metric,
            effort=options.effort,
            preset=options.preset,
            arch=options.arch,
            settings=options.settings,
            device=options.device,
            precision=options.precision,
            hash_backend=options.hash_backend,
            protocol=options.protocol,
            sign=options.sign,
            seed=options.seed,
            time_limit=options.time_limit,
            checkpoint=checkpoint,
            resume=resume,
            start=options.start,
            stop=options.stop,
            strip=options.strip,
            on_interrupt=on_interrupt,
            deterministic=options.deterministic,
            part=part,
            progress=progress,
            interrupted=interrupted,
            group=group,
        )


def _on(threads: int | None) -> AbstractContextManager[None]:
    if threads is None:
        return nullcontext()
    if threads < 1:
        raise UsageError(f"threads: expected at least 1, got {threads}")
    from inrcodec.backends.threads import in_threads

    return in_threads(threads)
