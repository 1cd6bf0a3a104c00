"""Opened files: grids, regions, points, gradients, slices; all on a hand-made container, without a fit."""

import copy
import io
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import inrcodec
from inrcodec.backends import available
from inrcodec.codec import params_digest
from inrcodec.container import Container, dump, load
from inrcodec.decoder import Inr
from inrcodec.errors import CorruptFile, InputError, LimitExceeded, UsageError
from inrcodec.limits import Limits
from inrcodec.networks import NETWORKS
from inrcodec.networks.siren import SirenConfig
from inrcodec.weights import network_list, pack
from tests.nets import lively_params, small_sasnet

SIZE = (13, 17)


def file_bytes(size: tuple[int, int] = SIZE, bits: int = 8, arch: str = "sasnet.1") -> bytes:
    network, config = NETWORKS[arch], small_sasnet()
    values = {name: value * (6 if name == "out.weight" else 1) for name, value in lively_params(network, config).items()}
    steps = {p.name: np.full(p.shape[p.axis] if p.axis >= 0 else 1, 1e-3, np.float32) for p in network.params(config)}
    entries, data = pack(network, config, values, steps)
    head = {
        "kind": "image",
        "level": 1,
        "req": [],
        "axes": [{"name": n, "n": m, "lo": -1.0, "hi": 1.0} for n, m in zip("yx", size, strict=True)],
        "out": {"channels": [{"name": n, "role": "color", "scale": 0.5, "offset": 0.5} for n in "RGB"], "bits": bits},
        "color": {},
        "net": network_list(network, config),
        "tens": entries,
    }
    return dump(Container(head, data))


@pytest.fixture(scope="module", params=available())
def inr(request: pytest.FixtureRequest) -> Inr:
    return inrcodec.open(file_bytes(), backend=request.param, device="cpu")


def test_nominal_decode(inr: Inr) -> None:
    codes = inr.decode()
    assert codes.shape == (*SIZE, 3) == inr.shape and codes.dtype == np.uint8
    assert codes.std() > 5
    values = inr.decode(dtype=np.float32)
    assert values.dtype == np.float32 and values.min() >= 0 and values.max() <= 1
    assert (np.floor(values * 255 + 0.5) == codes).mean() > 0.999
    assert np.asarray(inr).tobytes() == codes.tobytes()
    assert np.asarray(inr, dtype=np.float64).dtype == np.float64


@given(st.data())
@settings(max_examples=25)
def test_a_scaled_region_is_the_crop_of_the_scaled_grid_bit_for_bit(data: st.DataObject) -> None:
    for backend in available():
        inr = inrcodec.open(file_bytes((40, 300)), backend=backend, device="cpu")
        scale = data.draw(st.sampled_from([0.37, 1.0, 2.3, 8.0]))
        region = []
        for n in (40, 300):
            start = data.draw(st.integers(0, n - 1))
            region.append((start, data.draw(st.integers(start + 1, n))))
        whole = inr.decode(scale=scale, dtype=np.float32)
        part = inr.decode(scale=scale, region=region, dtype=np.float32)
        m = whole.shape[:2]
        window = [
            (min(int(np.floor(a * k / n + 0.5)), k - 1), int(np.floor(b * k / n + 0.5)))
            for (a, b), n, k in zip(region, (40, 300), m, strict=True)
        ]
        window = [(a, max(b, a + 1)) for a, b in window]
        crop = whole[window[0][0] : window[0][1], window[1][0] : window[1][1]]
        assert crop.tobytes() == part.tobytes()


def test_tiles_do_not_show(inr: Inr) -> None:
    """More samples than one tile: the same numbers as at single points."""
    values = inr.decode(size=(700, 300), dtype=np.float32)
    ys, xs = np.array([0, 127, 128, 255, 256, 699]), np.array([0, 131, 256, 299, 5, 77])
    points = np.stack([(2 * ys + 1) / 700 - 1, (2 * xs + 1) / 300 - 1], axis=1)
    np.testing.assert_allclose(np.clip(inr.at(points), 0, 1), values[ys, xs], atol=2e-5)


