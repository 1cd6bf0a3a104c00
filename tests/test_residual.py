"""Error bounds: residuals through their payload and the file, what they promise by every engine, and what happens when they are wrong."""

import math
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import inrcodec
from inrcodec import bounded, codec, context, rans, residual, sampling, spec
from inrcodec.backends import available, make_engine
from inrcodec.backends.numpy import NumpyEngine
from inrcodec.cli.decode import command as decode_command
from inrcodec.cli.encode import command as encode_command
from inrcodec.cli.info import table
from inrcodec.codec import verify
from inrcodec.container import Container, dump, load
from inrcodec.context import ContextNet
from inrcodec.coordinates import lattice
from inrcodec.errors import BackendMissing, CorruptFile, InrError, LimitExceeded, UnsupportedFile, UsageError, VerificationFailed
from inrcodec.fit import residual as fit_residual
from inrcodec.limits import Limits
from inrcodec.signals import read_signal
from inrcodec.signals.base import Signal, exact_samples
from tests.nets import lively_params, name_of, small_networks
from tests.test_conformance import CASES, VALID
from tests.test_context import plain_decode, some_net, some_symbols
from tests.test_decoder import file_bytes

QUICK: dict[str, Any] = {"effort": 1, "device": "cpu", "deterministic": True}


def picture(channels: int, bits: int, seed: int = 0) -> np.ndarray:
    y, x = np.mgrid[0:24, 0:31]
    rng = np.random.default_rng(seed)
    planes = [0.5 + 0.4 * np.sin(x / (4.0 + k)) * np.cos(y / 5.0) + rng.normal(0, 0.02, x.shape) for k in range(channels)]
    found = np.rint(np.clip(np.stack(planes, -1), 0, 1) * (2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16)
    return found[..., 0] if channels == 1 else found


def volume(dtype: str, missing: bool = False) -> np.ndarray:
    z, y, x = np.mgrid[0:9, 0:10, 0:12]
    values = 100 + 60 * np.sin(x / 3.0) * np.cos(y / 4.0 + z / 5.0) + np.random.default_rng(0).normal(0, 4, x.shape)
    if dtype == "int16":
        values = values * 20 - 2000
    found = (np.rint(values) if dtype != "float32" else values).astype(dtype)
    if missing:
        found[2:4, 3:7, 1:9] = np.nan
    return found


def encoded(source: np.ndarray | Signal, steps: int = 40, **options: Any) -> bytes:
    return inrcodec.encode(source, settings={"steps": steps}, **{**QUICK, **options}).data


@pytest.fixture(scope="module")
def lossless() -> bytes:
    return encoded(picture(3, 8), lossless=True)


@pytest.fixture(scope="module")
def floating() -> bytes:
    return encoded(volume("float32", missing=True), kind="volume", max_error=0.5)


def with_payload(data: bytes, payload: bytes) -> bytes:
    """The file with another residual."""
    container = load(data)
    number = residual.entry_of(container.head)
    lengths = [length for _, length in container.head["tens"]]
    start = sum(lengths[:number])
    tens = [list(entry) for entry in container.head["tens"]]
    tens[number][1] = len(payload)
    content = container.data[:start] + payload + container.data[start + lengths[number] :]
    return dump(Container({**container.head, "tens": tens}, content))


def payload_of(data: bytes) -> bytes:
    container = load(data)
    number = residual.entry_of(container.head)
    start = sum(length for _, length in container.head["tens"][:number])
    return container.data[start : start + container.head["tens"][number][1]]


# What a payload holds.


@given(
    st.lists(st.integers(1, 7), min_size=1, max_size=4), st.integers(1, 3), st.floats(0.01, 1e5), st.integers(0, 9), st.integers(0, 1 << 30)
)
@settings(max_examples=80)
def test_what_is_written_is_read(shape: list[int], channels: int, scale: float, low: int, seed: int) -> None:
    values = some_symbols((*shape, channels), scale, seed)
    planes = residual.to_planes(values)
    net = some_net(planes.ndim - 1, channels, seed)
    assert np.array_equal(residual.decode(residual.encode(planes, low, net), shape, channels), values)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.floats(0.01, 3e4), st.integers(0, 1 << 30))
