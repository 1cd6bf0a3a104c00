"""The networks that others are compared with: presets, the whole way through a file, SAPE's progress, WIRE's pairs, ablations."""

from functools import partial

import numpy as np
import pytest
import torch

import inrcodec
from inrcodec.backends.numpy import NumpyOps
from inrcodec.codec import verify
from inrcodec.coordinates import Lattice, Points, sample_centres
from inrcodec.errors import UsageError
from inrcodec.fit.comparison_presets import COMPARED, ablated, comparison_config, trainable
from inrcodec.fit.presets import make_plan
from inrcodec.fit.progress import STAGES, is_due
from inrcodec.fit.request import Request
from inrcodec.networks import NETWORKS
from inrcodec.networks.ffn import FfnConfig, normal_frequencies
from inrcodec.networks.sape import FIRST, PROGRESS
from inrcodec.networks.sasnet import SasnetConfig
from inrcodec.networks.sasnet_ablation import SasnetAblationConfig
from inrcodec.networks.wire import WireConfig
from tests.nets import compared_networks, lively_params, name_of, small_sasnet, smooth_picture

ARCHS = [name for name in NETWORKS if name not in ("siren.1", "msa.1", "sasnet.1", "sasnet.2")]
TINY = {"steps": 30, "hidden_features": 16, "hidden_layers": 1}
GRIDS = ("ngp.1", "rbf.1", "msa-masked.1", "sasnet-ablation.1")


def tiny(arch: str) -> dict[str, int]:
    return {
        **TINY,
        **({"levels": 2, "finest": 8} if arch in GRIDS else {}),
        **({"hidden_layers": 2} if arch == "sasnet-ablation.1" else {}),
    }


@pytest.mark.parametrize("arch", ARCHS)
def test_every_network_goes_through_a_file(arch: str) -> None:
    settings = tiny(arch)
    picture = (smooth_picture(12, 16) * 255).round().astype(np.uint8)
    found = inrcodec.encode(picture, arch=arch, settings=settings, deterministic=True, device="cpu")
    assert found.report.arch == arch
    numpy, torch_ = (inrcodec.open(found.data, backend=name, device="cpu") for name in ("numpy", "torch"))
    assert numpy.shape == (12, 16, 3)
    a, b = numpy.decode(scale=2, dtype=np.float64), torch_.decode(scale=2, dtype=np.float64)
    assert np.abs(a - b).max() <= 2e-5 and np.sqrt(np.mean((a - b) ** 2)) <= 2e-6
    assert verify(numpy, source=picture)["psnr"] == pytest.approx(found.report.psnr, abs=0.02)


@pytest.mark.parametrize("arch", COMPARED)
def test_presets_have_equal_parameters(arch: str) -> None:
    for shape, channels in (((512, 512), 3), ((40, 30, 20), 1)):
        config = comparison_config(arch, shape=shape, channels=channels, parameters=100_000)
        assert trainable(arch, config) == pytest.approx(100_000, rel=0.06)


def test_sasnet_at_another_size_has_the_proportions_of_its_paper() -> None:
    make = partial(comparison_config, "sasnet.1", channels=3, layers=2, omega=43.0)
    paper = make(shape=(512, 512), parameters=128_865)
    sizes = (paper.hidden_features, paper.frequencies, paper.mask_features, max(level.entries for level in paper.levels))
    assert sizes == (232, 256, 48, 1024) and (paper.low, paper.band, paper.bands, paper.groups) == (12, 60, 4, 8)

    def share(config: SasnetConfig) -> float:
        own = [param.size for param in NETWORKS["sasnet.1"].params(config) if param.name.startswith(("grid", "mask"))]
        return sum(own) / trainable("sasnet.1", config)

    assert share(paper) == pytest.approx(0.126, abs=5e-4)
    for side, parameters in ((128, 8_054), (256, 32_000), (512, 500_000)):
        assert 0.09 < share(make(shape=(side, side), parameters=parameters)) < 0.2
    assert make(shape=(128, 128), parameters=8_054).band == 15


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("shape", [(5000,), (30, 20), (9, 8, 7), (3, 4, 5, 6)])
def test_plans_of_every_dimension(arch: str, shape: tuple[int, ...]) -> None:
    plan = make_plan(Request(shape=shape, channels=2, kind="field", arch=arch, settings={}))
    assert plan.network.id == arch and plan.config.in_features == len(shape)