def test_a_smaller_grid_is_the_mean_of_what_it_covers(inr: Inr) -> None:
    half = inr.decode(size=(13, 17), dtype=np.float64)
    fine = inr.at(np.stack(np.meshgrid(*[(2 * np.arange(n) + 1) / n - 1 for n in SIZE], indexing="ij"), -1).reshape(-1, 2))
    np.testing.assert_allclose(half.reshape(-1, 3), np.clip(fine, 0, 1), atol=1e-5)
    one = inr.decode(size=(1, 1), dtype=np.float32)
    np.testing.assert_allclose(one.reshape(3), np.clip(fine.mean(axis=0), 0, 1), atol=1e-4)


def checker_file(n: int, period: int) -> bytes:
    """0.5 + 0.4 * a wave of `period` nominal samples along each axis, by a network of two sines: no grid, no fit."""
    network, omega = NETWORKS["siren.1"], np.pi * n / period
    config = SirenConfig(2, 1, 2, 0, float(np.float32(omega)), 1.0)
    # Steps of 2^-10 hold these numbers exactly.
    phase = np.float32(np.round(np.pi / 2 / omega * 1024) / 1024)
    values = {
        "first.weight": np.array([[1, 1], [1, -1]], np.float32),
        "first.bias": np.full(2, phase, np.float32),
        "out.weight": np.full((1, 2), 0.4, np.float32),
        "out.bias": np.zeros(1, np.float32),
    }
    steps = {p.name: np.full(p.shape[p.axis] if p.axis >= 0 else 1, 2.0**-10, np.float32) for p in network.params(config)}
    entries, data = pack(network, config, values, steps)
    container = load(file_bytes((n, n)))
    out = {"channels": [{"name": "Y", "role": "color", "scale": 0.5, "offset": 0.5}], "bits": 8}
    return dump(Container({**container.head, "out": out, "net": network_list(network, config), "tens": entries}, data))


@pytest.mark.parametrize("m", [20, 25, 29, 33])
def test_a_smaller_grid_does_not_alias(m: int) -> None:
    """Of a wave finer than the grid its mean is left, where samples at points would show a coarse one."""
    inr = inrcodec.open(checker_file(64, 3), backend="numpy")
    assert inr.decode(dtype=np.float32).std() > 0.15
    centres = (2 * np.arange(m) + 1) / m - 1
    points = inr.on(centres, centres)
    averaged = inr.decode(size=(m, m), dtype=np.float32)
    assert points.std() > 0.15 and averaged.std() < 0.4 * points.std()
    # The mean over each cell, evaluated much finer.
    fine = inr.decode(size=(m * 24, m * 24), dtype=np.float32).reshape(m, 24, m, 24).mean(axis=(1, 3))
    np.testing.assert_allclose(averaged[..., 0], fine, atol=0.06)


def test_sizes_scales_and_bits(inr: Inr) -> None:
    assert inr.decode(scale=0.5).shape == (7, 9, 3)
    assert inr.decode(scale=1e-9).shape == (1, 1, 3)
    assert inr.decode(size=[3, 40]).shape == (3, 40, 3)
    assert inr.decode(bits=16).dtype == np.uint16 and inr.decode(bits=16).max() > 300
    assert inr.decode(bits=1).max() == 1
    for options, message in (
        ({"scale": 2, "size": (2, 2)}, "got both"),
        ({"scale": 0}, "positive"),
        ({"size": (2,)}, "expected 2 positive"),
        ({"size": (0, 5)}, "positive"),
        ({"bits": 17}, "1..16"),
        ({"dtype": np.int32}, "floating"),
        ({"region": [(0, 99), (0, 1)]}, "region"),
    ):
        with pytest.raises(UsageError, match=message):
            inr.decode(**options)


@pytest.mark.parametrize(
    "key",
    [
        np.s_[2:5, ::3],
        np.s_[-1],
        np.s_[4, 5],
        np.s_[::-1, 3:9],
        np.s_[10:2:-3, ::-2, 1],
        np.s_[..., 0],
        np.s_[5:5],
        np.s_[:, :, ::-1],
        np.s_[np.array([1, 2])],
        np.s_[12:100, -4:],
        np.s_[..., 2:5, 1],
        np.s_[3, ...],
        np.s_[:, ..., ::-2],
        np.s_[()],
        np.s_[None, 2],
        np.s_[-13:, np.int64(4)],
        np.s_[5:2, ..., -1],
    ],
)
def test_slicing_is_that_of_the_array(inr: Inr, key: object) -> None:
    expected = inr.decode()[key]
    found = inr[key]
    assert found.shape == expected.shape and found.dtype == expected.dtype
    assert (found == expected).all()


