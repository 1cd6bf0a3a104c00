"""An opened .inr: a function that can be sampled anywhere."""

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.backends import make_engine
from inrcodec.backends.base import Engine, Evaluate
from inrcodec.container import Container
from inrcodec.coordinates import (
    Lattice,
    Points,
    Window,
    check_region,
    full_window,
    lattice,
    nearest_to_points,
    reals_of,
    region_window,
    scaled_size,
    target_size,
)
from inrcodec.described import Described
from inrcodec.errors import LimitExceeded, UsageError
from inrcodec.evaluation import Function
from inrcodec.files import atomic_file, suffix_of, write_atomic
from inrcodec.inspect import describe, metadata_of
from inrcodec.lazy import LazyGrid
from inrcodec.limits import DEFAULT_LIMITS, Limits
from inrcodec.networks.base import Array
from inrcodec.places import place_of
from inrcodec.residual import Integers, Residual, residual_of, residual_samples
from inrcodec.sampling import Grid, averaged, fill_grid, fill_lattice, region_grid, slab_rows, tile_shape
from inrcodec.signals import side_files, stream_for, writer_for
from inrcodec.signals.base import Metadata, Samples, Slabs, Space, window_space
from inrcodec.surface import Surface, decoded_surface
from inrcodec.timing import at_rate
from inrcodec.validity import Mask, missing_samples

POINTS = 1 << 14  # points evaluated at once, by one thread; results do not depend on it
Region = Sequence[tuple[float, float]]


