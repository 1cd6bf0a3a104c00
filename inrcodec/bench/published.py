"""Published mean curves of other codecs of this family, as facts to draw beside measured ones; they are never counted as measured."""

from dataclasses import dataclass

from inrcodec.bench.curves import Curve, Point

SETS = ("kodak",)


@dataclass(frozen=True)
class Published:
    """Mean PSNR in dB of RGB over the 24 Kodak images by bits per pixel.

    source        whose numbers these are
    interpolated  whether the points lie between published ones, linear in log rate, or are those themselves
    """

    name: str
    source: str
    interpolated: bool
    curve: Curve


def published_curves(name: str) -> tuple[Published, ...]:
    """The curves for a set of images, one of SETS."""
    return {"kodak": _KODAK}[name]


def _curve(*points: tuple[float, float]) -> Curve:
    return tuple(Point(bpp, psnr) for bpp, psnr in points)


_KODAK = (
    Published("COIN", "COIN's own results, 2021", True, _curve((0.15, 24.52), (0.3, 26.35), (0.5, 27.83), (1.0, 30.02))),
    Published("Strümpler basic", "8 bits, as in NIF's results", True, _curve((0.15, 26.62), (0.3, 28.44), (0.5, 30.05))),
    Published("Strümpler meta", "7 bits, as in NIF's and C3's results", True, _curve((0.15, 26.95), (0.3, 28.91), (0.5, 30.62))),
    Published("NIF", "NIF's own results, 2023", True, _curve((0.3, 28.60), (0.5, 30.43), (1.0, 33.36), (2.0, 36.66))),
    Published("NIF25", "NIF25's own results, 2025", False, _curve((0.127, 27.13), (0.445, 31.22), (0.707, 32.97), (1.583, 36.41))),
    Published("RECOMBINER", "baselines of C3's results, 2024", True, _curve((0.15, 28.09), (0.3, 30.27), (0.5, 32.04), (0.972, 34.54))),
    Published(
        "VC-INR", "baselines of C3's results, 2023", True, _curve((0.15, 28.54), (0.3, 30.64), (0.5, 32.20), (1.0, 34.50), (2.0, 38.10))
    ),
    Published("C3", "C3's own results, adaptive, 2024", True, _curve((0.15, 29.05), (0.3, 31.71), (0.5, 34.22), (1.0, 38.49))),
    Published(
        "Cool-Chic 5.0",
        "Cool-Chic's own results, 2026",
        False,
        _curve((0.0839, 27.44), (0.2186, 30.86), (0.4819, 34.52), (0.7594, 37.25), (1.3571, 41.17)),
    ),
)
