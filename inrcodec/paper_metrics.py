"""The figures of SASNet's tables for a decoded image: PSNR, SSIM, PSNR at edges, noisiness (section 4.1)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.decoder import Inr
from inrcodec.edges import GREY, edge_mask, grey
from inrcodec.errors import UsageError
from inrcodec.metrics import edge_psnr, noisiness, psnr, ssim


@dataclass(frozen=True, kw_only=True)
class ImageFigures:
    """dB, of 1, dB, and mean difference of gradient norms per unit of a coordinate; NaN where an image has no edge, or only edges."""

    psnr: float
    ssim: float
    edge_psnr: float
    noisiness: float


def image_figures(source: NDArray[Any], found: NDArray[Any], slopes: NDArray[np.floating]) -> ImageFigures:
    """Of an image `found` (h, w, c) against its source, values in [0, 1], and the gradient (h, w, c, 2) of its channels by y and x."""
    edges = edge_mask(source)
    colours = slopes[..., :3, :].astype(np.float64)
    slope = np.einsum("hwcd,c->hwd", colours, np.array(GREY)) if colours.shape[2] == 3 else colours[:, :, 0]
    return ImageFigures(
        psnr=psnr(source, found),
        ssim=ssim(source, found),
        edge_psnr=edge_psnr(source, found, edges),
        noisiness=noisiness(grey(source), slope, ~edges),
    )


def file_figures(inr: Inr, source: NDArray[Any]) -> ImageFigures:
    """Of a file against its source (h, w, c) in [0, 1]; its gradients need PyTorch. Raises UsageError where it is no image of that size."""
    if inr.head["kind"] != "image" or inr.shape != source.shape:
        raise UsageError(f"figures: expected an image of shape {source.shape}, got {inr.head['kind']} of shape {inr.shape}")
    h, w, _ = inr.shape
    points = np.stack(np.meshgrid(*((np.arange(n) + 0.5) / n * 2 - 1 for n in (h, w)), indexing="ij"), axis=-1)
    return image_figures(source, inr.decode(dtype=np.float32), inr.gradient(points.reshape(-1, 2)).reshape(h, w, -1, 2))
