"""What a container says of its samples."""

from collections.abc import Mapping
from typing import Any

from inrcodec.container import Container
from inrcodec.head import borders
from inrcodec.outputs import Outputs
from inrcodec.signals.base import Axis, Channel, Space


class Described:
    """Grid, channels and place of the samples, as HEAD has them."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._outputs = Outputs(container.head["out"])

    @property
    def container(self) -> Container:
        """The file taken apart."""
        return self._container

    @property
    def head(self) -> Mapping[str, Any]:
        return self._container.head

    @property
    def grid_shape(self) -> tuple[int, ...]:
        """Nominal samples per axis."""
        return tuple(axis["n"] for axis in self.head["axes"])

    def __len__(self) -> int:
        return self.grid_shape[0]

    @property
    def axes(self) -> tuple[Axis, ...]:
        return tuple(Axis(**axis) for axis in self.head["axes"])

    @property
    def bounds(self) -> list[tuple[float, float]]:
        """Coordinates (lo, hi) of the borders of each axis."""
        return [borders(axis) for axis in self.head["axes"]]

    @property
    def channels(self) -> tuple[Channel, ...]:
        """What is decoded, in order."""
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