@pytest.mark.parametrize("key", [np.s_[99], np.s_[-14], np.s_[0, 17], np.s_[0, 0, 3], np.s_[..., 3], np.s_[0, 0, 0, 0], np.s_[..., 0, ...]])
def test_indices_out_of_range_evaluate_nothing(key: object) -> None:
    inr = inrcodec.open(file_bytes(), limits=Limits(work=0))
    with pytest.raises(IndexError):
        inr[key]
    with pytest.raises(LimitExceeded):
        inr[0]


def test_an_inr_is_like_an_array(inr: Inr) -> None:
    assert len(inr) == 13 and inr.shape == (13, 17, 3) and inr.dtype == np.uint8
    assert np.array_equal(list(inr), inr.decode())
    with pytest.raises(ValueError, match="copy=False"):
        np.asarray(inr, copy=False)
    big = inr.grid(scale=16)
    assert (len(big), big.shape, big.ndim, big.size, big.dtype) == (208, (208, 272, 3), 3, 208 * 272 * 3, np.uint8)
    assert np.array_equal(big[30:40, 200:100:-7, 1:], inr.decode(scale=16)[30:40, 200:100:-7, 1:])
    assert np.array_equal(np.asarray(inr.grid(size=(5, 4))), inr.decode(size=(5, 4)))


def test_slices_evaluate_their_region_only() -> None:
    inr = inrcodec.open(file_bytes((2000, 2000)), backend="numpy", limits=Limits(output_samples=400))
    assert inr[1000:1020, 7:27].shape == (20, 20, 3) and inr[7:8, -300:, ..., 1].shape == (1, 300)
    assert inr[5, :300].shape == (300, 3) and inr[5, 6, 1].shape == ()
    with pytest.raises(LimitExceeded):
        inr[:21, :20]


def test_points(inr: Inr) -> None:
    assert inr.at([0.0, 0.5]).shape == (1, 3)
    assert inr.at(np.zeros((0, 2))).shape == (0, 3)
    for bad in ([[0.0]], [], [[[0.0, 0.0]]]):
        with pytest.raises(UsageError, match="points: expected coordinates of shape"):
            inr.at(bad)
    with pytest.raises(UsageError, match="finite coordinates, got nan, 0.0 at point 1"):
        inr.at([[0.5, 0.5], [np.nan, 0.0]])
    for unreal in ("ab", [[0.0, 0.0], [1.0]], [[1j, 0.0]], [[object(), 0.0]]):
        with pytest.raises(UsageError, match="points: expected real numbers"):
            inr.at(unreal)
    with pytest.raises(UsageError, match="on: expected real numbers"):
        inr.on("a", [0.0])


def test_gradient(inr: Inr) -> None:
    points, step = np.random.default_rng(0).uniform(-0.9, 0.9, (5, 2)), 2e-5
    found = inr.gradient(points)
    assert found.shape == (5, 3, 2) and found.dtype == np.float32
    for k in range(2):
        shift = np.eye(2)[k] * step
        expected = (inr.at(points + shift).astype(np.float64) - inr.at(points - shift)) / (2 * step)
        np.testing.assert_allclose(found[:, :, k], expected, atol=0.05 * np.abs(expected).max())


def test_pixels_are_samples(inr: Inr) -> None:
    index = np.array([[0, 0], [12, 16], [3, 9]])
    values = inr.at(index, units="pixel")
    np.testing.assert_allclose(np.clip(values, 0, 1), inr.decode(dtype=np.float32)[tuple(index.T)], atol=1e-5)
    assert inr.at(index[0], units="pixel").tobytes() == inr.at([1 / 13 - 1, 1 / 17 - 1]).tobytes()
    per_pixel = inr.gradient(index + 0.25, units="pixel")
    middle = (2 * (index + 0.25) + 1) / SIZE - 1
    np.testing.assert_allclose(per_pixel, inr.gradient(middle) * (2 / np.array(SIZE)), rtol=1e-4, atol=1e-6)
    for units, message in (("feet", "expected one of domain, pixel, world"), ("world", "needs a file with an affine over its 2 axes")):
        with pytest.raises(UsageError, match=message):
            inr.at(index, units=units)


def test_masks(inr: Inr) -> None:
    masks = inr.modulation()
    assert masks is not None and masks.shape == (*SIZE, 11)
    assert masks.min() >= 0 and masks.max() <= 1 and masks.std() > 0.01


