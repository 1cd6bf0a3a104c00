"""LPIPS by weights drawn at random: what holds of any, and what one layer gives by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch

from inrcodec.errors import InputError, UsageError
from inrcodec.lpips import CONVOLUTIONS, LEAST, SCALE, SHIFT, lpips, lpips_shapes, read_lpips


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    found = {}
    for name, shape in lpips_shapes().items():
        size = 1.0 if len(shape) == 1 else (shape[1] * shape[2] * shape[3]) ** -0.5
        found[name] = torch.randn(shape, generator=generator) * size
    return {name: value.abs() if name.startswith("lin") else value for name, value in found.items()}


def picture(side: int = 48) -> np.ndarray:
    y, x = np.mgrid[0:side, 0:side] / side
    return np.stack([0.5 + 0.4 * np.sin(9 * x + k) * np.cos(7 * y) for k in range(3)], axis=-1)


def test_equal_images_have_no_distance_and_worse_ones_a_larger(weights: dict[str, torch.Tensor]) -> None:
    image, noise = picture(), np.random.default_rng(0).normal(size=(48, 48, 3))
    assert lpips(image, image, weights) == 0
    little, much = (lpips(image, np.clip(image + s * noise, 0, 1), weights) for s in (0.02, 0.2))
    assert 0 < little < much
    assert lpips(image, 1 - image, weights) == pytest.approx(lpips(1 - image, image, weights), rel=1e-5)


def test_the_first_layer_is_what_it_is_by_hand(weights: dict[str, torch.Tensor]) -> None:
    """All other layers count nothing: of the first one a pixel is worked out with NumPy."""
    first = {name: value if not name.startswith("lin") or name.startswith("lin0") else 0 * value for name, value in weights.items()}
    a, b = picture(LEAST), picture(LEAST)[::-1].copy()
    kernel, bias = first["net.slice1.0.weight"].numpy(), first["net.slice1.0.bias"].numpy()
    units = []
    for image in (a, b):
        x = np.pad(((2 * image - 1 - np.array(SHIFT)) / np.array(SCALE)).transpose(2, 0, 1), ((0, 0), (2, 2), (2, 2)))
        side = (LEAST + 4 - 11) // 4 + 1
        y = np.array(
            [
                [np.maximum((kernel * x[:, 4 * i : 4 * i + 11, 4 * j : 4 * j + 11]).sum((1, 2, 3)) + bias, 0) for j in range(side)]
                for i in range(side)
            ]
        )
        units.append(y / (np.sqrt((y**2).sum(-1, keepdims=True)) + 1e-10))
    expected = (((units[0] - units[1]) ** 2) * first["lin0.model.1.weight"].numpy().reshape(-1)).sum(-1).mean()
    assert lpips(a, b, first) == pytest.approx(expected, rel=1e-4)


def test_files_of_weights(weights: dict[str, torch.Tensor], tmp_path: Path) -> None:
    torch.save({**weights, "lins.0.model.1.weight": weights["lin0.model.1.weight"]}, tmp_path / "a.pth")
    assert lpips(picture(), 1 - picture(), read_lpips(tmp_path / "a.pth")) == lpips(picture(), 1 - picture(), weights)
    torch.save({name: value for name, value in weights.items() if name != f"{CONVOLUTIONS[2][0]}.bias"}, tmp_path / "b.pth")
    with pytest.raises(InputError, match=r"net\.slice3\.6\.bias of shape \(384,\), got none"):
        read_lpips(tmp_path / "b.pth")
    (tmp_path / "c.pth").write_bytes(b"nothing")
    with pytest.raises(InputError, match="expected the state dict"):
        read_lpips(tmp_path / "c.pth")
    with pytest.raises(InputError, match="expected the state dict"):
        read_lpips(tmp_path / "absent.pth")


def test_shapes_are_checked(weights: dict[str, torch.Tensor]) -> None:
    for a, b in ((picture(48), picture(40)), (picture(20), picture(20)), (picture()[..., :1], picture()[..., :1])):
        with pytest.raises(UsageError, match="lpips: expected two images"):
            lpips(a, b, weights)
