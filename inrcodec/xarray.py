"""xarray opens .inr files: `xarray.open_dataset("scan.inr", engine="inrcodec", scale=2)`; what is indexed is evaluated, no more."""

import os
from collections.abc import Iterable
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from xarray import Dataset, Variable
from xarray.backends import BackendArray, BackendEntrypoint
from xarray.core import indexing

from inrcodec.decoder import Inr
from inrcodec.lazy import LazyGrid
from inrcodec.opening import open_inr
from inrcodec.spec import SIGNATURE

NAME, CHANNEL = "samples", "channel"
Source = str | os.PathLike[str] | bytes | IO[bytes]


class InrBackend(BackendEntrypoint):
    """One variable `samples` over the axes of the file and `channel`.

    Coordinates are those of the world along axes that its affine leaves straight, else spacing times index, else indices; of scaled grids
    they are those of the sample's middle, in nominal samples.
    """

    description = "Open .inr files with inrcodec"
    open_dataset_parameters = ("filename_or_obj", "drop_variables", "scale", "size", "backend", "device")

    def open_dataset(  # type: ignore[override]
        self,
        filename_or_obj: Source,
        *,
        drop_variables: str | Iterable[str] | None = None,
        scale: float | None = None,
        size: tuple[int, ...] | None = None,
        backend: str = "auto",
        device: str = "auto",
    ) -> Dataset:
        inr = open_inr(filename_or_obj, backend=backend, device=device)
        grid = inr.grid(scale=scale, size=size)
        names = [axis.name for axis in inr.axes]
        coords: dict[str, Any] = {name: (name, along) for name, along in zip(names, _coordinates(inr, grid.shape[:-1]), strict=True)}
        coords[CHANNEL] = (CHANNEL, [channel.name for channel in inr.channels])
        units = inr.space.units if inr.space is not None else ""
        attributes = {"kind": inr.head["kind"], "units_of_space": units} if units else {"kind": inr.head["kind"]}
        data = Variable([*names, CHANNEL], indexing.LazilyIndexedArray(_Samples(grid)), attributes)
        dropped = {drop_variables} if isinstance(drop_variables, str) else set(drop_variables or ())
        return Dataset({NAME: data}, coords=coords).drop_vars(dropped, errors="ignore")

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        if isinstance(filename_or_obj, bytes):
            return filename_or_obj.startswith(SIGNATURE)
        return isinstance(filename_or_obj, str | os.PathLike) and os.fspath(filename_or_obj).endswith(".inr")


class _Samples(BackendArray):
    def __init__(self, grid: LazyGrid) -> None:
        self._grid = grid
        self.shape, self.dtype = grid.shape, grid.dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, self._grid.__getitem__)


def _coordinates(inr: Inr, shape: tuple[int, ...]) -> list[NDArray[np.floating]]:
    """Per axis of a grid of `shape` where its samples are."""
    d = len(shape)
    affine = (
        None if inr.space is None or inr.space.affine is None else np.reshape(inr.space.affine, [round(len(inr.space.affine) ** 0.5)] * 2)
    )
    result = []
    for k, (n, m) in enumerate(zip(inr.grid_shape, shape, strict=True)):
        index = (np.arange(m) + 0.5) * (n / m) - 0.5
        spacing = 0.0 if inr.space is None else inr.space.spacing[k]
        along = index * spacing if spacing > 0 else index
        if affine is not None and (column := k - (d - len(affine) + 1)) >= 0:
            matrix = affine[:-1, :-1] != 0
            row = int(np.argmax(matrix[:, column]))
            if matrix[:, column].sum() == 1 == matrix[row].sum():
                along = affine[row, column] * index + affine[row, -1]
        result.append(along)
    return result
