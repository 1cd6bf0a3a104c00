"""Other libraries open .inr files: Pillow, xarray, trimesh, napari; each against what `Inr` gives."""

import importlib.util
import io
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import inrcodec
import inrcodec.pillow
from inrcodec.container import Container, dump, load
from tests.test_decoder import file_bytes
from tests.test_streaming import AFFINE, volume_file

ROOT = Path(__file__).resolve().parents[1]
SHAPE = next((ROOT / "conformance" / "valid" / "1" / "shape-sdf").glob("*.inr"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def picture_file(channels: int, bits: int, scale: float = 0.5, offset: float = 0.5) -> bytes:
    """A picture of as many channels, of 2 and 4 the last alpha."""
    container = load(file_bytes(bits=bits))
    if channels == 3:
        return dump(container)
    from inrcodec.networks import NETWORKS
    from inrcodec.weights import network_list, pack
    from tests.nets import lively_params, small_sasnet

    network, config = NETWORKS["sasnet.1"], small_sasnet(2, channels)
    values = lively_params(network, config)
    steps = {p.name: np.full(p.shape[p.axis] if p.axis >= 0 else 1, 1e-3, np.float32) for p in network.params(config)}
    entries, data = pack(network, config, values, steps)
    names = {1: "Y", 2: "YA", 4: "RGBA"}[channels]
    described = [{"name": n, "role": "alpha" if n == "A" else "color", "scale": scale, "offset": offset} for n in names]
    head = {**container.head, "out": {"channels": described, "bits": bits}, "net": network_list(network, config), "tens": entries}
    return dump(Container(head, data))


@pytest.mark.parametrize(
    ("channels", "bits", "mode"),
    [(1, 1, "1"), (1, 8, "L"), (1, 5, "L"), (1, 12, "I;16"), (2, 8, "LA"), (3, 8, "RGB"), (3, 16, "RGB"), (4, 8, "RGBA"), (4, 1, "RGBA")],
)
def test_pillow_opens_pictures(channels: int, bits: int, mode: str) -> None:
    data = picture_file(channels, bits)
    if mode == "1":  # half of it black
        middle = float(np.median(inrcodec.open(data).at(np.random.default_rng(0).uniform(-1, 1, (200, 2)))))
        data = picture_file(channels, bits, 1.0, 1.0 - 2 * middle + 0.5)
    image = Image.open(io.BytesIO(data))
    assert (image.format, image.mode, image.size) == ("INR", mode, (17, 13))
    expected = inrcodec.open(data).decode(bits={"1": 1, "I;16": 16}.get(mode, 8))
    assert expected.std() > 0
    np.testing.assert_array_equal(np.asarray(image), (expected[..., 0] > 0 if mode == "1" else expected).reshape(np.asarray(image).shape))


def test_pillow_drafts_and_thumbnails(tmp_path: Path) -> None:
    path = tmp_path / "a.inr"
    path.write_bytes(file_bytes((40, 80)))
    inr = inrcodec.open(path)
    for asked, scale in (((20, 10), 0.25), ((20, 20), 0.5), ((640, 100), 8)):
        with Image.open(path) as image:
            assert image.draft(None, asked) == ("RGB", (0, 0, *image.size))
            np.testing.assert_array_equal(np.asarray(image), inr.decode(scale=scale))
            assert image.draft(None, asked) is None  # it is loaded
    with Image.open(path) as image:
        image.thumbnail((20, 20))
        assert image.size == (20, 10)
        np.testing.assert_allclose(np.asarray(image, float), inr.decode(scale=0.25), atol=2)
    out = io.BytesIO()
    Image.open(path).save(out, "PNG")
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(out.getvalue()))), inr.decode())


def test_pillow_refuses_what_is_no_picture() -> None:
    for data in (volume_file(), file_bytes()[:-9], file_bytes()[:40]):
        with pytest.raises(Image.UnidentifiedImageError):
            Image.open(io.BytesIO(data))
    image = Image.open(io.BytesIO(file_bytes()))
    image.draft(None, (10**6, 10**6))
    with pytest.raises(OSError, match="samples: expected at most"):
        image.load()