def test_features_are_no_masks() -> None:
    masks = inrcodec.open(file_bytes(arch="sasnet.2"), backend="numpy").modulation()
    assert masks is not None and masks.shape == (*SIZE, small_sasnet().masks)
    assert masks.min() >= 0 and masks.max() <= 1


def test_limits() -> None:
    with pytest.raises(LimitExceeded, match="samples: expected at most 1000"):
        inrcodec.open(file_bytes(), limits=Limits(output_samples=1000)).decode(scale=4)
    with pytest.raises(LimitExceeded, match="multiply-accumulates"):
        inrcodec.open(file_bytes(), limits=Limits(work=10**5)).decode()
    with pytest.raises(LimitExceeded, match="samples"):
        inrcodec.open(file_bytes()).decode(scale=1e6)
    with pytest.raises(LimitExceeded, match="at most 100 elements"):
        inrcodec.open(file_bytes(), limits=Limits(elements=100))


def test_info_is_json_ready_and_evaluates_nothing(inr: Inr) -> None:
    info = inr.info
    assert info["schema"] == "inrcodec.info/1" and info["kind"] == "image"
    assert info["bytes"] == len(file_bytes()) and info["bpp"] == pytest.approx(8 * info["bytes"] / (13 * 17))
    assert sum(tensor["bytes"] for tensor in info["tensors"]) == info["chunks"][0]["bytes"]
    assert inrcodec.inspect.to_json(info)


def test_parameters_do_not_depend_on_the_engine() -> None:
    first, second = (inrcodec.open(file_bytes(), backend=name) for name in ("numpy", "auto"))
    assert params_digest(first) == params_digest(second)


def test_open_reads_paths_and_files(tmp_path: object) -> None:
    path = tmp_path / "späce é.inr"  # type: ignore[operator]
    path.write_bytes(file_bytes())
    expected = inrcodec.open(file_bytes()).decode()
    assert (inrcodec.open(path).decode() == expected).all()
    assert (inrcodec.open(str(path)).decode() == expected).all()
    with path.open("rb") as file:
        assert (inrcodec.open(file).decode() == expected).all()
    with pytest.raises(InputError, match="cannot be read"):
        inrcodec.open(tmp_path / "missing.inr")  # type: ignore[operator]


def test_a_copy_of_an_opened_file_decodes_alike(inr: Inr) -> None:
    expected = inr.decode(scale=2)
    for copied in (pickle.loads(pickle.dumps(inr)), copy.deepcopy(inr)):
        np.testing.assert_array_equal(copied.decode(scale=2), expected)
    grid = pickle.loads(pickle.dumps(inr.grid(scale=2)))
    np.testing.assert_array_equal(grid[3:9, ::2], expected[3:9, ::2])


def test_sizes_and_depths_that_are_none(inr: Inr) -> None:
    for options, words in (
        ({"scale": 1e308}, "scale: expected a positive number, got 1e"),
        ({"size": (3, 4.5)}, "size: expected 2 positive whole numbers"),
        ({"bits": 1.5}, "bits: expected 1..16, got 1.5"),
    ):
        with pytest.raises(UsageError, match=words):
            inr.decode(**options)


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.inr"
    path.write_bytes(file_bytes()[:-1])
    with pytest.raises(CorruptFile, match=r"a\.inr: byte \d+"):
        inrcodec.open(path)
    with path.open("rb") as file, pytest.raises(CorruptFile, match=r"a\.inr: byte \d+"):
        inrcodec.open(file)
    with pytest.raises(CorruptFile, match=r"^byte \d+"):
        inrcodec.open(path.read_bytes())
    with pytest.raises(InputError, match="binary mode, got one that reads str"):
        inrcodec.open(io.StringIO("text"))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="closed"):
        inrcodec.open(file)
    with pytest.raises(InputError, match="cannot be read"):
        inrcodec.open("a\0b")
    for wrong in (None, 3, np.zeros(3)):
        with pytest.raises(UsageError, match="expected a path, bytes or a binary file object, got"):
            inrcodec.open(wrong)  # type: ignore[arg-type]


def test_export_takes_a_format_with_or_without_its_dot(inr: Inr, tmp_path: Path) -> None:
    for name, form in (("a.x", "png"), ("b.x", ".PNG"), ("c.PNG", None)):
        inr.export(tmp_path / name, format=form)
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