class Inr(Described):
    """A decoded container. Reading it costs no evaluation; parameters are unpacked and an engine is loaded on first use.

    backend: "auto", "torch", "numpy"; device: "auto", "cpu", "cuda[:index]". A residual that asks for double precision is added to what
    NumPy evaluates, whatever the backend; without `residual` none is added.
    """

    def __init__(
        self,
        container: Container,
        nbytes: int,
        *,
        backend: str = "auto",
        device: str = "auto",
        limits: Limits = DEFAULT_LIMITS,
        residual: bool = True,
    ) -> None:
        super().__init__(container)
        self._nbytes, self._limits = nbytes, limits
        self._backend, self._device = backend, device
        self.function = Function(container, limits)
        self._missing: Mask | None = None
        self._added: Integers | None = None
        self.residual: Residual | None = residual_of(container.head) if residual else None

    @property
    def params(self) -> Mapping[str, Array]:
        """The parameters, float32, by name; those of tiles as `tiles.<number>.<name>`, unpacked when they are taken."""
        return self.function.params

    @property
    def missing(self) -> Mask | None:
        """Where the source has no sample (*axes), or None where it has all."""
        if self._missing is None:
            self._missing = missing_samples(self._container)
        return self._missing

    @property
    def added(self) -> Integers | None:
        """What the residual adds to the samples of the nominal grid, in its steps: (*axes, c); None where there is none."""
        if self._added is None and self.residual is not None:
            self._added = residual_samples(self._container)
        return self._added

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of `decode()`."""
        return self._outputs.sample_type(self.bits, None)

    @property
    def info(self) -> dict[str, Any]:
        """What the file holds, ready for JSON; nothing is evaluated."""
        return describe(self._container, self._nbytes, self._limits)

    def decode(
        self,
        *,
        scale: float | None = None,
        size: Sequence[int] | None = None,
        region: Region | None = None,
        bits: int | None = None,
        dtype: Any = None,
        residual: bool = True,
        averaged: int | None = None,
    ) -> NDArray[Any]:
        """Samples of the grid scaled by `scale` or of `size` samples per axis, or of a `region` of it: (*axes, c).

        region: one (start, stop) per axis in nominal samples. Integer codes of `bits` bits (those of the source if None; uint8 up to 8,
        else uint16), or, with a floating `dtype`, values in [0, 1]. Of a signal of numbers (a volume) they are these numbers, of the
        source's type or of a floating `dtype`, NaN where the nearest sample of the source is missing. On an axis of m < n samples each is
        the mean of ceil(n / m) evaluated over its cell, of those not missing: point samples would alias; `averaged` is the most of them
        per axis. Samples of the nominal grid have the file's residual added unless `residual` is False; other bits and types come of the
        source's. Raises UsageError, LimitExceeded.
        """
        shape, window = self._grid(scale, size, region)
        depth = self._outputs.depth(bits)
        return self._sample(shape, window, self._outputs.sample_type(depth, dtype), depth, residual=residual, averaged=averaged)

    def crop(
        self, region: Region, size: Sequence[int], *, bits: int | None = None, dtype: Any = None, averaged: int | None = None
    ) -> NDArray[Any]:
        """A region as a grid of its own of `size` samples per axis, whatever its extent: (*size, c); `bits` and more as in `decode`.

        region: one (start, stop) per axis in nominal samples, also between them: (i, i + 1) as one sample is at the index i. Each sample
        is the middle of a cell, or the mean of ceil(extent / size) per axis. Where a scaled grid has these samples they agree with
        `decode`'s to rounding; as many as the region has nominal ones are `decode(region=region)`. Raises UsageError, LimitExceeded.
        """
        check_region(region, self.grid_shape)
        shape = target_size(self.grid_shape, None, size)
        if all(start == int(start) and stop - start == m for (start, stop), m in zip(region, shape, strict=True)):
            return self.decode(region=region, bits=bits, dtype=dtype)
        depth = self._outputs.depth(bits)
        grid = region_grid(region, shape, self.grid_shape, self.bounds, len(self.channels), most=averaged)
        self._check_size(grid)
        result = np.empty((*shape, len(self.channels)), dtype=self._outputs.sample_type(depth, dtype))
        self._fill(grid, lambda values, place: self._outputs.store(values, result[place], depth), double=False)
        return result

    def slabs(
        self,
        *,
        scale: float | None = None,
        size: Sequence[int] | None = None,
        region: Region | None = None,
        bits: int | None = None,
        strip: bool = False,
    ) -> Slabs:
        """`decode` in parts along the first axis of about SLAB_BYTES at most, each evaluated when it is taken: the same bits."""
        shape, window = self._grid(scale, size, region)
        depth = self._outputs.depth(bits)
        dtype = self._outputs.sample_type(depth, None)
        grid = self._part(shape, window)
        self._check_size(grid)
        (start, stop), *others = window
        extent = grid.extent
        rows = slab_rows(tile_shape(shape, grid.over, len(self.channels))[0], len(self.channels) * dtype.itemsize * math.prod(extent[1:]))

        def parts() -> Iterator[NDArray[Any]]:
            for tile in range(start // rows, -(-stop // rows)):
                part = (max(start, tile * rows), min(stop, (tile + 1) * rows))
                yield self._sample(shape, (part, *others), dtype, depth)

        space, metadata = self._space_of(shape, window), self.metadata(strip=strip)
        return Slabs(shape=(*extent, len(self.channels)), dtype=dtype, parts=parts(), bits=depth, space=space, metadata=metadata)

    def unrounded(self) -> NDArray[np.float64]:
        """The function's samples on the nominal grid in double precision, in units of the source's, without residual: (*axes, c)."""
        grid = self._part(self.grid_shape, full_window(self.grid_shape))
        self._check_size(grid)
        result = np.empty(self.shape, dtype=np.float64)

        def store(values: Array, place: tuple[slice, ...]) -> None:
            result[place] = np.moveaxis(self._outputs.numbers(values), 0, -1)

        self._fill(grid, store, double=True)
        return result

    def at(self, points: Any, *, units: str = "domain") -> Array:
        """Values at points (n, d) or (d,), without residual: (n, c) float32, in [0, 1] for codes, else in the source's units; not clipped.

        units: "domain", the coordinates of the axes ([-1, 1] unless the file says otherwise), "pixel" or "world": see places.py. NaN where
        the nearest sample of the source is missing. Outside the domain the function goes on, without meaning. Raises UsageError.
        """
        coords = place_of(self, units).points(points)
        self._check_work(coords.n)
        evaluate = self._evaluator(coords.n)
        result = np.empty((coords.n, len(self.channels)), dtype=np.float32)

        def fill(start: int) -> None:
            part = coords.slice(start, start + POINTS)
            result[start : start + part.n] = self._outputs.values(evaluate(part))

        with self._engine(coords.n).crew() as crew:
            crew.map(fill, range(0, coords.n, POINTS))
        return self._without_missing(result, coords)

    def on(self, *axes: Any) -> Array:
        """`at` on the outer product of one vector of coordinates per axis, (n1), (n2) ...: (n1, n2, ..., c); faster than its points."""
        vectors = tuple(reals_of(axis, "on") for axis in axes)
        if len(vectors) != len(self.grid_shape) or not all(v.ndim == 1 and v.size and np.isfinite(v).all() for v in vectors):
            raise UsageError(f"on: expected {len(self.grid_shape)} vectors of finite coordinates, got shapes {[v.shape for v in vectors]}")
        coords = Lattice(vectors)
        self._check_work(coords.n)
        evaluate = self._evaluator(coords.n)
        result = np.empty((*coords.shape, len(self.channels)), dtype=np.float32)

        def values(part: Lattice) -> Array:
            found = self._outputs.values(evaluate(part))
            return found if self.missing is None else self._without_missing(found, part.points())

        with self._engine(coords.n).crew() as crew:
            fill_lattice(coords, values, result, crew.map)
        return result

    def gradient(self, points: Any, *, units: str = "domain") -> Array:
        """d value / d coordinate at points (n, d) of `at`, per unit of these coordinates: (n, c, d) float32, exact.

        By PyTorch's automatic differentiation in its engine, else by forward mode in NumPy. At vertices of a linear grid and kinks of the
        masks, where there is none, that of one side. NaN as in `at`.
        """
        place = place_of(self, units)
        coords = place.points(points)
        self._check_work(coords.n * (1 + coords.d))
        found = self.function.slopes(self._engine(coords.n), coords)
        return self._without_missing(place.slopes(self._outputs.slopes(found)), coords)

    def mesh(self, *, resolution: int = 256, progress: Callable[[int, int], None] | None = None) -> Surface:
        """The surface of a shape, by marching cubes on resolution^3 points of its box: see surface.py.

        `progress` is told (points done, points known to be needed). Raises UsageError for other files and a resolution below 2.
        """
        return decoded_surface(self.head, self.at, self.gradient, resolution=resolution, progress=progress)

    def modulation(self, *axes: Any, scale: float = 1.0) -> Array | None:
        """The learned masks on the outer product of vectors as in `on`, or the scaled grid: (*axes, k) in [0, 1]; None if it has none."""
        shape = () if axes else scaled_size(self.grid_shape, scale)
        self._check_work(math.prod(np.size(axis) for axis in axes) if axes else math.prod(shape))
        coords = Lattice(axes) if axes else lattice(shape, self.bounds)
        found = self.function.masks(coords)
        return None if found is None else found.reshape(*coords.shape, -1)

    def metadata(self, *, strip: bool = False) -> Metadata:
        """What travels beside the samples; with `strip` only the colour profile."""
        return metadata_of(self._container, strip=strip, limit=self._limits.ancillary_bytes)

    def samples(
        self,
        *,
        scale: float | None = None,
        size: Sequence[int] | None = None,
        region: Region | None = None,
        bits: int | None = None,
        strip: bool = False,
    ) -> Samples:
        """`decode` with what belongs to it, ready to be written."""
        codes = self.decode(scale=scale, size=size, region=region, bits=bits)
        return Samples(
            kind=self.head["kind"],
            channels=self.channels,
            codes=codes,
            bits=self.bits if bits is None else bits,
            axes=self.axes,
            space=self._space_of(*self._grid(scale, size, region)),
            metadata=self.metadata(strip=strip),
        )

    def export(
        self,
        path: str | os.PathLike[str],
        *,
        scale: float | None = None,
        size: Sequence[int] | None = None,
        region: Region | None = None,
        bits: int | None = None,
        format: str | None = None,
        strip: bool = False,
        overwrite: bool = True,
    ) -> None:
        """Decode into a file of the format of its suffix, or of `format` ("png"), atomically; large ones as they are evaluated."""
        name = os.fspath(path)
        with atomic_file(path, overwrite=overwrite) as file:
            sides = self.write(file, suffix_of(name, format), name=name, scale=scale, size=size, region=region, bits=bits, strip=strip)
        for side, content in sides.items():
            write_atomic(side, content, overwrite=overwrite)

    def write(
        self,
        file: IO[bytes],
        suffix: str,
        *,
        name: str,
        scale: float | None = None,
        size: Sequence[int] | None = None,
        region: Region | None = None,
        rate: float | None = None,
        bits: int | None = None,
        strip: bool = False,
    ) -> dict[str, bytes]:
        """Decode into an open file in the format of `suffix`; returns what has to lie beside it if it is named `name`.

        rate: what a file of sound or video is to state, in samples or frames a second, where `size` was chosen for it.
        """
        stream = stream_for(self.head["kind"], suffix)
        if stream is None:
            samples = self.samples(scale=scale, size=size, region=region, bits=bits, strip=strip)
            if rate is not None and samples.space is not None:
                samples = replace(samples, space=at_rate(self.axes, samples.space, rate))
            file.write(writer_for(self.head["kind"], suffix)(samples, suffix))
            return {}
        slabs = self.slabs(scale=scale, size=size, region=region, bits=bits, strip=strip)
        stream(slabs, suffix, file)
        return side_files(slabs, name, suffix)

    def grid(self, *, scale: float | None = None, size: Sequence[int] | None = None) -> LazyGrid:
        """`decode(scale=scale, size=size)`, evaluated where it is indexed: `inr.grid(scale=16)[1000:1100, ::2]`."""
        shape, _ = self._grid(scale, size, None)
        return LazyGrid((*shape, len(self.channels)), self.dtype, partial(self._sample, shape, dtype=self.dtype, bits=self.bits))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self.grid().__array__(dtype, copy)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """`decode()[key]`, decoding only the region that slices and integers touch."""
        return self.grid()[key]

    def _grid(self, scale: float | None, size: Sequence[int] | None, region: Region | None) -> tuple[tuple[int, ...], Window]:
        """The grid to decode and which of its samples."""
        shape = target_size(self.grid_shape, scale, size)
        return shape, full_window(shape) if region is None else region_window(region, self.grid_shape, shape)

    def _space_of(self, shape: tuple[int, ...], window: Window) -> Space | None:
        return None if self.space is None else window_space(self.space, self.grid_shape, shape, [start for start, _ in window])

    def _part(self, shape: tuple[int, ...], window: Window, most: int | None = None) -> Grid:
        """The samples `window` of a grid of `shape` over the whole signal."""
        region = full_window(self.grid_shape)
        return Grid(shape, window, averaged(self.grid_shape, shape, most), region, tuple(self.bounds), len(self.channels))

    def _check_size(self, grid: Grid) -> None:
        """Raise LimitExceeded for too many samples or too much work."""
        if math.prod(grid.extent) > self._limits.output_samples:
            raise LimitExceeded(f"decode: {' x '.join(map(str, grid.extent))} samples: expected at most {self._limits.output_samples}")
        self._check_work(grid.evaluated)

    def _sample(
        self, shape: tuple[int, ...], window: Window, dtype: np.dtype[Any], bits: int, *, residual: bool = True, averaged: int | None = None
    ) -> NDArray[Any]:
        grid = self._part(shape, window, averaged)
        self._check_size(grid)
        result = np.empty((*grid.extent, len(self.channels)), dtype=dtype)
        stated = self.residual if residual and shape == self.grid_shape else None
        added = None if stated is None or self.added is None else self.added[tuple(slice(*part) for part in window)]

        def store(values: Array, place: tuple[slice, ...]) -> None:
            if stated is None or added is None:
                self._outputs.store(values, result[place], bits)
            else:
                self._outputs.store_corrected(values, stated.step, added[place], result[place], bits)

        self._fill(grid, store, double=stated is not None and stated.double)
        return result

    def _fill(self, grid: Grid, store: Callable[[Array, tuple[slice, ...]], None], *, double: bool) -> None:
        """Give the outputs (c, *tile) of every tile of a grid, and its place in the window, to `store`."""
        evaluate = self._evaluator(grid.evaluated, double=double)
        with self._engine(grid.evaluated, double=double).crew() as crew:
            fill_grid(grid, evaluate, self.missing, store, crew.map)

    def _without_missing(self, result: Array, coords: Points) -> Array:
        if self.missing is not None:
            result[self.missing[nearest_to_points(coords, self.grid_shape, self.bounds)]] = np.nan
        return result

    def _engine(self, samples: int, *, double: bool = False) -> Engine:
        name = "numpy" if double else self._backend
        return make_engine(name, device=self._device, work=self.function.work(samples), double=double)

    def _evaluator(self, samples: int, *, double: bool = False) -> Evaluate:
        return self.function.evaluator(self._engine(samples, double=double))

    def _check_work(self, samples: int) -> None:
        work = self.function.work(samples)
        if work > self._limits.work:
            raise LimitExceeded(f"decode: {work:.3g} multiply-accumulates: expected at most {self._limits.work:.3g}")
