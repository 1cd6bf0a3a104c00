"""Values at points from the command line: lists of points in and out, units, what lies outside, faults."""

import io
from pathlib import Path

import numpy as np
import pytest

import inrcodec
from inrcodec.errors import InputError, UsageError
from inrcodec.points import read_points, write_values
from tests.test_cli import assert_fails, run
from tests.test_decoder import file_bytes
from tests.test_streaming import AFFINE, volume_file
from tests.test_windows import windowed_file

POINTS = np.random.default_rng(0).uniform(-1, 1, (40, 2))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.inr").write_bytes(file_bytes())
    (tmp_path / "v.inr").write_bytes(volume_file())
    return tmp_path


def table(data: bytes) -> tuple[list[str], np.ndarray]:
    head, *lines = data.decode().splitlines()
    return head.split(","), np.array([[float(cell) for cell in line.split(",")] for line in lines], dtype=np.float32)


def npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def csv(points: np.ndarray, head: str = "") -> bytes:
    return (head + "".join(f"{','.join(map(repr, map(float, point)))}\n" for point in points)).encode()


@pytest.mark.parametrize("order", ["", "y,x\n", "x,y\n", ' "x" , y\r\n\n'])
def test_points_from_a_file_in_any_order(folder: Path, order: str) -> None:
    given = POINTS[:, ::-1] if order.strip(' "').startswith("x") else POINTS
    (folder / "p.csv").write_bytes(csv(given, order))
    done = run("query", "a.inr", "--points", "p.csv", "--backend", "numpy", cwd=folder)
    assert done.returncode == 0 and done.stderr == b""
    names, values = table(done.stdout)
    assert names == ["R", "G", "B"]
    np.testing.assert_array_equal(values, inrcodec.open(folder / "a.inr", backend="numpy").at(POINTS))


def test_npy_in_and_out_with_gradients(folder: Path) -> None:
    done = run("query", "a.inr", "--points", "-", "--gradient", "-o", "o.npy", "--backend", "numpy", cwd=folder, stdin=npy(POINTS))
    assert done.returncode == 0 and done.stdout == b"", done.stderr
    inr, found = inrcodec.open(folder / "a.inr", backend="numpy"), np.load(folder / "o.npy")
    assert found.dtype == np.float32 and found.shape == (40, 9)
    np.testing.assert_array_equal(found[:, :3], inr.at(POINTS))
    np.testing.assert_array_equal(found[:, 3:].reshape(40, 3, 2), inr.gradient(POINTS))
    piped = run("query", "a.inr", "--points", "-", "--gradient", "--backend", "numpy", cwd=folder, stdin=npy(POINTS))
    names, values = table(piped.stdout)
    assert names == ["R", "G", "B", *(f"d{c}/d{a}" for c in "RGB" for a in "yx")]
    np.testing.assert_array_equal(values, found)
    assert run("query", "-", "--at", "0,0", cwd=folder, stdin=file_bytes()).returncode == 0


def test_pixels_are_the_decoded_samples(folder: Path) -> None:
    done = run("query", "a.inr", "--at", "12,16", "--at", "0,0", "--at", "-0.5,16.5", "--pixel", cwd=folder)
    decoded = inrcodec.open(folder / "a.inr").decode(dtype=np.float32)
    _, values = table(done.stdout)
    np.testing.assert_allclose(np.clip(values[:2], 0, 1), decoded[[12, 0], [16, 0]], atol=1e-5)
    assert_fails(run("query", "a.inr", "--at", "12.6,0", "--pixel", cwd=folder), 2, "point 1", "[-0.5, 12.5] x [-0.5, 16.5]")


def test_world_coordinates_and_derivatives_by_them(folder: Path) -> None:
    inr, affine = inrcodec.open(folder / "v.inr"), np.reshape(AFFINE, (4, 4))
    index = np.array([[1.0, 2.0, 3.0], [4.5, 0.25, 6.75]])
    world = index @ affine[:3, :3].T + affine[:3, 3]
    np.testing.assert_allclose(inr.at(world, units="world"), inr.at(index, units="pixel"), rtol=1e-6)
    shift, slopes = 1e-2, inr.gradient(world, units="world")
    for k in range(3):
        high, low = (inr.at(world + sign * shift * np.eye(3)[k], units="world").astype(np.float64) for sign in (1, -1))
        np.testing.assert_allclose(slopes[:, :, k], (high - low) / (2 * shift), atol=2e-2 * np.abs(slopes).max())
    done = run("query", "v.inr", "--points", "-", "--world", "--gradient", cwd=folder, stdin=csv(world[:, ::-1], "z,y,x\n"))
    names, values = table(done.stdout)
    assert names == ["v0", "dv0/dx", "dv0/dy", "dv0/dz"]
    np.testing.assert_allclose(values, np.concatenate([inr.at(index, units="pixel"), slopes[:, 0]], axis=1), rtol=1e-4, atol=1e-6)
    assert_fails(run("query", "a.inr", "--at", "0,0", "--world", cwd=folder), 2, "affine")