def test_xarray_opens_lazily(tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    from inrcodec.xarray import InrBackend

    path = tmp_path / "v.inr"
    path.write_bytes(volume_file())
    assert InrBackend().guess_can_open(path) and InrBackend().guess_can_open(path.read_bytes()) and not InrBackend().guess_can_open("v.nc")
    inr, affine = inrcodec.open(path), np.reshape(AFFINE, (4, 4))
    with xarray.open_dataset(path, engine=InrBackend, scale=2) as found:
        assert found.samples.dims == ("z", "y", "x", "channel") and list(found.channel.values) == ["v0"]
        assert found.samples.attrs == {"kind": "volume", "units_of_space": "mm"}
        assert not found.samples.variable._in_memory
        whole = inr.decode(scale=2)
        np.testing.assert_array_equal(found.samples[3, :, ::-2, 0], whole[3, :, ::-2, 0])
        np.testing.assert_array_equal(found.samples.isel(x=[3, 1, 3], channel=0), whole[:, :, [3, 1, 3], 0])
        np.testing.assert_array_equal(found.samples, whole)
        for k, name in enumerate("zyx"):
            middle = (np.arange(whole.shape[k]) + 0.5) / 2 - 0.5
            np.testing.assert_allclose(found[name], affine[k, k] * middle + affine[k, 3])
        near = found.samples.sel(z=3.4, y=8.2, x=11.5, method="nearest")
        index = [round((w - affine[k, 3]) / affine[k, k] * 2 + 0.5) for k, w in enumerate((3.4, 8.2, 11.5))]
        np.testing.assert_array_equal(near, whole[tuple(index)])
    plain = xarray.open_dataset(io_path(tmp_path), engine=InrBackend, drop_variables="channel")
    assert plain.samples.shape == (13, 17, 3) and "channel" not in plain.coords
    np.testing.assert_array_equal(plain.y, np.arange(13))


def io_path(folder: Path) -> Path:
    (folder / "a.inr").write_bytes(file_bytes())
    return folder / "a.inr"


def test_trimesh_loads_surfaces() -> None:
    trimesh = pytest.importorskip("trimesh")
    import inrcodec.trimesh

    (mesh,) = trimesh.load_scene(SHAPE, resolution=24).geometry.values()
    expected = inrcodec.open(SHAPE).mesh(resolution=24)
    assert len(mesh.faces) > 10
    np.testing.assert_array_equal(mesh.vertices, expected.vertices)
    np.testing.assert_array_equal(mesh.faces, expected.faces)
    np.testing.assert_allclose(mesh.vertex_normals, expected.normals, atol=1e-12)


def test_napari_reads_scales_and_surfaces(tmp_path: Path) -> None:
    from inrcodec.napari import SCALES, get_reader, read

    path, volume = str(io_path(tmp_path)), tmp_path / "v.inr"
    assert get_reader(path) is read
    ((levels, options, kind),) = read(path)
    assert (kind, options["rgb"], options["name"], options["scale"]) == ("image", True, "a", (1 / 8, 1 / 8))
    assert [level.shape for level in levels] == [inrcodec.open(path).decode(scale=scale).shape for scale in SCALES]
    np.testing.assert_array_equal(levels[0][5:9, 60:80], inrcodec.open(path).decode(scale=8)[5:9, 60:80])
    volume.write_bytes(volume_file(channels=2))
    layers = read(str(volume))
    assert [options["name"] for _, options, _ in layers] == ["v v0", "v v1"] and layers[0][1]["scale"] == (2.0, 3.0, 4.0)
    plane, whole = layers[1][0][0], inrcodec.open(volume).decode()
    assert (plane.shape, plane.ndim, plane.size, plane.dtype) == ((6, 7, 8), 3, 336, np.float32)
    for key in (np.s_[2], np.s_[:, 3, ::2], np.s_[..., 1]):
        np.testing.assert_array_equal(plane[key], whole[..., 1][key])
    np.testing.assert_array_equal(plane, whole[..., 1])
    (((vertices, faces), _, kind),) = read(str(SHAPE))
    assert kind == "surface" and len(faces) > 10 and vertices.shape[1] == 3
    (tmp_path / "broken.inr").write_bytes(file_bytes()[:-9])
    sound = next((ROOT / "conformance" / "valid" / "1" / "audio-windows").glob("*.inr"))
    for other in ("a.png", [path], str(tmp_path / "broken.inr"), str(tmp_path / "missing.inr"), str(sound)):
        assert get_reader(other) is None


def test_the_manifest_is_one_of_napari() -> None:
    if importlib.util.find_spec("npe2") is None:
        pytest.skip("npe2 is not installed")
    done = subprocess.run(
        [sys.executable, "-m", "npe2", "validate", "--imports", str(ROOT / "inrcodec" / "napari.yaml")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_entry_points_lead_somewhere() -> None:
    module, name = PROJECT["entry-points"]["napari.manifest"]["inrcodec"].split(":")
    manifest = Path(import_module(module).__file__ or "").parent / name
    assert "inrcodec.napari:get_reader" in manifest.read_text()
    pytest.importorskip("xarray")
    module, name = PROJECT["entry-points"]["xarray.backends"]["inrcodec"].split(":")
    assert callable(getattr(import_module(module), name))
