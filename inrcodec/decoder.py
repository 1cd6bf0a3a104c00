"""An opened .inr: a function that can be sampled anywhere."""

import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.backends import make_engine
from inrcodec.backends.base import Engine, Evaluate, compile_network
from inrcodec.container import Container, borders, load
from inrcodec.coordinates import Lattice, Points, Window, full_window, lattice, region_window, sample_centres, scaled_size, tiles
from inrcodec.errors import BackendMissing, InputError, LimitExceeded, UsageError
from inrcodec.files import write_atomic
from inrcodec.inspect import describe, metadata_of
from inrcodec.limits import DEFAULT_LIMITS, Limits
from inrcodec.networks.base import Array
from inrcodec.outputs import Outputs
from inrcodec.signals import side_files, writer_for
from inrcodec.signals.base import Axis, Channel, Samples, Space, sampled_space
from inrcodec.weights import read_network, unpack

TILE_SAMPLES = 1 << 16  # samples evaluated at once; tiles are anchored to the grid, so a region has the bits of the whole
Region = Sequence[tuple[float, float]]


class Inr:
    """A decoded container. Reading it costs no evaluation; parameters are unpacked and an engine is loaded on first use.

    backend: "auto", "torch", "numpy"; device: "auto", "cpu", "cuda[:index]".
    """

    def __init__(
        self, container: Container, nbytes: int, *, backend: str = "auto", device: str = "auto", limits: Limits = DEFAULT_LIMITS
    ) -> None:
        self._container, self._nbytes, self._limits = container, nbytes, limits
        self._backend, self._device = backend, device
        self._network, self._config = read_network(container.head, limits)
        self._params: dict[str, Array] | None = None
        self._evaluators: dict[str, Evaluate] = {}
        self._outputs = Outputs(container.head["out"])

    @property
    def head(self) -> Mapping[str, Any]:
        return self._container.head

    @property
    def grid_shape(self) -> tuple[int, ...]:
        """Nominal samples per axis."""
        return tuple(axis["n"] for axis in self.head["axes"])

    @property
    def bounds(self) -> list[tuple[float, float]]:
        """Coordinates (lo, hi) of the borders of each axis."""
        return [borders(axis) for axis in self.head["axes"]]

    @property
    def channels(self) -> tuple[Channel, ...]:
        """What is decoded, in order; a channel that only marks missing samples is not among them."""
        return self._outputs.channels

    @property
    def space(self) -> Space | None:
        """Where the samples lie in the world."""
        found = self.head.get("space")
        if found is None:
            return None
        affine = tuple(found["affine"]) if "affine" in found else None
        return Space(tuple(found["spacing"]), affine, found.get("units", ""))

    @property
    def bits(self) -> int:
        """Bit depth of the source."""
        return self._outputs.bits

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of `decode()`: (*axes, c)."""
        return (*self.grid_shape, len(self.channels))

    @property
    def params(self) -> Mapping[str, Array]:
        """The parameters, float32, by name."""
        if self._params is None:
            self._params = unpack(self._container)[2]
        return self._params

    @property
    def info(self) -> dict[str, Any]:
        """What the file holds, ready for JSON; nothing is evaluated."""
        return describe(self._container, self._nbytes)

    def decode(
        self,
        *,
        scale: float | None = None,
        size: Sequence[int] | None = None,
        region: Region | None = None,
        bits: int | None = None,
        dtype: Any = None,
    ) -> NDArray[Any]:
        """Samples of the grid scaled by `scale` or of `size` samples per axis, or of a `region` of it: (*axes, c).

        region: one (start, stop) per axis in nominal samples. Integer codes of `bits` bits (those of the source if None; uint8 up to 8,
        else uint16), or, with a floating `dtype`, values in [0, 1]. Of a signal of numbers (a volume) they are these numbers, of the
        source's type or of a floating `dtype`, NaN where the source has none. A grid smaller than the nominal one is averaged, not
        point-sampled.
        Raises UsageError, LimitExceeded.
        """
        shape = self._target_shape(scale, size)
        window = full_window(shape) if region is None else region_window(region, self.grid_shape, shape)
        depth = self.bits if bits is None else bits
        if not 1 <= depth <= 16:
            raise UsageError(f"bits: expected 1..16, got {depth}")
        return self._sample(shape, window, self._outputs.sample_type(depth, dtype), depth)

    def at(self, points: Any) -> Array:
        """Values at points (n, d) in coordinates of the axes ([-1, 1] unless the file says otherwise): (n, c) float32, not clipped."""
        coords = self._points(points)
        self._check_work(coords.n)
        evaluate = self._evaluator(coords.n)
        result = np.empty((coords.n, len(self.channels)), dtype=np.float32)
        for start in range(0, coords.n, TILE_SAMPLES):
            part = coords.slice(start, start + TILE_SAMPLES)
            result[start : start + part.n] = self._outputs.values(evaluate(part))
        return result

    def gradient(self, points: Any) -> Array:
        """d value / d coordinate at points (n, d): (n, c, d) float32, exact, by PyTorch. Raises BackendMissing without it."""
        coords = self._points(points)
        self._check_work(coords.n * len(self.channels))
        if self._backend == "numpy":
            raise BackendMissing("gradient: needs backend torch, got numpy")
        make_engine("torch", device=self._device)
        from inrcodec.backends.gradient import input_gradient

        return self._outputs.slopes(input_gradient(self._network, self._config, self.params, coords))

    def modulation(self, *, scale: float = 1.0) -> Array | None:
        """The learned masks on the scaled grid, (*axes, k) in [0, 1], or None for a network without."""
        shape = scaled_size(self.grid_shape, scale)
        engine = make_engine("numpy")
        coords = lattice(shape, self.bounds)
        masks = self._network.modulate(engine.ops, self._config, self.params, coords)
        return None if masks is None else np.asarray(masks).reshape(*shape, -1)

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
        metadata = metadata_of(self._container, strip=strip, limit=self._limits.ancillary_bytes)
        space = self.space
        if space is not None:
            shape = self._target_shape(scale, size)
            steps = [n / m for n, m in zip(self.grid_shape, shape, strict=True)]
            window = full_window(shape) if region is None else region_window(region, self.grid_shape, shape)
            space = sampled_space(space, steps, [start * step for (start, _), step in zip(window, steps, strict=True)])
        return Samples(
            kind=self.head["kind"],
            channels=self.channels,
            codes=codes,
            bits=self.bits if bits is None else bits,
            axes=tuple(Axis(**axis) for axis in self.head["axes"]),
            space=space,
            metadata=metadata,
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
        """Decode into a file of the format of its suffix, or of `format` (".png"), atomically."""
        name = os.fspath(path)
        suffix = format or ("".join(Path(name).suffixes[-2:]) if name.endswith(".gz") else Path(name).suffix).lower()
        write = writer_for(self.head["kind"], suffix)
        samples = self.samples(scale=scale, size=size, region=region, bits=bits, strip=strip)
        write_atomic(path, write(samples, suffix), overwrite=overwrite)
        for side, content in side_files(samples, name, suffix).items():
            write_atomic(side, content, overwrite=overwrite)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("an Inr is decoded into a new array: copy=False is impossible")
        result = self.decode()
        return result if dtype is None else result.astype(dtype)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """`decode()[key]`, decoding only the region that slices and integers of the axes touch."""
        parts = key if isinstance(key, tuple) else (key,)
        d = len(self.grid_shape)
        axis_parts = parts[:d]
        if any(p is Ellipsis for p in parts) or not all(isinstance(p, slice | int | np.integer) for p in axis_parts):
            return np.asarray(self.decode()[key])
        region: list[tuple[int, int]] = []
        local: list[slice | int] = []
        for part, n in zip([*axis_parts, *[slice(None)] * (d - len(axis_parts))], self.grid_shape, strict=True):
            if isinstance(part, slice):
                indices = range(n)[part]
                if not indices:
                    return self._empty(key)
                low, high = min(indices[0], indices[-1]), max(indices[0], indices[-1])
                first = indices[0] - low
                stop = indices[-1] - low + (1 if indices.step > 0 else -1)
                local.append(slice(first, None if stop < 0 else stop, indices.step))
            else:
                index = range(n)[part]
                low = high = index
                local.append(0)
            region.append((low, high + 1))
        return np.asarray(self.decode(region=region)[(*local, *parts[d:])])

    def _empty(self, key: Any) -> NDArray[Any]:
        return np.asarray(np.broadcast_to(np.zeros((), dtype=self._outputs.sample_type(self.bits, None)), self.shape)[key]).copy()

    def _target_shape(self, scale: float | None, size: Sequence[int] | None) -> tuple[int, ...]:
        if scale is not None and size is not None:
            raise UsageError("decode: expected scale or size, got both")
        if size is None:
            return scaled_size(self.grid_shape, 1.0 if scale is None else scale)
        if len(size) != len(self.grid_shape) or any(m < 1 for m in size):
            raise UsageError(f"size: expected {len(self.grid_shape)} positive numbers of samples, got {tuple(size)}")
        return tuple(int(m) for m in size)

    def _sample(self, shape: tuple[int, ...], window: Window, dtype: np.dtype[Any], bits: int) -> NDArray[Any]:
        # Averaging `over` samples per axis keeps a smaller grid from aliasing.
        over = tuple(max(1, -(-n // m)) for n, m in zip(self.grid_shape, shape, strict=True))
        extent = [stop - start for start, stop in window]
        samples = int(np.prod(extent, dtype=object))
        if samples > self._limits.output_samples:
            raise LimitExceeded(f"decode: {' x '.join(map(str, extent))} samples: expected at most {self._limits.output_samples}")
        self._check_work(samples * int(np.prod(over)))
        result = np.empty((*extent, len(self.channels)), dtype=dtype)
        evaluate = self._evaluator(samples * int(np.prod(over)))
        fine_shape = tuple(m * k for m, k in zip(shape, over, strict=True))
        # Tiles of one row or column share the vectors of their axes, by identity, so that an engine can keep what belongs to them.
        axis_part = lru_cache(maxsize=256)(sample_centres)

        def fill(tile: Window) -> None:
            fine: Window = tuple((a * k, b * k) for (a, b), k in zip(tile, over, strict=True))
            axes = tuple(axis_part(m, lo, hi, part) for m, (lo, hi), part in zip(fine_shape, self.bounds, fine, strict=True))
            values = _block_mean(evaluate(Lattice(axes)), [b - a for a, b in tile], over)
            source = tuple(slice(max(a, s) - a, min(b, e) - a) for (a, b), (s, e) in zip(tile, window, strict=True))
            place = tuple(slice(max(a, s) - s, min(b, e) - s) for (a, b), (s, e) in zip(tile, window, strict=True))
            self._outputs.store(values[(slice(None), *source)], result[place], bits)

        with self._engine(samples * int(np.prod(over))).crew() as crew:
            crew.map(fill, tiles(shape, window, _tile_shape(shape, over)))
        return result

    def _engine(self, samples: int) -> Engine:
        return make_engine(self._backend, device=self._device, work=samples * self._network.macs(self._config))

    def _evaluator(self, samples: int) -> Evaluate:
        engine = self._engine(samples)
        if engine.name not in self._evaluators:
            self._evaluators[engine.name] = compile_network(engine, self._network, self._config, self.params)
        return self._evaluators[engine.name]

    def _check_work(self, samples: int) -> None:
        work = samples * self._network.macs(self._config)
        if work > self._limits.work:
            raise LimitExceeded(f"decode: {work:.3g} multiply-accumulates: expected at most {self._limits.work:.3g}")

    def _points(self, points: Any) -> Points:
        values = np.asarray(points, dtype=np.float64)
        d = len(self.grid_shape)
        if values.ndim == 1 and values.shape == (d,):
            values = values[None]
        if values.ndim != 2 or values.shape[1] != d or not np.isfinite(values).all():
            raise UsageError(f"points: expected finite coordinates of shape (n, {d}), got shape {values.shape}")
        return Points(values)


def _tile_shape(shape: tuple[int, ...], over: tuple[int, ...]) -> tuple[int, ...]:
    """A tile of about TILE_SAMPLES evaluated samples, long along the last axis."""
    left = max(1, TILE_SAMPLES // int(np.prod(over)))
    tile = []
    for i, m in enumerate(reversed(shape)):
        share = max(1, round(left ** (1 / (len(shape) - i)))) * (2 if i == 0 and len(shape) > 1 else 1)
        tile.append(min(m, share))
        left = max(1, left // tile[-1])
    return tuple(reversed(tile))


def _block_mean(values: Array, shape: Sequence[int], over: Sequence[int]) -> Array:
    """Mean over blocks of `over` samples: (prod(shape * over), c) -> (c, *shape)."""
    split = [part for m, k in zip(shape, over, strict=True) for part in (m, k)]
    blocks = values.T.reshape(-1, *split)
    if any(k > 1 for k in over):
        blocks = blocks.mean(axis=tuple(range(2, 2 * len(shape) + 1, 2)), dtype=np.float32)
    return np.asarray(blocks, dtype=np.float32).reshape(-1, *shape)


def open_inr(
    source: str | os.PathLike[str] | bytes | IO[bytes], *, backend: str = "auto", device: str = "auto", limits: Limits = DEFAULT_LIMITS
) -> Inr:
    """Open a path, bytes or a binary file. Raises InputError if it cannot be read, CorruptFile, UnsupportedFile or LimitExceeded."""
    data = _read(source)
    return Inr(load(data, limits), len(data), backend=backend, device=device, limits=limits)


def _read(source: str | os.PathLike[str] | bytes | IO[bytes]) -> bytes:
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source)
    if isinstance(source, str | os.PathLike):
        try:
            with open(source, "rb") as file:
                return file.read()
        except OSError as error:
            raise InputError(f"{os.fspath(source)}: cannot be read: {error.strerror}") from error
    return source.read()
