"""inrcodec: a codec whose bitstream is a function.

    import inrcodec
    inrcodec.encode("photo.png", quality=75).save("photo.inr")
    inr = inrcodec.open("photo.inr")
    inr.decode(scale=16, region=((100, 132), (200, 232)))

Importing the package loads neither PyTorch nor any reader of signals.
"""

from typing import TYPE_CHECKING, Any

from inrcodec.version import VERSION as __version__

if TYPE_CHECKING:
    from inrcodec.codec import Encoded, Report, encode
    from inrcodec.decoder import Inr
    from inrcodec.export import export_onnx
    from inrcodec.limits import Limits
    from inrcodec.opening import open_inr as open
    from inrcodec.signals.field import field_signal

__all__ = ["Encoded", "Inr", "Limits", "Report", "__version__", "encode", "export_onnx", "field_signal", "open"]


def __getattr__(name: str) -> Any:
    """Load the public names when they are asked for."""
    if name in ("encode", "Encoded", "Report"):
        from inrcodec import codec

        return getattr(codec, name)
    if name == "open":
        from inrcodec.opening import open_inr

        return open_inr
    if name == "Inr":
        from inrcodec.decoder import Inr

        return Inr
    if name == "Limits":
        from inrcodec.limits import Limits

        return Limits
    if name == "export_onnx":
        from inrcodec.export import export_onnx

        return export_onnx
    if name == "field_signal":
        from inrcodec.signals.field import field_signal

        return field_signal
    raise AttributeError(f"module 'inrcodec' has no attribute {name!r}")