@settings(max_examples=4)
def test_fitted_payloads_are_read(shape: list[int], scale: float, seed: int) -> None:
    values = some_symbols((*shape, 2), scale, seed)
    assert np.array_equal(residual.decode(fit_residual.payload(values, seed=0), shape, 2), values)


@pytest.mark.parametrize(("sizes", "low"), [((4, 5), 0), ((3, 2, 4), 2)])
def test_a_second_decoder_reads_the_same(sizes: tuple[int, ...], low: int) -> None:
    """By the text, channel by channel and bit by bit, where the grid's axes are the coded ones."""
    values = some_symbols((*sizes, 3), 4.0, 0)
    payload = residual.encode(residual.to_planes(values), low, some_net(len(sizes), 3))
    assert payload[0] == low
    length, at = rans.read_leb128(payload, 1)
    net = context.unpack_net(payload[at : at + length], d=len(sizes), planes=3)
    at, high = at + length, None
    found = np.zeros_like(values)
    for k in range(3):
        length, at = rans.read_leb128(payload, at)
        high = plain_decode(payload[at : at + length], net, (*sizes, 1), high, k)
        found[..., k] = high[..., 0]
        at += length
    bits = "".join(f"{byte:08b}" for byte in payload[at:])
    places = [int(bits[i * low : (i + 1) * low] or "0", 2) for i in range(values.size)]
    assert np.array_equal(found * 2**low + np.array(places).reshape(values.shape), values)
    assert set(bits[values.size * low :]) <= {"0"} and len(bits) - values.size * low < 8


@pytest.mark.parametrize("low", [0, 3])
def test_bands_are_coded_one_by_one(monkeypatch: pytest.MonkeyPatch, low: int) -> None:
    values = some_symbols((11, 6, 2), 9.0, 0)
    net = some_net(2, 2)
    whole = residual.encode(residual.to_planes(values), low, net)
    monkeypatch.setattr(residual, "BAND", 6 * 4)
    assert [part.stop for part in residual.bands((11, 6))] == [4, 8, 11]
    cut = residual.encode(residual.to_planes(values), low, net)
    assert cut != whole
    assert np.array_equal(residual.decode(cut, (11, 6), 2), values)


@pytest.mark.parametrize(
    ("shape", "sizes"),
    [
        ((1,), (1, 1)),
        ((1, 1, 1), (1, 1)),
        ((5,), (2, 3)),
        ((1, 100), (10, 10)),
        ((7, 1, 9), (7, 9)),
        ((2, 3, 4), (2, 3, 4)),
        ((2, 3, 4, 5), (6, 4, 5)),
        ((2, 3, 1, 5), (2, 3, 5)),
    ],
)
def test_axes_that_residuals_are_coded_on(shape: tuple[int, ...], sizes: tuple[int, ...]) -> None:
    assert residual.plane_sizes(shape) == sizes


def blind_net(channels: int = 1) -> ContextNet:
    """One neuron, weights of 0."""
    x = context.inputs(2)
    return ContextNet(*(np.zeros(shape, np.int64) for shape in ((1, x + 1), (2, 1), (2, x), (2, channels))))


def test_the_examples_of_the_format() -> None:
    values = np.array([1, 0, -2, 0, 0])[:, None]
    planes = residual.to_planes(values)
    assert planes[..., 0].tolist() == [[1, 0, -2], [0, 0, 0]]
    for low, expected in ((0, "0009013f000000c8010100" + "0600002e62c30b"), (1, "0109013f000000c8010100" + "060000a30b1c0280")):
        payload = residual.encode(planes, low, blind_net())
        assert payload.hex() == expected
        assert np.array_equal(residual.decode(payload, (5,), 1), values)


def test_zeros_take_no_bytes() -> None:
    assert fit_residual.payload(np.zeros((4, 5, 3), np.int32), seed=0) == b""
    assert not residual.decode(b"", (4, 5), 3).any()
    assert residual.decode(b"", (4, 5), 3).shape == (4, 5, 3)


