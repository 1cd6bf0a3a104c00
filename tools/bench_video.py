"""Video through the codec, and beside it x264, x265 and AV1 at about the same bytes."""

import importlib
import io
import time
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.bench.machine import versions
from inrcodec.bench.quality import value_psnr
from tools.bench_common import DATA, Results

VIDEO = "video/bigbuckbunny.mp4"
FRAMES, HEIGHT, WIDTH, RATE = 16, 180, 320, 25
PEERS = {
    "libx264": {"preset": "veryslow"},
    "libx265": {"preset": "slow", "x265-params": "log-level=none:pools=1"},
    "libsvtav1": {"preset": "4"},
    "libaom-av1": {"cpu-used": "4"},
}
DECIMALS = {"libx264": 2, "libx265": 2, "libsvtav1": 0, "libaom-av1": 0}
PIXELS = {
    "libx264": ("yuv420p", "yuv444p"),
    "libx265": ("yuv420p", "yuv444p"),
    "libsvtav1": ("yuv420p",),
    "libaom-av1": ("yuv420p", "yuv444p"),
}
CRF = {"libx264": (0.0, 51.0), "libx265": (0.0, 51.0), "libsvtav1": (1.0, 63.0), "libaom-av1": (1.0, 63.0)}
AV1 = ("libsvtav1", "libaom-av1")  # the first that FFmpeg has

Frames = NDArray[np.uint8]


def video_section(results: Results, *, effort: int) -> None:
    about = f"first {FRAMES} frames, reduced to {WIDTH}x{HEIGHT} by area"
    results.begin("video", options={"effort": effort}, seed=0, versions=versions(("av",)), file=VIDEO, clip=about)
    frames = clip()
    if results.wanted("video", "inrcodec"):
        results.put("video", "inrcodec", codec_row(frames, effort=effort))
    ours = next((row["bytes"] for row in results.rows("video") if row["key"] == "inrcodec"), None)
    codecs = ["libx264", "libx265", next((codec for codec in AV1 if has_encoder(codec)), AV1[0])]
    for codec in codecs:
        if ours is not None and results.wanted("video", codec):
            results.put("video", codec, peer_row(frames, codec, ours))


def clip() -> Frames:
    """(t, h, w, 3): the frames, each sample the mean of the source's that it covers."""
    av = importlib.import_module("av")
    with av.open(str(DATA / VIDEO)) as file:
        frames = [frame.to_ndarray(format="rgb24") for frame, _ in zip(file.decode(video=0), range(FRAMES), strict=False)]
    full = np.stack(frames).astype(np.float64)
    t, h, w, c = full.shape
    small = full.reshape(t, HEIGHT, h // HEIGHT, WIDTH, w // WIDTH, c).mean(axis=(2, 4))
    return np.asarray(np.rint(small), np.uint8)


def codec_row(frames: Frames, *, effort: int) -> dict[str, Any]:
    import inrcodec
    from inrcodec.signals.base import Axis, Channel, Signal, Space

    signal = Signal(
        kind="video",
        axes=tuple(Axis(name, n) for name, n in zip("tyx", frames.shape, strict=False)),
        channels=tuple(Channel(name, "color") for name in "RGB"),
        values=frames.astype(np.float32) / np.float32(255),
        bits=8,
        space=Space((1 / RATE, 1.0, 1.0)),
    )
    begin = time.monotonic()
    encoded = inrcodec.encode(signal, effort=effort)
    seconds = time.monotonic() - begin
    inr = inrcodec.open(encoded.data, backend="numpy")
    found, decode_seconds = timed(inr.decode)
    fast = inrcodec.open(encoded.data)
    fast.params  # noqa: B018  unpacked before the clock starts
    larger, larger_seconds = timed(lambda: fast.decode(size=(2 * FRAMES, 2 * HEIGHT, 2 * WIDTH)))
    return {
        "codec": "inrcodec",
        **measures(frames, found, len(encoded.data)),
        "parameters": encoded.report.parameters,
        "steps": encoded.report.steps,
        "encode_seconds": round(seconds, 1),
        "decode_seconds_numpy": round(decode_seconds, 2),
        "twice_size_and_rate": {"shape": list(larger.shape), "decode_seconds": round(larger_seconds, 2)},
    }


def peer_row(frames: Frames, codec: str, budget: int) -> dict[str, Any]:
    """The best quality of at most `budget` bytes, over pixel formats and the constant rate factor; the container counts."""
    if not has_encoder(codec):
        return {"codec": codec, "error": "FFmpeg has no such encoder here"}
    found = [row for pixels in PIXELS[codec] if (row := fitting_row(frames, codec, pixels, budget)) is not None]
    return max(found, key=lambda row: row["psnr"], default={"codec": codec, "error": f"no file of at most {budget} bytes"})


def fitting_row(frames: Frames, codec: str, pixels: str, budget: int) -> dict[str, Any] | None:
    low, high = CRF[codec]
    best: tuple[float, bytes, float] | None = None
    for _ in range(9):
        crf = round((low + high) / 2, DECIMALS[codec])
        begin = time.monotonic()
        data = encode_av(frames, codec, pixels, crf)
        seconds = time.monotonic() - begin
        if len(data) <= budget:
            best, high = (crf, data, seconds), crf
        else:
            low = crf
    if best is None:
        return None
    crf, data, seconds = best
    row = {"codec": codec, "options": PEERS[codec], "crf": crf, "pixels": pixels}
    return {**row, **measures(frames, decode_av(data), len(data)), "encode_seconds": round(seconds, 2)}


def measures(frames: Frames, decoded: NDArray[Any], nbytes: int) -> dict[str, Any]:
    if decoded.shape != frames.shape:
        raise ValueError(f"video: expected shape {frames.shape}, got {decoded.shape}")
    peak_range = float(np.ptp(frames.astype(np.float64)))
    psnr = value_psnr(frames, decoded)
    of_codes = None if psnr is None else round(psnr + 20 * float(np.log10(255 / peak_range)), 3)
    return {"bytes": nbytes, "bpp": round(8 * nbytes / (frames.size // 3), 4), "psnr": of_codes}


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    begin = time.monotonic()
    result = call()
    return result, time.monotonic() - begin


def has_encoder(name: str) -> bool:
    codec = importlib.import_module("av").codec
    try:
        codec.Codec(name, "w")
    except codec.codec.UnknownCodecError:
        return False
    return True


def encode_av(frames: Frames, codec: str, pixels: str, crf: float) -> bytes:
    """An MP4 of constant rate factor `crf`, BT.601 limited range as FFmpeg converts by default."""
    av = importlib.import_module("av")
    av.logging.set_level(av.logging.ERROR)
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as file:
        stream = file.add_stream(codec, rate=Fraction(RATE), options={"crf": f"{crf:g}", **PEERS[codec]})
        stream.width, stream.height = frames.shape[2], frames.shape[1]
        stream.pix_fmt = pixels
        for picture in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode(None))
    return out.getvalue()


def decode_av(data: bytes) -> Frames:
    av = importlib.import_module("av")
    with av.open(io.BytesIO(data)) as file:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)])
