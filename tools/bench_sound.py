"""Sound through the codec, and beside it FLAC and Opus."""

import importlib
import io
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.bench.machine import versions
from tools.bench_common import DATA, Results

SOUND = "audio/gt_bach.wav"
SIZES = (24_000, 48_000)  # bytes: 27 and 55 kbit/s of seven seconds
OPUS_KBITS = (16, 24, 32, 48, 64, 96)
OPUS_RATE = 48_000  # the only one that holds all of Opus' bandwidth
LAGS = 2048  # samples either way tried to align a decoded sound

Sound = NDArray[np.float64]


def sound_section(results: Results, *, effort: int) -> None:
    results.begin("sound", options={"effort": effort}, seed=0, versions=versions(("soundfile", "av")), file=SOUND)
    original, rate = importlib.import_module("soundfile").read(DATA / SOUND, always_2d=True)
    for key, size in (("inrcodec/default", None), *((f"inrcodec/{size}", size) for size in SIZES)):
        if results.wanted("sound", key):
            results.put("sound", key, codec_row(original, rate, size=size, effort=effort))
    for level in (5, 12):
        if results.wanted("sound", f"flac/{level}"):
            results.put("sound", f"flac/{level}", flac_row(original, rate, level))
    for kbits in OPUS_KBITS:
        if results.wanted("sound", f"opus/{kbits}"):
            results.put("sound", f"opus/{kbits}", opus_row(original, rate, kbits))


def codec_row(original: Sound, rate: int, *, size: int | None, effort: int) -> dict[str, Any]:
    import inrcodec

    begin = time.monotonic()
    encoded = inrcodec.encode(DATA / SOUND, size=size, effort=effort)
    seconds = time.monotonic() - begin
    begin = time.monotonic()
    decoded = inrcodec.open(encoded.data, backend="numpy").decode(dtype=np.float32).astype(np.float64)
    row = {"codec": "inrcodec", "target_bytes": size, "parameters": encoded.report.parameters, "steps": encoded.report.steps}
    times = {"encode_seconds": round(seconds, 1), "decode_seconds_numpy": round(time.monotonic() - begin, 2)}
    return {**row, **measures(original, decoded, len(encoded.data), rate), **times}


def flac_row(original: Sound, rate: int, level: int) -> dict[str, Any]:
    """FLAC of 16-bit samples by FFmpeg, whose levels go to 12; its loss is that of the 16 bits."""
    codes = np.clip(np.rint(original * 32767), -32768, 32767).astype(np.int16)
    begin = time.monotonic()
    data = encode_av(codes, rate, container="flac", codec="flac", options={"compression_level": str(level)})
    seconds = time.monotonic() - begin
    decoded = decode_av(data, rate)[: len(original)] / 32767 * 32768
    return {"codec": "flac", "level": level, **measures(original, decoded, len(data), rate), "encode_seconds": round(seconds, 2)}


def opus_row(original: Sound, rate: int, kbits: int) -> dict[str, Any]:
    """Opus at its own 48 kHz in an Ogg file; measured at the original rate after the best shift by whole samples."""
    import inrcodec.sound_metrics

    codes = np.clip(np.rint(resample(original, rate, OPUS_RATE) * 32767), -32768, 32767).astype(np.int16)
    begin = time.monotonic()
    options = {"vbr": "on", "compression_level": "10", "application": "audio"}
    data = encode_av(codes, OPUS_RATE, container="ogg", codec="libopus", options=options, bit_rate=1000 * kbits)
    seconds = time.monotonic() - begin
    decoded = resample(decode_av(data, OPUS_RATE) / 32767 * 32768, OPUS_RATE, rate)
    lag, aligned = align(original, decoded)
    # What the two changes of rate alone cost.
    there_and_back = align(original, resample(resample(original, rate, OPUS_RATE), OPUS_RATE, rate))[1]
    ceiling = inrcodec.sound_metrics.snr(original, there_and_back)
    row = {"codec": "opus", "nominal_kbits": kbits, "lag": lag, "resampling_snr": round(ceiling, 2)}
    return {**row, **measures(original, aligned, len(data), rate), "encode_seconds": round(seconds, 2)}


def measures(original: Sound, decoded: Sound, nbytes: int, rate: int) -> dict[str, Any]:
    from inrcodec.sound_metrics import segmental_snr, snr

    return {
        "bytes": nbytes,
        "kbits": round(8 * nbytes / (len(original) / rate) / 1000, 2),
        "snr": round(snr(original, decoded), 2),
        "segmental_snr": round(segmental_snr(original, decoded), 2),
    }


def align(original: Sound, decoded: Sound, lags: int = LAGS) -> tuple[int, Sound]:
    """(lag, samples of `decoded` from `lag` on, as many as `original` has): of all lags the one that correlates best.

    Both (n, c); beyond the ends of `decoded` there are zeros.
    """
    n = len(original)
    padded = np.zeros((n + 2 * lags, original.shape[1]))
    kept = decoded[: n + lags]
    padded[lags : lags + len(kept)] = kept
    size = 1 << (len(padded) - 1).bit_length()
    product = np.conj(np.fft.rfft(original, size, axis=0)) * np.fft.rfft(padded, size, axis=0)
    place = int(np.fft.irfft(product, size, axis=0).sum(axis=1)[: 2 * lags + 1].argmax())
    return place - lags, padded[place : place + n]


def resample(sound: Sound, rate: int, wanted: int) -> Sound:
    """Samples (n, c) at another rate, by a long polyphase filter."""
    if rate == wanted:
        return sound
    signal = importlib.import_module("scipy.signal")
    divisor = np.gcd(rate, wanted)
    up, down = wanted // divisor, rate // divisor
    taps = signal.firwin(2 * 64 * max(up, down) + 1, 0.985 / max(up, down), window=("kaiser", 12.0))
    return np.asarray(signal.resample_poly(sound, up, down, axis=0, window=taps))


def encode_av(codes: NDArray[np.int16], rate: int, *, container: str, codec: str, options: dict[str, str], bit_rate: int = 0) -> bytes:
    """16-bit samples (n, c) as a file, by FFmpeg."""
    av = importlib.import_module("av")
    out = io.BytesIO()
    layout = "mono" if codes.shape[1] == 1 else "stereo"
    with av.open(out, "w", format=container) as file:
        stream = file.add_stream(codec, rate=rate, layout=layout, options=options)
        if bit_rate:
            stream.bit_rate = bit_rate
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(codes.reshape(1, -1)), format="s16", layout=layout)
        frame.sample_rate, frame.pts = rate, 0
        for some in [frame, None]:
            file.mux(stream.encode(some))
    return out.getvalue()


def decode_av(data: bytes, rate: int) -> Sound:
    """Samples (n, c) of a sound file, 1 at full scale."""
    av = importlib.import_module("av")
    with av.open(io.BytesIO(data)) as file:
        layout = file.streams.audio[0].layout.name
        resampler = av.AudioResampler(format="flt", layout=layout, rate=rate)
        frames: Sequence[Any] = [out for frame in (*file.decode(audio=0), None) for out in resampler.resample(frame)]
    channels = 1 if layout == "mono" else 2
    return np.concatenate([frame.to_ndarray().reshape(-1, channels) for frame in frames]).astype(np.float64)
