"""What stands for a fit in tests of jobs, in the process that encodes: steps that take a while, and are saved one by one."""

import io
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from inrcodec.batch.options import EncodeOptions, encode_with
from inrcodec.codec import Encoded, Report
from inrcodec.errors import Interrupted
from inrcodec.progress import Progress, ProgressCallback


def counted(
    source: io.BytesIO,
    options: EncodeOptions,
    *,
    checkpoint: str,
    resume: bool,
    progress: ProgressCallback,
    interrupted: Callable[[], bool],
) -> Encoded:
    """The source says, as JSON: steps; seconds of each; deaf: stops for nobody; dies: at this step, whenever it comes to it; tells: of
    itself. The result is the same from wherever it was begun, which the report tells.
    """
    wanted = json.loads(source.read())
    begun = int(Path(checkpoint).read_text()) if resume else 0
    steps = int(wanted.get("steps", 1))
    for step in range(begun, steps):
        if interrupted() and not wanted.get("deaf"):
            raise Interrupted(f"interrupted at step {step}")
        if step == wanted.get("dies"):
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(wanted.get("seconds", 0.0))
        Path(checkpoint).write_text(str(step + 1))
        progress(Progress("fit", step + 1, steps, None, None, 0.0))
    told = _self() if wanted.get("tells") else {}
    return Encoded(json.dumps({"seed": options.seed, "wanted": wanted, **told}).encode(), _report(f"begun at {begun}"))


def often_saved(
    source: io.BytesIO,
    options: EncodeOptions,
    *,
    checkpoint: str,
    resume: bool,
    progress: ProgressCallback,
    interrupted: Callable[[], bool],
) -> Encoded:
    """A real fit with a checkpoint after every step, of slow steps."""
    from inrcodec.fit.trainer import RunOptions

    def asked() -> bool:
        time.sleep(0.02)
        return interrupted()

    defaults: dict[str, Any] = RunOptions.__init__.__kwdefaults__
    defaults["checkpoint_seconds"] = 0.0
    return encode_with(source, options, checkpoint=checkpoint, resume=resume, progress=progress, interrupted=asked)


def _self() -> dict[str, Any]:
    folder = Path("/proc/self/fd")
    links = [os.readlink(path) for path in folder.iterdir() if path.is_symlink()] if folder.is_dir() else []
    return {"files": os.listdir(), "sockets": [link for link in links if link.startswith("socket:")]}


def _report(note: str) -> Report:
    return Report(
        arch="none",
        bytes=0,
        bpp=0.0,
        psnr=float("inf"),
        ssim=None,
        max_error=None,
        bound=None,
        iou=None,
        surface_rms=None,
        normal_consistency=None,
        snr=None,
        segmental_snr=None,
        parameters=0,
        steps=0,
        encode_seconds=0.0,
        decode_seconds=0.0,
        target=None,
        target_met=True,
        interrupted=False,
        notes=(note,),
    )