@pytest.mark.parametrize(("scale", "slack"), [(0.3, 0.2), (3.0, 0.15), (300.0, 0.15), (5000.0, 0.2)])
def test_payloads_are_near_the_entropy(scale: float, slack: float) -> None:
    values = some_symbols((90, 90, 1), scale, 0)
    k = np.arange(-40 * math.ceil(scale + 1), 40 * math.ceil(scale + 1) + 1)
    p = np.where(k == 0, 1 - np.exp(-0.5 / scale), np.exp(-np.abs(k) / scale) * math.sinh(0.5 / scale))
    entropy = -float((p * np.log2(p, where=p > 0, out=np.zeros_like(p))).sum())
    assert 8 * len(fit_residual.payload(values, seed=0)) / values.size < entropy + slack


def test_contexts_help_where_magnitudes_vary() -> None:
    wide = np.exp(np.linspace(-2, 3, 90))[:, None, None]
    values = np.rint(np.random.default_rng(0).laplace(0, 1, (90, 90, 1)) * wide).astype(np.int32)
    planes = residual.to_planes(values)
    assert len(fit_residual.payload(values, seed=0)) < 0.93 * len(residual.encode(planes, 0, fit_residual._blind(planes)))


def test_payloads_are_the_same_for_the_same_seed() -> None:
    values = some_symbols((20, 30, 1), 2.0, 0)
    assert fit_residual.payload(values, seed=3) == fit_residual.payload(values, seed=3)


def test_what_does_not_fit_is_refused() -> None:
    planes = residual.to_planes(np.array([[1 << 30], [-(1 << 30) - 1]]))
    with pytest.raises(ValueError, match="at most 1073741824"):
        residual.encode(planes, 16, blind_net())


def damaged(change: str) -> bytes:
    planes = residual.to_planes(some_symbols((5, 1), 3.0, 0))
    if change == "values behind":
        planes.reshape(-1)[-1] = 1
    good = residual.encode(planes, 1, blind_net())
    if change == "low bits":
        return bytes([17]) + good[1:]
    if change == "padding":
        return good[:-1] + bytes([good[-1] | 1])
    if change == "end":
        return good + b"x"
    return {"cut": good[:-1], "network": bytes([0, 200, 1]), "stream": good[:12] + b"\x7f" + good[13:], "length": b"\x00"}.get(change, good)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("low bits", "low bits: expected 0..16, got 17"),
        ("values behind", "zeros behind the last sample"),
        ("padding", "zeros behind the last bit"),
        ("end", r"expected \d+ bytes, got"),
        ("cut", "bytes of low bits"),
        ("network", "expected 200 bytes, 0 are left"),
        ("length", "rest of a LEB128 number"),
    ],
)
def test_damaged_payloads(change: str, message: str) -> None:
    with pytest.raises(CorruptFile, match=message):
        residual.decode(damaged(change), (5,), 1)


