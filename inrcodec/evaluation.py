"""The networks of a file as one function: one, one in each window, or one in each tile."""

from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from inrcodec import tiling, windows
from inrcodec.backends.base import Engine, Evaluate
from inrcodec.backends.numpy import NumpyOps
from inrcodec.container import Container
from inrcodec.coordinates import Lattice, Points
from inrcodec.limits import Limits
from inrcodec.networks.base import Array
from inrcodec.networks.stacked import shared_names
from inrcodec.ops import Coordinates
from inrcodec.tiles import tiles_of
from inrcodec.weights import read_network, unpack
from inrcodec.windows import window_params, windows_of


class Evaluators(dict[str, Evaluate]):
    """Compiled functions by the name of their engine. They belong to their process: a copy, also a pickled one, begins without."""

    def __reduce__(self) -> tuple[type["Evaluators"], tuple[()]]:
        return Evaluators, ()


class Function:
    """What a container holds, to be evaluated; parameters are unpacked on first use. Raises what `read_network` does."""

    def __init__(self, container: Container, limits: Limits) -> None:
        self._container, self._limits = container, limits
        self.network, self.config = read_network(container.head, limits)
        self.windows = windows_of(container.head)
        self.tiles = tiles_of(container, limits)
        self._evaluators = Evaluators()

    @cached_property
    def params(self) -> Mapping[str, Array]:
        """The parameters, float32, by name; those of tiles as `tiles.<number>.<name>`, unpacked when they are taken."""
        if self.tiles is not None:
            return self.tiles.every_param()
        return unpack(self._container, self._limits)[2]

    def work(self, samples: int) -> int:
        """Multiply-accumulates of so many samples, but for those in overlaps, which count once."""
        return samples * self.network.macs(self.config)

    def evaluator(self, engine: Engine) -> Evaluate:
        """The function coordinates -> outputs (n, c); where numbers of the file are too large for it, they are infinite or NaN."""
        if engine.name not in self._evaluators:
            self._evaluators[engine.name] = _quiet(self._compiled(engine))
        return self._evaluators[engine.name]

    def slopes(self, engine: Engine, coords: Points) -> Array:
        """Exact derivatives (n, c, d) of the outputs by the coordinates: PyTorch's automatic ones in its engine, else by forward mode."""
        if coords.n == 0:
            return np.zeros((0, self.config.out_features, coords.d), dtype=np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            return self._slopes(engine, _derivatives(engine), coords)

    def masks(self, coords: Lattice) -> Array | None:
        """The learned masks (n, k), or None for a network without."""
        network, config = self.network, self.config
        if not getattr(config, "masks", 0):
            return None
        if self.tiles is not None:
            of_tile, tiles = self.tiles.params, self.tiles.tiling
            return tiling.blended(tiles, lambda k: lambda local: _masks(network, config, of_tile(k), local), coords)
        if self.windows is None:
            return _masks(network, config, self.params, coords)
        shared, params = shared_names(network, config), self.params

        def of_window(w: int) -> Evaluate:
            return lambda local: _masks(network, config, window_params(params, shared, w), local)

        return windows.blended(self.windows, of_window, coords)

    def _compiled(self, engine: Engine) -> Evaluate:
        network, config, cut, tiles = self.network, self.config, self.windows, self.tiles
        if tiles is not None:
            every = tiles.kept(lambda k: tiles.outputs(k, engine.compile(network, config, tiles.params(k))))
            return lambda coords: tiling.blended(tiles.tiling, every, coords)
        params = self.params
        if cut is None:
            return engine.compile(network, config, params)
        shared = shared_names(network, config)
        # Made when a sample needs it: a file may have millions of windows.
        each = lru_cache(maxsize=None)(lambda w: engine.compile(network, config, window_params(params, shared, w)))
        return lambda coords: windows.blended(cut, each, coords)

    def _slopes(self, engine: Engine, derive: Callable[..., Array], coords: Points) -> Array:
        network, config, cut, tiles = self.network, self.config, self.windows, self.tiles
        if tiles is not None:

            def of_tile(k: int) -> tuple[Evaluate, Evaluate]:
                own, scales = tiles.params(k), tiles.scales(k)[:, None]
                outputs = tiles.outputs(k, engine.compile(network, config, own))
                return outputs, lambda local: derive(network, config, own, local) * scales

            return tiling.blended_slopes(tiles.tiling, of_tile, coords)
        params = self.params
        if cut is None:
            return derive(network, config, params, coords)
        shared = shared_names(network, config)

        def of_window(w: int) -> tuple[Evaluate, Evaluate]:
            own = window_params(params, shared, w)
            return engine.compile(network, config, own), lambda local: derive(network, config, own, local)

        return windows.blended_slopes(cut, of_window, coords)


def _quiet(evaluate: Evaluate) -> Evaluate:
    def evaluated(coords: Coordinates) -> Array:
        with np.errstate(over="ignore", invalid="ignore"):
            return evaluate(coords)

    return evaluated


def _derivatives(engine: Engine) -> Callable[..., Array]:
    """(network, config, params, coords) -> (n, c, d)"""
    if engine.name == "torch":
        from inrcodec.backends.gradient import input_gradient

        return input_gradient
    return _forward_mode


def _forward_mode(network: Any, config: Any, params: Mapping[str, Array], coords: Points) -> Array:
    from inrcodec.backends.numpy_slopes import input_slopes

    return input_slopes(network, config, params, coords).astype(np.float32, copy=False)


def _masks(network: Any, config: Any, params: Mapping[str, Array], coords: Coordinates) -> Array:
    ops = NumpyOps()
    return np.array(ops.columns(network.modulate(ops, config, params, coords), 0, config.masks))
