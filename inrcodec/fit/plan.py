"""What a fit is asked to do, decided before it starts: network, configuration, schedule."""

import math
from dataclasses import dataclass
from typing import Any

from inrcodec.networks.base import Network
from inrcodec.networks.checks import check_counts, check_finite
from inrcodec.windows import Windows

METRICS = ("psnr", "ssim")
MOST_BETWEEN = 0.9  # of the batches: the others tell the distortion


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Numbers of a fit. Fractions are of the whole run.

    lam: weight of the rate in the loss, mean squared error (values in [0, 1]) + lam * bits per sample; 0 fits without rate.
    """

    steps: int
    stride: int  # a step sees every stride-th sample per axis, at a random phase
    learning_rate: float  # of the network
    table_learning_rate: float
    scale_learning_rate: float = 1e-2  # of the quantization steps and Laplace scales
    rate_from: float = 0.25  # fraction at which rate and quantization noise enter
    round_from: float = 0.85  # fraction from which values are rounded instead of noised
    rate_every: int = 4  # steps between evaluations of the rate
    warmup: int = 20  # steps
    final_rate: float = 0.02  # learning rates end at this fraction, by a cosine
    context_features: int = 0  # hidden width of the context network of dense tables; 0 codes them without
    context_learning_rate: float = 2e-2
    size_margin: float = 0.95  # of a size target, aimed at until values are rounded
    rounded_push: float = 0.4  # added to the logarithm of lam then: rounded values come back more easily than noisy ones
    table_step: float = 0.3  # first quantization step over mean size, tables
    matrix_step: float = 0.05  # and everything else
    embedding: str = "drawn"  # frequencies of sasnet.1: "drawn" as in its paper, or "spectrum", where the signal's spectrum is largest
    constant_is_divergence: bool = True  # early in the fit, a distortion like that of a constant
    between: float = 0.0  # part of the batches that lie between the samples, to keep the function smooth there
    mask_sparsity: float = 0.0  # weight of mean |M| in the loss (SASNet section 3.3)
    cuda_graphs: int = 1  # on a GPU steps are captured and replayed; 0: they run one by one

    def __post_init__(self) -> None:
        for name in ("steps", "stride", "rate_every", "warmup"):
            check_counts(self, name, 1, 1_000_000_000)
        check_finite(self, "learning_rate", "table_learning_rate", "scale_learning_rate", "table_step", "matrix_step")
        for name in ("rate_from", "round_from", "final_rate"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: expected 0..1, got {getattr(self, name)}")
        if not 0 <= self.between <= MOST_BETWEEN:
            raise ValueError(f"between: expected 0..{MOST_BETWEEN}, got {self.between}")
        if self.cuda_graphs not in (0, 1):
            raise ValueError(f"cuda_graphs: expected 0 or 1, got {self.cuda_graphs}")
        if self.embedding not in ("drawn", "spectrum"):
            raise ValueError(f"embedding: expected drawn or spectrum, got {self.embedding}")
        if not (math.isfinite(self.mask_sparsity) and self.mask_sparsity >= 0):
            raise ValueError(f"mask_sparsity: expected a number of at least 0, got {self.mask_sparsity}")


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How a shape is sampled for training."""

    batch: int  # points of a step
    pool: int  # points whose distances are computed, once
    softness: float  # in sides of the box: nearer than this to the surface errors count alike, farther off relative to the distance

    def __post_init__(self) -> None:
        check_counts(self, "batch", 2, 1 << 24)
        check_counts(self, "pool", self.batch, 1 << 28)
        check_finite(self, "softness")


@dataclass(frozen=True, kw_only=True)
class Target:
    """What the file should reach; at most one is set. `lam` steers the trade where none is."""

    lam: float
    psnr: float | None = None  # dB, at least
    size: int | None = None  # bytes, at most
    metric: str = "psnr"  # what errors count by, one of METRICS

    @property
    def can_be_missed(self) -> bool:
        return self.psnr is not None or self.size is not None


@dataclass(frozen=True, kw_only=True)
class Plan:
    network: Network
    config: Any
    schedule: Schedule
    target: Target
    sampling: Sampling | None = None  # of a shape
    windows: Windows | None = None  # the network is then stacked, one for each