def test_points_outside(folder: Path) -> None:
    points = csv(np.array([[0.0, 0.0], [0.0, 1.01]]))
    assert_fails(run("query", "a.inr", "--points", "-", cwd=folder, stdin=points), 2, "point 2 (0,1.01)", "[-1, 1] x [-1, 1]")
    _, values = table(run("query", "a.inr", "--points", "-", "--outside", "nan", "--gradient", cwd=folder, stdin=points).stdout)
    assert np.isfinite(values[0]).all() and np.isnan(values[1]).all()
    _, values = table(run("query", "a.inr", "--points", "-", "--outside", "extend", cwd=folder, stdin=points).stdout)
    np.testing.assert_allclose(values, inrcodec.open(file_bytes()).at([[0, 0], [0, 1.01]]), atol=1e-5)


def test_no_points_give_no_values(folder: Path) -> None:
    for empty in (b"", b"y,x\n", npy(np.zeros((0, 2)))):
        assert run("query", "a.inr", "--points", "-", cwd=folder, stdin=empty).stdout == b"R,G,B\n"
    for data, d in ((file_bytes(), 2), (windowed_file(), 1)):
        inr = inrcodec.open(data)
        assert inr.gradient(np.zeros((0, d))).shape == (0, len(inr.channels), d)


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ((), 2, ["either --at or --points"]),
        (("--at", "0,0", "--points", "p.csv"), 2, ["either --at or --points"]),
        (("--at", "0"), 2, ["--at: line 1: expected 2 numbers (y,x), got '0'"]),
        (("--at", "a,b"), 2, ["expected numbers or the columns y,x"]),
        (("--at", "0,nan"), 2, ["point 1", "finite"]),
        (("--at", "0,0", "--pixel", "--world"), 2, ["got both"]),
        (("--at", "0,0", "-o", "x.png"), 2, [".csv or .npy"]),
        (("--at", "0,0", "-o", "a.inr", "--format", "csv"), 2, ["other than the input"]),
        (("--points", "missing.csv"), 3, ["missing.csv", "cannot be read"]),
        (("--at", "0,0", "--units", "pixel"), 2, ["--units"]),
    ],
)
def test_faults_are_one_line(folder: Path, options: tuple[str, ...], code: int, words: list[str]) -> None:
    assert_fails(run("query", "a.inr", *options, cwd=folder), code, *words)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"1,2\n\n3\n", "pts: line 3: expected 2 numbers (y,x), got '3'"),
        (b"1,2,3\n", "line 1: expected 2 numbers"),
        (b"1,2\n1,x\n", "line 2: expected 2 numbers (y,x), got '1,x'"),
        (b"y,z\n1,2\n", "line 1: expected numbers or the columns y,x in any order, got 'y,z'"),
        (b"1,2\n1,inf\n", "point 2: expected finite coordinates, got 1.0,inf"),
        (b"\xff\xfe\x00", "bytes that are no text"),
        (b"\x93NUMPY\x01\x00", "damaged .npy"),
        (npy(np.zeros((3, 4))), "expected points of 2 coordinates (y,x), got shape (3, 4)"),
        (npy(np.array(["a"])), "expected real numbers"),
        (npy(np.array([None], dtype=object)), "damaged .npy"),
        (npy(np.zeros((3, 2))).replace(b"(3, 2), }" + 13 * b" ", b"(3" + 13 * b"0" + b", 2), }"), "damaged .npy"),
    ],
)
def test_what_is_no_list_of_points_is_said_where(data: bytes, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_points(data, "pts", ("y", "x"))
    assert message in str(caught.value)


def test_numbers_are_written_as_short_as_they_read_back() -> None:
    values = np.random.default_rng(1).standard_normal((1000, 2)).astype(np.float32) * np.float32(10.0) ** np.arange(-20, 20, 0.04)[:, None]
    values = np.asarray(values, np.float32)
    out = io.BytesIO()
    write_values(["a", 'b "x", y'], values, ".csv", out)
    head, *lines = out.getvalue().decode().splitlines()
    assert head == 'a,"b ""x"", y"'
    assert np.array_equal(np.array([line.split(",") for line in lines]).astype(np.float32), values)


def test_a_singular_affine_is_refused() -> None:
    inr = inrcodec.open(volume_file())
    inr.head["space"]["affine"] = [0.0] * 15 + [1.0]  # type: ignore[index]
    with pytest.raises(UsageError, match="singular"):
        inr.at([0, 0, 0], units="world")
