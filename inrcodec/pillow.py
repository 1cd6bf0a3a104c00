"""Pillow opens pictures in .inr files once this module is imported: `Image.open("photo.inr")`.

`draft(None, (width, height))` before loading decodes at the scale that covers this size, above or below 1; `thumbnail` does so too.
Grey of more than 8 bits is mode "I;16"; colour has 8 bits, as Pillow's colour has.
"""

from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageFile

from inrcodec.coordinates import scaled_size
from inrcodec.errors import InrError
from inrcodec.opening import open_inr
from inrcodec.spec import SIGNATURE

FORMAT, MIME = "INR", "application/vnd.inrcodec.inr"
_MODES = {2: "LA", 3: "RGB", 4: "RGBA"}


class InrImageFile(ImageFile.ImageFile):
    format = FORMAT
    format_description = "inrcodec image"

    def _open(self) -> None:
        assert self.fp is not None
        try:
            self._inr = open_inr(self.fp.read())
        except InrError as error:
            raise SyntaxError(str(error)) from error
        if self._inr.head["kind"] != "image":
            raise SyntaxError(f"expected an .inr of an image, got one of kind {self._inr.head['kind']}")
        channels, bits = len(self._inr.channels), self._inr.bits
        self._mode = _MODES[channels] if channels > 1 else "1" if bits == 1 else "L" if bits <= 8 else "I;16"
        self._place(1.0)
        metadata = self._inr.metadata()
        held = {"icc_profile": metadata.icc, "exif": metadata.exif and b"Exif\0\0" + metadata.exif, "xmp": metadata.xmp}
        self.info.update({name: value for name, value in held.items() if value})

    def _place(self, scale: float) -> None:
        height, width = scaled_size(self._inr.grid_shape, scale)
        self._scale, self._size = scale, (width, height)
        self.tile = [ImageFile._Tile("raw", (0, 0, width, height), 0, "1;8" if self.mode == "1" else self.mode)]

    def draft(self, mode: str | None, size: tuple[int, int] | None) -> tuple[str, tuple[int, int, float, float]] | None:
        """Choose the scale at which the picture covers `size` (width, height); the mode stays. None after loading."""
        if not self.tile or size is None:
            return None
        height, width = self._inr.grid_shape
        self._place(max(size[0] / width, size[1] / height))
        return self.mode, (0, 0, *self.size)

    def load(self) -> Any:
        if self.tile:
            try:
                codes = self._inr.decode(scale=self._scale, bits={"1": 1, "I;16": 16}.get(self.mode, 8))
            except InrError as error:
                raise OSError(str(error)) from error
            if self.mode == "1":
                codes = codes * np.uint8(255)
            if self.fp is not None and self._exclusive_fp:
                self.fp.close()
            self.fp = BytesIO(codes.astype(codes.dtype.newbyteorder("<")).tobytes())
        return super().load()

    def load_seek(self, pos: int) -> None:
        """The samples begin where the decoder left them."""


def accepts(prefix: bytes) -> bool:
    return prefix.startswith(SIGNATURE)


Image.register_open(FORMAT, InrImageFile, accepts)
Image.register_extension(FORMAT, ".inr")
Image.register_mime(FORMAT, MIME)
