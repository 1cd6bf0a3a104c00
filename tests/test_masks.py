"""The sheet of masks: what is drawn of which signal, without ever evaluating a whole volume."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import inrcodec
from inrcodec.container import Container, dump, load
from inrcodec.decoder import Inr
from inrcodec.weights import read_network
from tests.test_decoder import file_bytes
from tests.test_streaming import volume_file

pytest.importorskip("PIL")
from tools.masks import layers, main, picture, slices


def test_rows_are_bands_and_groups() -> None:
    inr = inrcodec.open(file_bytes())
    _, config = read_network(inr.head)
    rows = list(layers(config))
    assert [len(labels) for _, labels, _ in rows] == [config.bands, config.groups, config.groups]
    assert [first for *_, first in rows] == [0, 3, 7] and rows[0][1] == ["band 1: 4 to 6", "band 2: 7 to 9", "band 3: 10 to 12"]
    masks = inr.modulation()
    assert masks is not None and masks.shape[-1] == rows[-1][2] + len(rows[-1][1])


def test_volumes_are_drawn_by_slices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    container = load(volume_file())
    head = {**container.head, "axes": [{**axis, "n": 5000} for axis in container.head["axes"]]}
    (tmp_path / "v.inr").write_bytes(dump(Container(head, container.data)))
    evaluated = []
    modulation = Inr.modulation

    def noted(self: Inr, *axes: Any, **options: Any) -> Any:
        result = modulation(self, *axes, **options)
        evaluated.append(result.shape[:-1])
        return result

    monkeypatch.setattr(Inr, "modulation", noted)
    assert main([str(tmp_path / "v.inr"), "-o", str(tmp_path / "m.png")]) == 0
    assert evaluated == [(1, 256, 256), (256, 1, 256), (256, 256, 1)]
    from PIL import Image

    assert np.asarray(Image.open(tmp_path / "m.png").convert("L")).std() > 10


def test_vectors_give_the_masks_of_the_grid() -> None:
    inr = inrcodec.open(file_bytes())
    ((name, axes, held),) = slices(inr)
    assert name == "" and not any(held)
    np.testing.assert_array_equal(inr.modulation(*axes), inr.modulation())


def test_a_network_without_masks_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "s.inr").write_bytes(
        (Path(__file__).resolve().parents[1] / "conformance" / "valid" / "1" / "siren.1-rgb" / "input.inr").read_bytes()
    )
    assert main([str(tmp_path / "s.inr"), "-o", str(tmp_path / "m.png")]) == 2
    assert "expected a network with masks, got siren.1" in capsys.readouterr().err and not (tmp_path / "m.png").exists()


def test_a_strip_for_one_axis() -> None:
    assert picture(np.linspace(0, 1, 7)).size == (7, 32) and picture(np.zeros((3, 5))).size == (5, 3)
