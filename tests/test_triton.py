"""The Triton kernels beside the plain layers, by Triton's interpreter on the CPU, and compiled for a GPU that need not be there.

Triton reads its mode when it is imported, so each runs in a process of its own.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from inrcodec.backends import torch as torch_backend
from inrcodec.backends import torch_layers
from inrcodec.backends.torch import DEVICE_PIECE, layers_of, piece_of
from tests.test_backends import assert_class_f32
from tests.triton_cases import CASES

GRADIENT = 5e-6  # of the largest

needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")


def run(module: str, *arguments: str, **variables: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TRITON_")}
    command = [sys.executable, "-W", "error", "-m", module, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env={**kept, **variables}, cwd=Path(__file__).parents[1])
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def interpreted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    path = tmp_path_factory.mktemp("triton") / "results.npz"
    run("tests.triton_cases", str(path), TRITON_INTERPRET="1")
    with np.load(path) as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads(run("tests.triton_compiled", TRITON_CACHE_DIR=str(tmp_path_factory.mktemp("cache"))))
    return found


def assert_same(name: str, found: np.ndarray, expected: np.ndarray) -> None:
    """Class F32; a gradient within GRADIENT of its largest value."""
    assert found.shape == expected.shape
    if not found.size:
        return
    if not name.startswith("grad"):
        assert_class_f32(found, expected)
        return
    assert np.isfinite(found).all()
    assert np.abs(found.astype(np.float64) - expected).max() <= GRADIENT * np.abs(expected).max()


@needs_triton
@pytest.mark.parametrize("case", CASES)
def test_kernels_give_what_the_plain_layers_give(case: str, interpreted: dict[str, np.ndarray]) -> None:
    names = {key.split("/")[1] for key in interpreted if key.split("/")[0] == case}
    assert "out" in names
    assert sum(interpreted[f"{case}/{name}/expected"].size for name in names) > 0
    for name in names:
        assert_same(name, interpreted[f"{case}/{name}/found"], interpreted[f"{case}/{name}/expected"])


@needs_triton
def test_a_wrong_kernel_is_seen(interpreted: dict[str, np.ndarray]) -> None:
    for case in ("wrong", "swapped"):
        with pytest.raises(AssertionError):
            assert_same("out", interpreted[f"{case}/out/found"], interpreted[f"{case}/out/expected"])


def test_the_comparison_sees_one_wrong_value() -> None:
    expected = np.linspace(-1, 1, 1000, dtype=np.float32)
    for name in ("out", "grad_w"):
        assert_same(name, expected.copy(), expected)
        for changed in (expected[5] + np.float32(1e-4), np.float32(np.nan)):
            found = expected.copy()
            found[5] = changed
            with pytest.raises(AssertionError):
                assert_same(name, found, expected)
        with pytest.raises(AssertionError):
            assert_same(name, expected[1:], expected)


@needs_triton
def test_kernels_compile_without_a_gpu(compiled: dict[str, dict[str, Any]]) -> None:
    names = {"_points", "_points_backward", "_lattice", "_lattice_backward", "_features", "_features_backward"}
    layer = {f"{name} {precision}" for name in ("_forward", "_backward") for precision in ("ieee", "tf32")}
    assert set(compiled) == names | layer
    for name, facts in compiled.items():
        assert facts["bytes"] > 0
        assert facts["float32 products"]
        assert not facts["approximate sine"]
        assert facts["atomics"] == (name == "_features_backward")


@needs_triton
def test_tf32_is_used_where_it_is_asked_for_only(compiled: dict[str, dict[str, Any]]) -> None:
    assert [name for name, facts in compiled.items() if facts["tf32"]] == ["_forward tf32"]


def test_without_triton_a_gpu_has_the_plain_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(sys.modules):
        if name.startswith(("inrcodec.backends.torch_triton", "inrcodec.backends.triton_")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "triton", None)
    torch_backend._layers_for.cache_clear()
    try:
        assert layers_of(torch.device("cuda")) is torch_layers
        assert layers_of(torch.device("meta")) is torch_layers
    finally:
        monkeypatch.undo()
        torch_backend._layers_for.cache_clear()


def layers_with(monkeypatch: pytest.MonkeyPatch, working_layers: Any) -> Any:
    """What a GPU is given where `working_layers` says what works."""
    module = SimpleNamespace(working_layers=working_layers)
    monkeypatch.setitem(sys.modules, "inrcodec.backends.torch_triton", module)
    torch_backend._layers_for.cache_clear()
    try:
        return layers_of(torch.device("cuda:1"))
    finally:
        monkeypatch.undo()
        torch_backend._layers_for.cache_clear()


def test_a_gpu_has_the_kernels_that_work(monkeypatch: pytest.MonkeyPatch) -> None:
    assert layers_with(monkeypatch, lambda device: f"kernels of {device}") == "kernels of cuda"
    assert layers_with(monkeypatch, lambda _: None) is torch_layers


@needs_triton
@pytest.mark.skipif(torch.cuda.is_available(), reason="kernels run")
def test_kernels_that_do_not_run_are_told_of() -> None:
    code = "import torch\nfrom inrcodec.backends.torch import layers_of\nprint(layers_of(torch.device('cuda')).__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "inrcodec.backends.torch_layers"
    assert "RuntimeWarning: device cuda: Triton is installed but does not run, the plain layers are used" in done.stderr


def test_a_gpu_takes_larger_pieces() -> None:
    assert piece_of(torch.device("cpu"), 10) == 10
    assert piece_of(torch.device("cuda:1"), 10) == DEVICE_PIECE > 10
