"""What long work tells its caller while it runs."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """A moment of an encode."""

    stage: str  # "fit", "rate", "finish", "check"
    step: int
    steps: int
    psnr: float | None  # dB, estimated on the batches seen lately
    bytes: int | None  # estimated
    eta: float | None  # seconds


ProgressCallback = Callable[[Progress], None]
