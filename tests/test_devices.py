"""What runs on a GPU, without one: on PyTorch's device of shapes alone, where nothing may come from another device or be read back."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from inrcodec.backends import torch as torch_backend
from inrcodec.backends import torch_layers
from inrcodec.backends.torch import PRECISIONS, TorchOps, layers_in, layers_of, piece_of
from inrcodec.coordinates import lattice
from inrcodec.errors import BackendMissing, InrError, UsageError
from inrcodec.fit.data import training_data
from inrcodec.fit.gradients import _part_gradients, make_lanes
from inrcodec.fit.points import point_parts
from inrcodec.fit.quantized import bound_scales, flat_layout, initial_scales, quantize_flat, rate
from inrcodec.networks import sasnet
from inrcodec.networks.base import Network
from tests.nets import lively_params, name_of, small_networks, small_sasnet, smooth_picture

META = torch.device("meta")
FAKE = FakeTensorMode(
    allow_non_fake_inputs=True
)  # one, since constants are kept per device; every operation on tensors of two devices is an error in it


class OnDevice:
    """A tensor whose values must be asked for."""

    is_cuda = True

    def __init__(self, values: np.ndarray) -> None:
        self.values, self.reads = values, 0

    def cpu(self) -> np.ndarray:
        self.reads += 1
        return self.values


@pytest.fixture
def strict_device(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Shapes alone, the bands of embeddings as if they had been read from the device."""

    def widths(cfg: Any, frequency: torch.Tensor) -> tuple[int, ...]:
        assert frequency.device == META
        return (1,) * cfg.bands

    monkeypatch.setattr(sasnet, "embedding_widths", widths)
    with FAKE:
        yield


def test_bands_are_read_from_a_device_once_per_tensor() -> None:
    config = small_sasnet()
    drawn = [sasnet.draw_frequencies(config, np.random.default_rng(seed)).astype(np.float32) for seed in (0, 1)]
    tensors = [OnDevice(values) for values in drawn]
    for _ in range(3):
        for tensor, values in zip(tensors, drawn, strict=True):
            assert sasnet.embedding_widths(config, tensor) == sasnet.band_widths(config, values)
    assert [tensor.reads for tensor in tensors] == [1, 1]


@pytest.mark.usefixtures("strict_device")
@pytest.mark.parametrize("case", small_networks(), ids=name_of)
def test_a_pass_stays_on_its_device(case: tuple[Network, Any]) -> None:
    network, config = case
    d, c = config.in_features, config.out_features
    layout, initial = flat_layout(network.params(config), META), lively_params(network, config)
    values, frozen = torch.empty(layout.size, device=META), {p.name: initial[p.name] for p in network.params(config) if not p.trainable}
    (lane,) = make_lanes(layout, values, torch.zeros_like(values), frozen, META, 1)
    assert lane.ops.layers is TorchOps(META).layers
    data = training_data(np.ones((6,) * d + (c,), np.float32), np.ones((6,) * d + (c,), np.float32), [(-1, 1)] * d, stride=2, device=META)
    batch = data.batch((0,) * d)
    scattered = point_parts(lattice((3,) * d, [(-1, 1)] * d).points().values, 1, META)
    for part in (*batch.parts, *scattered):
        error = _part_gradients(lane, network, config, batch, part, scale=0.5, mask_sparsity=0.1 if hasattr(config, "masks") else 0.0)
        assert isinstance(error, torch.Tensor) and error.device == META
    with torch.inference_mode():
        found = network.forward(lane.ops, config, lane.params[0], lattice((3,) * d, [(-1, 1)] * d))
    assert found.device == META and found.shape == (c, 3**d)


@pytest.mark.usefixtures("strict_device")
def test_steps_and_rate_stay_on_their_device() -> None:
    network, config = small_networks()[0]
    layout = flat_layout(network.params(config), META)
    values = torch.empty(layout.size, device=META)
    log_step, log_scale = initial_scales(layout, values, table_step=0.3, matrix_step=0.05)
    assert quantize_flat(layout, values, torch.exp(log_step), None).device == META
    assert rate(layout, values, log_step, log_scale).bits.device == META
    bound_scales(layout, values, log_step, log_scale, steps_fixed=False)


@pytest.mark.usefixtures("strict_device")
def test_a_value_of_another_device_is_seen() -> None:
    network, config = small_networks()[3]
    params = {name: torch.tensor(value, device=META) for name, value in lively_params(network, config).items()}
    params["hidden.0.weight"] = torch.zeros(params["hidden.0.weight"].shape)
    with torch.no_grad(), pytest.raises(RuntimeError, match="same device"):
        network.forward(TorchOps(META), config, params, lattice((3, 3), [(-1, 1)] * 2))


def test_a_gpu_has_larger_passes_of_a_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = smooth_picture(64, 64)
    counts = []
    for device in (torch.device("cpu"), META):
        batch = training_data(picture, None, [(-1, 1)] * 2, stride=1, device=device).batch((0, 0))
        counts.append([len(list(part.pieces())) for part in batch.parts])
    assert counts == [[2], [1]]
    assert piece_of(META, 1) > 64 * 64


@dataclass(frozen=True)
class Kernels:
    precision: str = "ieee"


def test_precisions_are_of_kernels_on_cuda_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert layers_in(cpu, "float32") is layers_of(cpu)
    monkeypatch.setattr(torch_backend, "_layers_for", lambda _: Kernels())
    assert {name: layers_in(cuda, name).precision for name in PRECISIONS} == PRECISIONS
    monkeypatch.setattr(torch_backend, "_layers_for", lambda _: torch_layers)
    refused: list[tuple[torch.device, str, type[InrError], str]] = [
        (cpu, "tf32", UsageError, "precision: tf32 is of CUDA devices, expected float32 on cpu"),
        (cpu, "bf16", UsageError, "precision: expected one of float32, tf32x3, tf32, got bf16"),
        (cuda, "tf32x3", BackendMissing, "precision tf32x3: is of Triton's kernels"),
    ]
    for device, name, kind, message in refused:
        with pytest.raises(kind, match=message):
            layers_in(device, name)


def test_an_encode_on_a_cpu_refuses_a_precision_before_it_fits() -> None:
    from inrcodec.codec import encode

    with pytest.raises(UsageError, match="precision: tf32 is of CUDA devices"):
        encode(np.zeros((8, 8), np.uint8), device="cpu", precision="tf32")