def test_damage_is_an_error_or_other_integers_but_never_a_crash() -> None:
    values = some_symbols((9, 9, 2), 20.0, 0)
    data = residual.encode(residual.to_planes(values), 2, some_net(2, 2))
    rng = np.random.default_rng(0)
    for _ in range(150):
        changed = bytearray(data)
        changed[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
        for content in (bytes(changed), data[: 1 + int(rng.integers(len(data) - 1))]):
            try:
                residual.decode(content, (9, 9), 2)
            except InrError:
                continue


# What files promise.


def check(data: bytes, source: np.ndarray, bound: float) -> None:
    for backend in available():
        decoded = inrcodec.open(data, backend=backend, device="cpu").decode()
        assert decoded.dtype == source.dtype
        if bound == 0:
            assert decoded.reshape(source.shape).tobytes() == source.tobytes()
            continue
        error = np.abs(decoded.reshape(source.shape).astype(np.float64) - source)
        assert np.array_equal(np.isnan(error), np.isnan(source))
        assert np.nanmax(error) <= bound


@pytest.mark.parametrize(("channels", "bits"), [(1, 8), (2, 8), (3, 8), (1, 16), (3, 16)])
def test_lossless_pictures_are_the_same_array(channels: int, bits: int) -> None:
    source = picture(channels, bits)
    if channels == 2:
        source[:9, :, 1] = 0  # what is hidden is kept too
    report = inrcodec.encode(source, lossless=True, settings={"steps": 40}, **QUICK)
    assert report.report.psnr == math.inf and report.report.max_error == report.report.bound == 0
    check(report.data, source, 0)
    assert (load(report.data).head["out"]["residual"]["tolerance"] < 4e-5) == (bits == 16)


@pytest.mark.parametrize("part", [np.s_[:1], np.s_[:, :1], np.s_[:1, :1], np.s_[:2, :3]], ids=["row", "column", "point", "few"])
def test_lossless_pictures_of_few_samples(part: Any) -> None:
    check(encoded(picture(3, 8)[part], lossless=True), picture(3, 8)[part], 0)


def test_a_lossless_volume_over_time() -> None:
    source = np.stack([volume("uint8")[:4, :5, :6], volume("uint8")[1:5, :5, :6], volume("uint8")[2:6, :5, :6]])
    check(encoded(source, kind="volume", lossless=True), source, 0)


def test_a_lossless_video(tmp_path: Any) -> None:
    from PIL import Image

    for i in range(3):
        Image.fromarray(picture(3, 8, seed=i)).save(tmp_path / f"{i}.png")
    data = inrcodec.encode(tmp_path, kind="video", lossless=True, settings={"steps": 20}, **QUICK).data
    check(data, np.stack([picture(3, 8, seed=i) for i in range(3)]), 0)


@pytest.mark.parametrize("dtype", ["uint8", "int16"])
def test_lossless_volumes_are_the_same_array(dtype: str) -> None:
    source = volume(dtype)
    data = encoded(source, kind="volume", lossless=True)
    check(data, source, 0)
    checks = verify(inrcodec.open(data), source=read_signal(source, kind="volume"))
    assert checks["bound"] == checks["max_error"] == 0 and checks["psnr"] == math.inf


@pytest.mark.parametrize(
    ("source", "max_error", "bound"),
    [
        (volume("uint8"), 3, 3),
        (volume("uint8"), 2.9, 2),
        (volume("int16"), 40, 40),
        (volume("float32"), 0.25, 0.25),
        (volume("float32"), 1e-4, 1e-4),
        (volume("float32", missing=True), 0.25, 0.25),
        (volume("float32").astype(np.float64), 1e-6, 1e-6),
        (volume("float32").astype(np.float16), 0.5, 0.5),
    ],
    ids=["uint8", "a part of a code", "int16", "float32", "float64 evaluation", "missing", "float64", "float16"],
)
def test_no_sample_is_farther_off(source: np.ndarray, max_error: float, bound: float) -> None:
    data = encoded(source, kind="volume", max_error=max_error)
    assert load(data).head["out"]["residual"]["bound"] == bound
    check(data, source, bound)


def test_a_constant_volume() -> None:
    source = np.full((4, 5, 6), 7, np.int16)
    check(encoded(source, kind="volume", lossless=True), source, 0)


def test_a_bound_may_be_a_part_of_the_range() -> None:
    source = picture(3, 8)
    data = encoded(source, max_error="2%")
    bound = load(data).head["out"]["residual"]["bound"]
    assert bound == math.floor(0.02 * (int(source.max()) - int(source.min())))
    check(data, source, bound)


def test_sound_and_fields_keep_to_bounds() -> None:
    def wave(p: np.ndarray) -> np.ndarray:
        return 5 * np.sin(9 * p) + 2

    signal = inrcodec.field_signal(wave, shape=(60,))
    decoded = inrcodec.open(encoded(signal, max_error=0.01)).decode()
    assert np.abs(decoded - exact_samples(signal)).max() <= 0.01


def test_more_of_a_bound_takes_fewer_bytes() -> None:
    source = picture(3, 8)
    sizes = [len(encoded(source, **options)) for options in ({"lossless": True}, {"max_error": 3}, {"max_error": 255})]
    assert sizes == sorted(sizes, reverse=True)
    assert payload_of(encoded(source, max_error=255)) == b""


def test_samples_of_values_alone() -> None:
    """A signal that says no samples has those of its values."""
    image = read_signal(picture(3, 16))
    assert isinstance(image, Signal)
    bare = Signal(**{**vars(image), "samples": None})
    assert np.array_equal(exact_samples(bare), picture(3, 16))
    numbers = read_signal(volume("int16"), kind="volume")
    assert isinstance(numbers, Signal)
    found = exact_samples(Signal(**{**vars(numbers), "samples": None}))
    assert np.array_equal(found[..., 0], volume("int16")) and found.dtype == np.int16


# What is decoded.


@pytest.mark.parametrize("name", ["lossless", "floating"])
def test_other_grids_and_points_are_of_the_function(name: str, request: pytest.FixtureRequest) -> None:
    data = request.getfixturevalue(name)
    inr, function = (inrcodec.open(data, backend="numpy", residual=wanted) for wanted in (True, False))
    for options in ({"scale": 2.0}, {"scale": 0.5}, {"size": [7] * len(inr.grid_shape)}):
        np.testing.assert_array_equal(inr.decode(**options), function.decode(**options))
    centre = np.zeros((1, len(inr.grid_shape)))
    np.testing.assert_array_equal(inr.at(centre), function.at(centre))
    np.testing.assert_array_equal(inr.decode(residual=False), function.decode())
    assert not np.array_equal(inr.decode(), function.decode(), equal_nan=True)


@pytest.mark.parametrize("name", ["lossless", "floating"])
def test_parts_are_those_of_the_whole(name: str, request: pytest.FixtureRequest) -> None:
    inr = inrcodec.open(request.getfixturevalue(name), backend="numpy")
    whole = inr.decode()
    np.testing.assert_array_equal(inr.decode(region=[(2, 5)] * len(inr.grid_shape)), whole[(slice(2, 5),) * len(inr.grid_shape)])
    np.testing.assert_array_equal(inr[1:7:2, 3], whole[1:7:2, 3])
    np.testing.assert_array_equal(
        np.concatenate(list(inr.slabs(region=[(1, 6)] * len(inr.grid_shape)).parts)), whole[(slice(1, 6),) * len(inr.grid_shape)]
    )
    np.testing.assert_array_equal(inr.decode(size=inr.grid_shape), whole)


def test_files_have_the_corrected_samples(floating: bytes, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "SLAB_BYTES", 2000)
    inr = inrcodec.open(floating, backend="numpy")
    inr.export(tmp_path / "a.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), inr.decode()[..., 0])
    assert bounded.largest_error(np.load(tmp_path / "a.npy")[..., None], read_signal(volume("float32", missing=True), kind="volume")) <= 0.5


def test_other_bits_and_types_are_made_of_the_corrected_codes(lossless: bytes) -> None:
    inr = inrcodec.open(lossless, backend="numpy")
    source = picture(3, 8)
    np.testing.assert_array_equal(inr.decode(bits=16), source.astype(np.uint16) * 257)
    np.testing.assert_array_equal(inr.decode(bits=4), np.floor(source.astype(np.int64) * 15 / 255 + 0.5))
    np.testing.assert_array_equal(inr.decode(dtype=np.float32), (source / 255).astype(np.float32))


def test_another_type_of_numbers_has_the_same_samples(floating: bytes) -> None:
    inr = inrcodec.open(floating, backend="numpy")
    np.testing.assert_array_equal(inr.decode(dtype=np.float64), inr.decode())


def test_the_text_of_samples(lossless: bytes, floating: bytes) -> None:
    for data in (lossless, floating):
        inr = inrcodec.open(data, backend="numpy")
        assert inr.residual is not None and inr.added is not None
        out = inr.head["out"]
        low = np.array([c.get("low", 0.0) for c in out["channels"]])
        high = np.array([c["high"] for c in out["channels"]]) if "dtype" in out else np.array([255.0] * 3)
        x = np.clip(inr.unrounded() + inr.residual.step * inr.added, low, low + (high - low))
        expected = x.astype(np.float32) if "dtype" in out else np.floor(x + 0.5)
        # Codes are the same by every evaluation; floats as near as float32 evaluation is.
        atol = inr.residual.tolerance * float((high - low).max()) if "dtype" in out else 0
        np.testing.assert_allclose(inr.decode(), expected, rtol=0, atol=atol)


def test_missing_samples_have_no_residual(floating: bytes) -> None:
    inr = inrcodec.open(floating, backend="numpy")
    assert inr.missing is not None and inr.added is not None
    assert inr.missing.any() and not inr.added[inr.missing].any()


# Evaluation.


@pytest.mark.parametrize("case", small_networks(), ids=name_of)
def test_double_precision_does_not_depend_on_the_way(case: tuple[Any, Any]) -> None:
    network, config = case
    evaluate = NumpyEngine(double=True).compile(network, config, lively_params(network, config))
    coords = lattice((19, 14, 11)[: config.in_features], [(-1.0, 1.0)] * config.in_features)
    on_lattice, at_points = evaluate(coords), evaluate(coords.points())
    assert on_lattice.dtype == np.float64
    assert np.abs(on_lattice - at_points).max() < spec.FLOAT64_TOLERANCE / 1e4


@pytest.mark.parametrize("backend", available())
@pytest.mark.parametrize("name", CASES)
def test_float32_keeps_within_its_tolerance(name: str, backend: str) -> None:
    inr = inrcodec.open(VALID / name / "input.inr", backend=backend, device="cpu", residual=False)
    span = np.array([c.high - c.low for c in inr.channels]) if inr.head["out"].get("dtype") else 1.0
    exact = inr.unrounded() if inr.head["out"].get("dtype") else inr.unrounded() / (2**inr.bits - 1)
    error = np.nan_to_num(np.abs(inr.decode(dtype=np.float64) - exact) / span)
    assert error.max() < spec.FLOAT32_TOLERANCE / 2


def test_an_engine_without_double_precision_says_so() -> None:
    with pytest.raises(BackendMissing, match="evaluates in float32"):
        make_engine("torch", double=True)


# Refusals.


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lossless": True, "psnr": 30.0}, "expected quality beside max_error or lossless"),
        ({"max_error": 1, "size": 5000}, "expected quality beside max_error or lossless"),
        ({"max_error": 1, "bpp": 2.0}, "expected quality beside max_error or lossless"),
        ({"max_error": 1, "lossless": True}, "lossless: expected it alone"),
        ({"max_error": -1}, "expected a number of at least 0"),
        ({"max_error": "much"}, "expected a number of at least 0.*'much'"),
        ({"max_error": "nan%"}, "expected a number of at least 0"),
    ],
)
def test_options_that_do_not_go_together(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        encoded(picture(1, 8), **options)


@pytest.mark.parametrize(
    ("dtype", "options", "message"),
    [
        ("float32", {"lossless": True}, "lossless: expected integer samples, got float32; give a bound with --max-error"),
        ("float32", {"max_error": 0}, "expected a number above 0 for float32"),
        ("float32", {"max_error": 1e-9}, "1e-09 is too little"),
    ],
)
def test_bounds_that_numbers_cannot_have(dtype: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        encoded(volume(dtype), kind="volume", **options)


def test_a_range_that_no_evaluation_resolves() -> None:
    source = np.random.default_rng(0).integers(0, 2**32, (4, 5, 6), dtype=np.uint32)
    with pytest.raises(UsageError, match="0 is too little beside samples that span"):
        encoded(source, kind="volume", lossless=True)


def test_shapes_have_no_bound() -> None:
    import trimesh

    with pytest.raises(UsageError, match="expected samples on a grid, got a shape"):
        encoded(trimesh.creation.icosphere(subdivisions=1).export(file_type="ply"), lossless=True)


def test_a_reader_without_the_feature_names_it(lossless: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spec, "FEATURES", ())
    with pytest.raises(UnsupportedFile, match="unknown features: residual"):
        inrcodec.open(lossless)


def changed(data: bytes, change: Any) -> bytes:
    container = load(data)
    head = {**container.head, "out": dict(container.head["out"])}
    change(head)
    return dump(Container(head, container.data, container.ancillary))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h: h.update(req=[]), "HEAD.req: expected 'residual' where"),
        (lambda h: h["out"].pop("residual"), "HEAD.req: expected 'residual' where"),
        (lambda h: h["out"]["residual"].pop("step"), "HEAD.out.residual: key 'step' is missing"),
        (lambda h: h["out"].update(residual={"bound": 0.0, "step": 0.0, "tolerance": 1.0}), "residual.step: expected more than 0"),
        (lambda h: h["out"].update(residual={"bound": -1.0, "step": 1.0, "tolerance": 1.0}), "residual.bound: expected at least 0"),
        (lambda h: h["tens"][-1].__setitem__(0, spec.RAW_F32), "expected the last one but for a mask of codec residual"),
        (lambda h: h["tens"][0].__setitem__(0, spec.RESIDUAL), "expected the last one but for a mask of codec residual"),
    ],
)
def test_faults_of_head(lossless: bytes, change: Any, message: str) -> None:
    with pytest.raises(CorruptFile, match=message):
        inrcodec.open(changed(lossless, change))