def test_grid_settings_of_a_network_for_comparison() -> None:
    request = Request(shape=(64, 64), channels=1, arch="ngp.1", settings={"levels": 3, "coarsest": 4, "finest": 9})
    assert [level.resolution for level in make_plan(request).config.levels] == [4, 6, 9]
    with pytest.raises(UsageError, match="grid: expected"):
        make_plan(Request(shape=(64, 64), channels=1, arch="ngp.1", settings={"coarsest": 9, "finest": 4}))


@pytest.mark.parametrize("case", compared_networks(), ids=name_of)
def test_smoothness_of_the_precision(case: tuple) -> None:
    """Evaluated in float32 and float64, the networks agree: what is rounded between steep layers does not show."""
    network, config = case
    params = lively_params(network, config)
    coords = Lattice(tuple(sample_centres(5) for _ in range(config.in_features)))
    exact = network.forward(NumpyOps(np.float64), config, {name: value.astype(np.float64) for name, value in params.items()}, coords)
    found = network.forward(NumpyOps(), config, params, coords)
    assert found.dtype == np.float32
    span = exact.max() - exact.min()
    assert np.abs(found - exact).max() <= 2e-5 * span


def test_wire_is_the_network_of_complex_numbers() -> None:
    config = WireConfig(2, 1, 6, 1, 12.0, 9.0, 5.0)
    p = {name: value.astype(np.float64) for name, value in NETWORKS["wire.1"].init(config, np.random.default_rng(0)).items()}
    x = np.random.default_rng(1).uniform(-1, 1, (7, 2))
    z = x @ p["first.weight"].T + p["first.bias"]
    a = np.exp(12j * z - np.abs(5 * z) ** 2)
    w, b = p["hidden.0.weight"], p["hidden.0.bias"]
    z = a @ (w[:6] + 1j * w[6:]).T + b[:6] + 1j * b[6:]
    a = np.exp(9j * z - np.abs(5 * z) ** 2)
    out = p["out.weight"]
    expected = (a @ (out[:, :6] - 1j * out[:, 6:]).T).real + p["out.bias"]
    found = NETWORKS["wire.1"].forward(NumpyOps(np.float64), config, p, Points(x))
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_random_frequencies_are_distinct_and_normal() -> None:
    config = FfnConfig(2, 3, 8, 1, 256, 8.0, 120)
    k = normal_frequencies(config, np.random.default_rng(0))
    assert len({tuple(row) for row in k.tolist()}) == 256 and np.abs(k).max() <= 120
    assert k.std() == pytest.approx(40, rel=0.15)
    assert (np.diff(np.abs(k).max(axis=1)) >= 0).all()
    with pytest.raises(ValueError, match="holds 4, expected at least 5"):
        normal_frequencies(FfnConfig(1, 1, 8, 1, 5, 8.0, 4), np.random.default_rng(0))


