"""The demo and its contact sheet."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.nets import smooth_picture
from tools.demo import busiest_square, main, mask_names
from tools.sheet import MARGIN, Row, Tile, compose, fit, shorten


def test_the_demo_writes_its_four_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = (smooth_picture(20, 26) * 255 + 0.5).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "phöto.png")
    assert main([str(tmp_path / "phöto.png"), "--effort", "1", "--out", str(tmp_path / "a/b")]) == 0
    out = capsys.readouterr().out
    assert "PSNR" in out and "bits per pixel" in out and str(tmp_path / "a/b/phöto_sheet.png") in out
    assert {p.name for p in (tmp_path / "a/b").iterdir()} == {"phöto.inr", "phöto.png", "phöto_x16.png", "phöto_sheet.png"}
    with Image.open(tmp_path / "a/b/phöto_x16.png") as image:
        assert image.size == (26 * 16, 20 * 16)
    with Image.open(tmp_path / "a/b/phöto_sheet.png") as image:
        assert image.width == 1620 and np.asarray(image).std() > 20


def test_errors_are_one_line_with_the_documented_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "missing.png"), "--out", str(tmp_path / "out")]) == 3
    assert capsys.readouterr().err.startswith("error: ") and not (tmp_path / "out").exists()


def test_the_crop_is_where_the_detail_is() -> None:
    grey = np.zeros((200, 300))
    grey[120:140:2, 70:90] = 255
    (y0, y1), (x0, x1) = busiest_square(grey, 32)
    assert y0 <= 120 and y1 >= 139 and x0 <= 70 and x1 >= 90 and (y1 - y0, x1 - x0) == (32, 32)
    assert busiest_square(np.zeros((1, 5)), 32) == ((0, 1), (0, 5))


def test_masks_are_named_after_what_they_mask() -> None:
    network = {"bands": 1, "groups": 2, "hidden_layers": 1}
    assert mask_names(network, 3) == ["band 1", "layer 1 group 1", "layer 1 group 2"]
    assert mask_names(network, 2) == ["mask 1", "mask 2"]


def test_sheets_hold_every_picture_inside_their_margins() -> None:
    red = Image.new("RGB", (40, 30), "red")
    sheet = np.asarray(compose("t" * 400, [Row("heading", [Tile("a caption " * 40, red)] * 7, 3)], ["foot " * 200], width=600))
    inside = sheet[MARGIN : -MARGIN // 2, MARGIN - 1 : -MARGIN + 1]
    outside = sheet[:, : MARGIN - 1], sheet[:, -MARGIN + 1 :]
    assert all((part == sheet[0, 0]).all() for part in outside)
    enlarged = fit(red, (600 - 2 * MARGIN - 2 * 18) // 3)
    assert (inside == (255, 0, 0)).all(axis=-1).sum() == 7 * enlarged.width * enlarged.height
    assert enlarged.size == (160, 120) and fit(Image.new("L", (2000, 3)), 100).size == (100, 1)
    assert fit(Image.new("L", (10, 4000)), 100).height == 150


def test_long_text_is_cut() -> None:
    assert shorten("short", 20, 400) == "short"
    assert shorten("long " * 100, 20, 400).endswith("…")