def test_claims_are_refused_before_anything_is_allocated(lossless: bytes) -> None:
    with pytest.raises(LimitExceeded, match="HEAD.out.residual: expected at most 2231 numbers, got 2232"):
        inrcodec.open(lossless, limits=Limits(elements=24 * 31 * 3 - 1))


def test_a_residual_needs_no_sample_of_a_file_without(monkeypatch: pytest.MonkeyPatch) -> None:
    inr = inrcodec.open(file_bytes(), backend="numpy")
    assert inr.residual is None and inr.added is None and inr.info["residual"] is None


# Checks.


def test_one_changed_symbol_is_found(lossless: bytes) -> None:
    symbols = residual.decode(payload_of(lossless), (24, 31), 3).copy()
    symbols[5, 6, 1] += 1
    wrong = with_payload(lossless, fit_residual.payload(symbols, seed=0))
    with pytest.raises(VerificationFailed, match=r"bound: the file keeps to 0, against the source a sample is 1\.0 off"):
        verify(inrcodec.open(wrong), source=picture(3, 8))
    assert verify(inrcodec.open(lossless), source=picture(3, 8))["bound"] == 0


def test_an_encoder_that_breaks_its_word_makes_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*args: Any, **options: Any) -> Any:
        return [spec.RESIDUAL, 0], b""

    monkeypatch.setattr(codec, "residual_entry", wrong)
    with pytest.raises(InrError, match="expected samples within 0 of the source"):
        encoded(picture(1, 8), lossless=True)


