"""What an independent reader and the package make of the same bytes."""

from types import ModuleType

import inrcodec
from conformance import minidecoder
from inrcodec.errors import InrError


def outcomes(reader: ModuleType, data: bytes) -> tuple[int, int]:
    """Exit codes of a reader of conformance/ and of the package, 0 where a file decodes."""
    codes = [0, 0]
    try:
        reader.open(data).decode()
    except minidecoder.InrError as error:
        codes[0] = error.code
    try:
        inrcodec.open(data, backend="numpy", device="cpu").decode()
    except InrError as error:
        codes[1] = error.exit_code
    return codes[0], codes[1]
