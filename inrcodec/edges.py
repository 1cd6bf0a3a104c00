"""Where an image has edges, for the figures that tell edges from smooth regions (SASNet, section 4.1); needs scikit-image."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.errors import BackendMissing

SIGMA = 1.0  # of Canny's Gaussian, samples; the paper does not say which
RADIUS = 2  # of the disk, samples; likewise
GREY = (0.2125, 0.7154, 0.0721)  # of R, G, B


def grey(image: NDArray[Any]) -> NDArray[np.float64]:
    """Luminance (h, w) of values (h, w, c): of the first three channels, or of the first if there are fewer."""
    image = np.asarray(image, dtype=np.float64)
    return image[..., :3] @ np.array(GREY) if image.shape[-1] >= 3 else image[..., 0]


def edge_mask(image: NDArray[Any], *, sigma: float = SIGMA, radius: int = RADIUS) -> NDArray[np.bool_]:
    """True within `radius` of an edge of an image (h, w, c), values in [0, 1], by Canny's detector: (h, w).

    Raises BackendMissing without scikit-image.
    """
    try:
        from skimage import feature, morphology
    except ImportError as error:
        raise BackendMissing("edges: scikit-image is not installed; pip install 'inrcodec[bench]'") from error
    detect: Any = feature.canny
    disk: Any = morphology.disk
    found: NDArray[np.bool_] = np.asarray(detect(grey(image), sigma=sigma), dtype=np.bool_)
    kernel = disk(radius)
    padded = np.pad(found, radius)
    shifted = [padded[y : y + found.shape[0], x : x + found.shape[1]] for y, x in zip(*np.nonzero(kernel), strict=True)]
    return np.asarray(np.any(shifted, axis=0), dtype=np.bool_)
