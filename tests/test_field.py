"""Functions as signals: where they are sampled, what is refused, and back through the codec."""

import io
from pathlib import Path

import numpy as np
import pytest

import inrcodec
from inrcodec.codec import verify
from inrcodec.errors import InputError, LimitExceeded, UsageError
from inrcodec.limits import Limits
from inrcodec.signals import read_signal
from inrcodec.signals.base import Channel, Samples
from inrcodec.signals.field import field_signal, write_field


def multiscale(points: np.ndarray) -> np.ndarray:
    """The one-dimensional example of the MSA paper: four scales on [-1, 1], frequencies from 2 to 300."""
    x = points[:, :1]
    return (
        0.5 * np.sin(2 * x)
        + np.sin(100 * x + 1.5) * np.cos(5 * x - 0.8)
        + np.cos(200 * x) * np.cos(x)
        + np.sin(300 * x + 0.3) * np.sin(5 * x)
    )


@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_samples_are_the_function_at_the_centres_of_cells(d: int) -> None:
    shape, box = (3, 4, 5, 2)[:d], ((0, 3), (-1, 1), (10, 20), (5, 6))[:d]
    weights = np.array([1.0, 10.0, 100.0, 1000.0])[:d]
    signal = field_signal(lambda p: np.stack([p @ weights, -p[:, 0]], 1), shape=shape, box=box, names=("a", "b"), units="m")
    assert signal.kind == "field" and signal.dtype == "float32" and [a.name for a in signal.axes] == list("tzyx"[-d:])
    assert [c.name for c in signal.channels] == ["a", "b"]
    low, high = (np.array([getattr(c, side) for c in signal.channels]) for side in ("low", "high"))
    found = low + signal.values.astype(np.float64) * (high - low)
    assert signal.space is not None and signal.space.affine is not None and signal.space.units == "m"
    affine = np.reshape(signal.space.affine, (d + 1, d + 1))
    for index in np.ndindex(shape):
        point = [a + (i + 0.5) / n * (b - a) for i, n, (a, b) in zip(index, shape, box, strict=True)]
        np.testing.assert_allclose(found[index], [np.dot(point, weights), -point[0]], rtol=1e-5, atol=1e-4)
        np.testing.assert_allclose((affine @ [*index, 1])[:d], point)
    np.testing.assert_allclose(signal.space.spacing, [(b - a) / n for n, (a, b) in zip(shape, box, strict=True)])


def test_long_fields_are_sampled_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    from inrcodec.signals import field

    whole = field_signal(multiscale, shape=(100,))
    monkeypatch.setattr(field, "_POINTS", 7)
    parts = field_signal(multiscale, shape=(100,))
    np.testing.assert_array_equal(whole.values, parts.values)
    assert whole.digest == parts.digest


def test_the_multiscale_example_through_the_codec(tmp_path: Path) -> None:
    signal = field_signal(multiscale, shape=(1024,))
    encoded = inrcodec.encode(signal, device="cpu")
    inr = inrcodec.open(encoded.data)
    assert inr.head["kind"] == "field" and encoded.report.psnr > 35
    points = -1 + (np.arange(1024) + 0.5) / 512
    error = inr.decode()[:, 0] - multiscale(points[:, None])[:, 0]
    assert np.sqrt(np.mean(error**2)) < 0.1
    assert inr.space is not None and inr.space.spacing == (2 / 1024,)
    np.testing.assert_allclose(np.reshape(inr.space.affine, (2, 2)) @ [3, 1], [points[3], 1])
    verify(inr, source=signal)
    inr.export(tmp_path / "f.npy", scale=2.0)
    assert np.load(tmp_path / "f.npy").shape == (2048,)
    inr.export(tmp_path / "f.npz")
    np.testing.assert_array_equal(np.load(tmp_path / "f.npz")["data"], inr.decode()[:, 0])
    inr.export(tmp_path / "f.raw")
    np.testing.assert_array_equal(np.fromfile(tmp_path / "f.raw", "<f4"), inr.decode()[:, 0])
    assert (tmp_path / "f.json").exists()
    with pytest.raises(UsageError, match="cannot write field as '.png'"):
        inr.export(tmp_path / "f.png")


def test_a_constant_field() -> None:
    signal = field_signal(lambda p: np.full((len(p), 1), 3.0), shape=(2, 2))
    assert signal.channels == (Channel("value", "value", 3.0, 4.0),) and (signal.values == 0).all()


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda p: p[:, 0], r"expected values \(n, c\) of 6 points, got shape \(6,\)"),
        (lambda p: p[1:], r"got shape \(5, 2\)"),
        (lambda p: p[:, :0], r"got shape \(6, 0\)"),
        (lambda _: np.float64(1.0), r"got shape \(\)"),
        (lambda p: p.astype(complex), "expected real numbers, got complex128"),
        (lambda p: np.where(p > 0, np.nan, p), r"got \[-0.66\d*, nan\] at \(-0.666667, 0.5\)"),
        (lambda p: np.where(p > 0.6, 1e300, p), "expected finite float32 values"),
    ],
)
def test_values_that_do_not_fit(function, message: str) -> None:
    with pytest.raises(InputError, match=message):
        field_signal(function, shape=(3, 2))


def test_options_that_do_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    for options, message in [
        ({"shape": ()}, "shape: expected 1 to 4"),
        ({"shape": (2,) * 5}, "shape: expected 1 to 4"),
        ({"shape": (2, 0)}, "shape: expected 1 to 4 positive"),
        ({"shape": (2, 2), "box": ((0, 1),)}, "box: expected 2"),
        ({"shape": (2,), "box": ((1, 1),)}, "box: axis 0: expected finite low < high"),
        ({"shape": (2,), "names": ("a", "b")}, "names: expected 1"),
    ]:
        with pytest.raises(UsageError, match=message):
            field_signal(multiscale, **options)
    with pytest.raises(LimitExceeded, match="8 samples, the limit is 7"):
        field_signal(multiscale, shape=(8,), limits=Limits(output_samples=7))
    with pytest.raises(UsageError, match=r"inrcodec.field_signal"):
        read_signal(b"x", kind="field")


def test_archives_are_the_same_each_time() -> None:
    samples = Samples(kind="field", channels=(), codes=np.arange(6, dtype=np.float32).reshape(3, 2, 1), bits=16)
    data = write_field(samples, ".npz")
    assert data == write_field(samples, ".npz")
    np.testing.assert_array_equal(np.load(io.BytesIO(data))["data"], [[0, 1], [2, 3], [4, 5]])