def test_sape_lets_features_in_where_the_error_is() -> None:
    """A picture that is flat but for one corner: the progress is larger there."""
    picture = np.zeros((24, 24, 1), np.float32)
    picture[:12, :12] = np.random.default_rng(0).random((12, 12, 1), dtype=np.float32)
    settings = {"steps": 120, "hidden_features": 16, "frequencies": 20, "stride": 1}
    data = inrcodec.encode((picture * 255).astype(np.uint8), arch="sape.1", settings=settings, deterministic=True, device="cpu").data
    table = inrcodec.open(data).params[PROGRESS]
    side = round(len(table) ** 0.5)
    grid = table.reshape(side, side)
    inner, flat = grid[: side // 2, : side // 2].mean(), grid[side // 2 + 1 :, side // 2 + 1 :].mean()
    assert inner > flat + 0.1 and inner > FIRST + 0.1


def test_progress_has_its_stages_before_the_rate() -> None:
    plan = make_plan(Request(shape=(32, 32), channels=1, arch="sape.1", settings={"steps": 400, "rate_from": 0.5}))
    due = [step for step in range(400) if is_due(plan, step)]
    assert len(due) == STAGES and max(due) <= 200
    other = make_plan(Request(shape=(32, 32), channels=1, arch="ffn.1", settings={"steps": 400}))
    assert not any(is_due(other, step) for step in range(400))


def test_ablation_with_everything_is_sasnet() -> None:
    whole = small_sasnet()
    config = ablated(whole, frozen=1, masked=(1, 1, 1))
    params = lively_params(NETWORKS["sasnet.1"], whole)
    points = Points(np.random.default_rng(0).uniform(-1, 1, (9, 2)))
    assert [p.name for p in NETWORKS["sasnet-ablation.1"].params(config)] == [p.name for p in NETWORKS["sasnet.1"].params(whole)]
    expected = NETWORKS["sasnet.1"].forward(NumpyOps(), whole, params, points)
    np.testing.assert_array_equal(NETWORKS["sasnet-ablation.1"].forward(NumpyOps(), config, params, points), expected)


@pytest.mark.parametrize(("masked", "count"), [((1, 0, 0), 3), ((0, 1, 0), 4), ((0, 0, 1), 4), ((1, 1, 0), 7)])
def test_masks_of_chosen_layers(masked: tuple[int, ...], count: int) -> None:
    config = ablated(small_sasnet(), frozen=1, masked=masked)
    network = NETWORKS["sasnet-ablation.1"]
    params = lively_params(network, config)
    assert config.masks == count == len(params["mask.1.bias"])
    points = Points(np.random.default_rng(0).uniform(-1, 1, (9, 2)))
    before = network.forward(NumpyOps(), config, params, points)
    for k in range(count):
        changed = {**params, "mask.1.bias": params["mask.1.bias"] + 3 * np.eye(count, dtype=np.float32)[k]}
        assert np.abs(network.forward(NumpyOps(), config, changed, points) - before).max() > 1e-5


def test_masked_layers_are_a_setting() -> None:
    def plan(**settings: int | str) -> SasnetAblationConfig:
        found = make_plan(Request(shape=(32, 32), channels=1, arch="sasnet-ablation.1", settings={"hidden_layers": 2, **settings}))
        assert isinstance(found.config, SasnetAblationConfig)
        return found.config

    assert plan().masked == (1, 1, 1) and plan(masked=10, frozen=1).masked == (0, 1, 0)
    assert plan(masked="101").frozen == 0
    for wrong in ("2", "0", "1111", "x"):
        with pytest.raises(UsageError, match="masked"):
            plan(masked=wrong)


@pytest.mark.parametrize(("change", "message"), [((2, (1, 1, 1)), "frozen"), ((1, (1, 1)), "masked"), ((1, (0, 0, 0)), "masked")])
def test_impossible_ablations(change: tuple, message: str) -> None:
    values = [getattr(small_sasnet(), name) for name in type(small_sasnet()).__dataclass_fields__]
    with pytest.raises(ValueError, match=message):
        SasnetAblationConfig(*values, *change)


def test_new_operations_are_followed_by_autograd() -> None:
    """Second derivatives too, which equations need."""
    from inrcodec.backends.torch import TorchOps

    ops = TorchOps(torch.device("cpu"))
    w, b = torch.full((1, 1), 0.7), torch.zeros(1)
    x = torch.tensor([[0.3]], dtype=torch.float64, requires_grad=True)
    y = ops.activated(Points(x), w, b, wave="gaussian", constants=(2.0,))  # type: ignore[arg-type]
    first = torch.autograd.grad(y.sum(), x, create_graph=True)[0]
    second = torch.autograd.grad(first.sum(), x)[0]
    a = 1.4 * 0.3
    assert float(second.item()) == pytest.approx((4 * a**2 - 2) * 1.4**2 * np.exp(-(a**2)), rel=1e-5)
