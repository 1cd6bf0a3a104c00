"""A network of a file as one function, whether it is one or, in windows, one of many."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from inrcodec.backends.base import Engine, Evaluate
from inrcodec.backends.numpy import NumpyOps
from inrcodec.coordinates import Lattice, Points
from inrcodec.networks.base import Array, Network
from inrcodec.networks.stacked import shared_names
from inrcodec.ops import Coordinates
from inrcodec.windows import Windows, blended, blended_slopes, window_params

Params = Mapping[str, Array]


class Evaluators(dict[str, Evaluate]):
    """Compiled functions by the name of their engine. They belong to their process: a copy, also a pickled one, begins without."""

    def __reduce__(self) -> tuple[type["Evaluators"], tuple[()]]:
        return Evaluators, ()


def evaluator(engine: Engine, network: Network, config: Any, params: Params, windows: Windows | None) -> Evaluate:
    """The function coordinates -> outputs (n, c); where numbers of the file are too large for it, they are infinite or NaN."""
    if windows is None:
        return _quiet(engine.compile(network, config, params))
    shared = shared_names(network, config)
    # Made when a sample needs it: a file may have millions of windows.
    each = lru_cache(maxsize=None)(lambda w: engine.compile(network, config, window_params(params, shared, w)))
    return _quiet(lambda coords: blended(windows, each, coords))


def _quiet(evaluate: Evaluate) -> Evaluate:
    def evaluated(coords: Coordinates) -> Array:
        with np.errstate(over="ignore", invalid="ignore"):
            return evaluate(coords)

    return evaluated


def slopes(engine: Engine, network: Network, config: Any, params: Params, windows: Windows | None, coords: Points) -> Array:
    """Exact derivatives (n, c, d) of the outputs by the coordinates: PyTorch's automatic ones in its engine, else NumPy's forward mode."""
    if coords.n == 0:
        return np.zeros((0, config.out_features, coords.d), dtype=np.float32)
    derive: Callable[..., Array] = _forward_mode
    if engine.name == "torch":
        from inrcodec.backends.gradient import input_gradient as derive

    if windows is None:
        with np.errstate(over="ignore", invalid="ignore"):
            return derive(network, config, params, coords)
    shared = shared_names(network, config)

    def of_window(w: int) -> tuple[Evaluate, Evaluate]:
        own = window_params(params, shared, w)
        return engine.compile(network, config, own), lambda local: derive(network, config, own, local)

    return blended_slopes(windows, of_window, coords)


def _forward_mode(network: Network, config: Any, params: Params, coords: Points) -> Array:
    from inrcodec.backends.numpy_slopes import input_slopes

    return input_slopes(network, config, params, coords).astype(np.float32, copy=False)


def masks(network: Network, config: Any, params: Params, windows: Windows | None, coords: Lattice) -> Array | None:
    """The learned masks (n, k), or None for a network without."""
    if windows is None:
        found = _masks_of_one(network, config, params, coords)
        return None if found is None else np.asarray(found)
    shared = shared_names(network, config)
    if _masks_of_one(network, config, window_params(params, shared, 0), Lattice((np.zeros(1),))) is None:
        return None

    def of_window(w: int) -> Evaluate:
        return lambda local: np.array(_masks_of_one(network, config, window_params(params, shared, w), local))

    return blended(windows, of_window, coords)


def _masks_of_one(network: Network, config: Any, params: Params, coords: Coordinates) -> Any:
    ops, count = NumpyOps(), getattr(config, "masks", 0)
    return ops.columns(network.modulate(ops, config, params, coords), 0, count) if count else None