def test_largest_error_counts_what_is_there() -> None:
    signal = read_signal(volume("float32", missing=True), kind="volume")
    assert isinstance(signal, Signal)
    decoded = exact_samples(signal).copy()
    assert bounded.largest_error(decoded, signal) == 0
    decoded[0, 0, 0] += 1
    assert bounded.largest_error(decoded, signal) == pytest.approx(1)
    decoded[1, 1, 1] = np.nan
    assert bounded.largest_error(decoded, signal) == math.inf


# The command line.


def test_verbs(tmp_path: Any) -> None:
    from PIL import Image

    source, file, exact, function = (str(tmp_path / name) for name in ("a.png", "a.inr", "b.png", "c.png"))
    Image.fromarray(picture(3, 8)).save(source)
    run = CliRunner()
    options = ["-e", "1", "--set", "steps=40", "--device", "cpu"]
    done = run.invoke(encode_command, [source, "-o", file, "--lossless", *options], obj=_Said(), catch_exceptions=False)
    assert "lossless" in done.stderr
    run.invoke(decode_command, [file, "-o", exact], catch_exceptions=False)
    run.invoke(decode_command, [file, "-o", function, "--no-residual"], catch_exceptions=False)
    assert np.array_equal(np.asarray(Image.open(exact)), picture(3, 8))
    assert not np.array_equal(np.asarray(Image.open(function)), picture(3, 8))
    told = table(inrcodec.open(file).info)
    assert "residual  lossless, " in told and "float32 evaluation" in told
    failed = run.invoke(encode_command, [source, "-o", file, "--max-error", "1", "--size", "9k", *options], obj=_Said())
    assert isinstance(failed.exception, UsageError)


class _Said:
    level = 0
