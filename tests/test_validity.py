"""Missing samples: bits through the file, and where decoded samples are missing, by hand."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

import inrcodec
from inrcodec import spec, validity
from inrcodec.container import Container, compress, dump, load
from inrcodec.coordinates import Points, nearest_samples, nearest_to_points, sample_centres
from inrcodec.decoder import Inr
from inrcodec.errors import CorruptFile, InrError, LimitExceeded
from inrcodec.limits import Limits
from tests.test_decoder import file_bytes

SIZE = (6, 9)


def holes(seed: int = 0, size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.random.default_rng(seed).random(size) < 0.3


def file_with(missing: np.ndarray, change: Any = None) -> bytes:
    """A file of float32 samples with holes; `change` alters (entry, payload)."""
    container = load(file_bytes(missing.shape))
    entry, payload = validity.encode(missing)
    if change is not None:
        entry, payload = change(entry, payload)
        entry[1] = len(payload)
    out = {**container.head["out"], "dtype": "float32", "valid": True}
    head = {**container.head, "out": out, "tens": [*container.head["tens"], entry]}
    return dump(Container(head, container.data + payload))


@given(st_numpy.arrays(np.bool_, st_numpy.array_shapes(min_dims=1, max_dims=4, max_side=9)))
def test_masks_come_back(missing: np.ndarray) -> None:
    entry, payload = validity.encode(missing)
    assert entry == [spec.MASK, len(payload)]
    np.testing.assert_array_equal(validity.decode(payload, missing.shape), missing)


def test_the_example_of_the_format() -> None:
    valid = np.array([[1, 1, 0], [1, 1, 0], [0, 1, 1]], bool)
    _, payload = validity.encode(~valid)
    assert zstandard.ZstdDecompressor().decompress(payload).hex() == "c280"


@pytest.mark.parametrize(
    ("payload", "error", "message"),
    [
        (b"", CorruptFile, "zstd"),
        (compress(bytes(1)), CorruptFile, "expected 2 bytes of content, it states 1"),
        (compress(b"\xc2\x81"), CorruptFile, "zeros behind the last bit"),
        (compress(bytes(3)), CorruptFile, "expected 2 bytes of content, it states 3"),
        (compress(bytes(2)) + b"x", CorruptFile, "one whole frame"),
        (compress(bytes(2))[:-1], CorruptFile, "zstd"),
    ],
)
def test_damaged_masks(payload: bytes, error: type[InrError], message: str) -> None:
    with pytest.raises(error, match=message):
        validity.decode(payload, (3, 3))


def test_a_mask_must_be_one_where_it_is_stated() -> None:
    with pytest.raises(CorruptFile, match="expected the last one of codec mask"):
        inrcodec.open(file_with(holes(), lambda _, payload: ([spec.RAW_F32, 0], payload)))


def test_claims_are_refused_before_anything_is_allocated() -> None:
    with pytest.raises(LimitExceeded, match="HEAD.out.valid: expected at most 53 samples, got 54"):
        inrcodec.open(file_with(holes()), limits=Limits(elements=SIZE[0] * SIZE[1] - 1))
    inr = inrcodec.open(file_with(holes(), lambda entry, _: (entry, compress(bytes(1 << 20)))), backend="numpy")
    with pytest.raises(CorruptFile, match="expected 7 bytes of content, it states 1048576"):
        inr.decode()


def test_only_signals_with_holes_carry_a_mask() -> None:
    from tests.test_signals import blob

    volume = blob("float32")
    volume[0, 0, 0] = np.nan
    head = inrcodec.open(inrcodec.encode(volume, settings={"steps": 2}, device="cpu").data).head
    assert head["out"]["valid"] is True and head["tens"][-1][0] == spec.MASK
    assert "valid" not in inrcodec.open(inrcodec.encode(blob("float32"), settings={"steps": 2}, device="cpu").data).head["out"]


@given(st.integers(1, 40), st.integers(1, 200))
def test_the_nearest_sample_is_the_nearest(n: int, m: int) -> None:
    for i, found in enumerate(nearest_samples(n, m).tolist()):
        x = Fraction(2 * i + 1, 2 * m)
        distance = [abs(x - Fraction(2 * j + 1, 2 * n)) for j in range(n)]
        assert found == max(j for j in range(n) if distance[j] == min(distance))
    np.testing.assert_array_equal(nearest_samples(n, m, (m // 3, m)), nearest_samples(n, m)[m // 3 :])


def test_points_on_borders_and_beyond() -> None:
    points = Points(np.array([[-5.0], [-1.0], [-0.5], [-0.51], [0.0], [0.99], [1.0], [7.0]]))
    assert nearest_to_points(points, (4,), [(-1.0, 1.0)])[0].tolist() == [0, 0, 1, 0, 2, 3, 3, 3]


@pytest.fixture(scope="module")
def inr() -> Inr:
    return inrcodec.open(file_with(holes()), backend="numpy")


def plain() -> Inr:
    return inrcodec.open(file_bytes(SIZE), backend="numpy")


def test_at_the_nominal_grid_every_missing_sample_is_nan_and_no_other(inr: Inr) -> None:
    decoded = inr.decode()
    assert decoded.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(decoded), np.broadcast_to(holes()[..., None], decoded.shape))
    np.testing.assert_array_equal(decoded[~holes()], plain().decode(dtype=np.float32)[~holes()])


@pytest.mark.parametrize("scale", [2.0, 3.0])
def test_finer_grids_repeat_the_mask(inr: Inr, scale: float) -> None:
    k = int(scale)
    missing = np.isnan(inr.decode(scale=scale)[..., 0])
    np.testing.assert_array_equal(missing, holes().repeat(k, 0).repeat(k, 1))
    region = inr.decode(scale=scale, region=((1, 4), (2, 9)))
    np.testing.assert_array_equal(region, inr.decode(scale=scale)[k : 4 * k, 2 * k : 9 * k])


def test_coarser_grids_are_means_of_what_is_there() -> None:
    missing = holes()
    missing[:3, 3:6] = True
    inr = inrcodec.open(file_with(missing), backend="numpy")
    small = inr.decode(size=(2, 3))
    network = inrcodec.open(file_bytes(SIZE), backend="numpy")
    # Unclipped outputs at the centres of the samples, value by value.
    grid = np.meshgrid(*[sample_centres(n) for n in SIZE], indexing="ij")
    values = network.at(np.stack(grid, -1).reshape(-1, 2)).reshape(*SIZE, 3).astype(np.float64)
    for i in range(2):
        for j in range(3):
            block = (slice(3 * i, 3 * i + 3), slice(3 * j, 3 * j + 3))
            if missing[block].all():
                assert np.isnan(small[i, j]).all()
            else:
                np.testing.assert_allclose(small[i, j], np.clip(values[block][~missing[block]].mean(axis=0), 0, 1), atol=2e-6)
    assert np.isnan(small[0, 1]).all() and np.isfinite(small).any()


@given(st.lists(st.tuples(st.floats(-1.5, 1.5), st.floats(-1.5, 1.5)), min_size=1, max_size=20))
@settings(max_examples=20)
def test_points_are_missing_with_the_cell_they_lie_in(points: list[tuple[float, float]]) -> None:
    inr = inrcodec.open(file_with(holes()), backend="numpy")
    found = np.isnan(inr.at(points)).all(axis=1)
    for (y, x), lost in zip(points, found.tolist(), strict=True):
        i = min(max(int(np.floor((y + 1) / 2 * SIZE[0])), 0), SIZE[0] - 1)
        j = min(max(int(np.floor((x + 1) / 2 * SIZE[1])), 0), SIZE[1] - 1)
        assert lost == bool(holes()[i, j])
