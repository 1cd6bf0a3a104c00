"""ONNX: the engine beside the reference, and the graphs of every profile by the checker, the reference evaluator and ONNX Runtime."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.reference import ReferenceEvaluator

import inrcodec
from inrcodec.backends import available, make_engine, onnx_grid
from inrcodec.backends.numpy import NumpyOps
from inrcodec.backends.onnx import OnnxEngine
from inrcodec.backends.onnx_device import OnnxDevice, cuda_devices, device_of, here, placed, providers_of, run_bound
from inrcodec.backends.onnx_export import ConstantParameter
from inrcodec.backends.onnx_graph import Graph
from inrcodec.backends.onnx_ops import OnnxOps
from inrcodec.backends.onnx_profile import PROFILES, LatticeOf, PointsOf
from inrcodec.cli import main
from inrcodec.coordinates import Lattice, Points, lattice
from inrcodec.errors import BackendMissing, LimitExceeded, UsageError
from inrcodec.export import OPSETS, export_onnx
from inrcodec.networks import NETWORKS
from inrcodec.networks.hashgrid import Level, geometric_levels, tcnn_levels
from inrcodec.weights import Stored
from tests.nets import lively_params, name_of, small_networks, small_sasnet
from tests.test_backends import SHAPES, assert_class_f32
from tests.test_layers import CALL, loaded_after

VALID = Path(__file__).resolve().parents[1] / "conformance" / "valid" / "1"
EVERY = [*small_networks(), (NETWORKS["sasnet.2"], small_sasnet(4, 2))]
ALL_SHAPES = {**SHAPES, 4: (3, 5, 4, 6)}
STEEP = ("gauss.1", "finer.1", "staf.1", "wire.1")  # their activations are evaluated in float64
# What ONNX Runtime's WebGPU provider has, and Shape, which all leave to the CPU.
WEB = {
    *("Add", "Cast", "Clip", "Concat", "Cos", "Equal", "Expand", "Floor", "Gather", "Gemm", "Identity", "MatMul", "Mul", "ReduceSum"),
    *("Reciprocal", "Relu", "Reshape", "Shape", "Sigmoid", "Sin", "Slice", "Sub", "Transpose", "Unsqueeze", "Where"),
}


class FixedParameter:
    """A tensor that a graph holds as it is."""

    def __init__(self, name: str, values: np.ndarray) -> None:
        self.name, self.values, self.shape = name, values, values.shape

    def load(self, graph: Graph) -> Any:
        return graph.constant(self.values, np.float32, self.name)

    def load_rows(self, graph: Graph, rows: np.ndarray) -> Any:
        return graph.constant(self.values[rows], np.float32, self.name)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self.values, dtype=dtype)


def model_of(case: tuple, params: dict[str, np.ndarray], profile: str, kind: str) -> onnx.ModelProto:
    """One graph of a network: points or axes in, (c, n) out."""
    network, config = case
    d, graph, target = config.in_features, Graph(), PROFILES[profile]
    dtype = np.float64 if target.double else np.float32
    if kind == "points":
        points = graph.input("points", dtype, ("n", d))
        coords: Any = PointsOf(tuple(points.at(k, 1) for k in range(d)))
    else:
        coords = LatticeOf(tuple(graph.input(f"axis{k}", dtype, (f"m{k}",)) for k in range(d)))
    ops = OnnxOps(target, graph, graph, ((-1.0, 1.0),) * d)
    fixed = {name: FixedParameter(name, value) for name, value in params.items()}
    graph.output(network.forward(ops, config, fixed, coords).joined(), "y", (config.out_features, "n"))
    return graph.model("test", 18)


def session(model: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def inputs(coords: Points | Lattice, dtype: Any) -> dict[str, np.ndarray]:
    if isinstance(coords, Points):
        return {"points": coords.values.astype(dtype)}
    return {f"axis{k}": axis.astype(dtype) for k, axis in enumerate(coords.axes)}


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("case", EVERY, ids=name_of)
def test_graphs_agree_with_the_reference(case: tuple, profile: str) -> None:
    network, config = case
    if network.id in STEEP and profile == "web":
        with pytest.raises(UsageError, match=r"expected cpu or gpu, since .* need float64, got web"):
            model_of(case, lively_params(network, config), profile, "points")
        return
    params = lively_params(network, config)
    coords = lattice(ALL_SHAPES[config.in_features], [(-1, 1)] * config.in_features)
    dtype = np.float64 if PROFILES[profile].double else np.float32
    rounded = Lattice(tuple(axis.astype(dtype).astype(np.float64) for axis in coords.axes))
    expected = network.forward(NumpyOps(), config, params, rounded.points())
    for kind, given in (("points", rounded.points()), ("grid", rounded)):
        model = model_of(case, params, profile, kind)
        onnx.checker.check_model(model, full_check=True)
        for run in (session(model.SerializeToString()), ReferenceEvaluator(model)):
            assert_class_f32(run.run(None, inputs(given, dtype))[0].T, expected)


def operators(model: onnx.ModelProto) -> set[str]:
    return {node.op_type for node in model.graph.node}


def types(model: onnx.ModelProto) -> set[int]:
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    return {info.type.tensor_type.elem_type for info in [*inferred.value_info, *inferred.input, *inferred.output]}


@pytest.mark.parametrize("kind", ["points", "grid"])
@pytest.mark.parametrize("case", EVERY, ids=name_of)
def test_profiles_keep_to_what_their_targets_have(case: tuple, kind: str) -> None:
    params = lively_params(*case)
    cpu, gpu = (model_of(case, params, name, kind) for name in ("cpu", "gpu"))
    web = model_of(case, params, "web", kind) if case[0].id not in STEEP else None
    hashed = any(not level.dense(case[1].in_features) for level in getattr(case[1], "levels", ()))
    assert ("BitwiseXor" in operators(cpu)) == hashed
    for model in filter(None, (gpu, web)):
        assert not operators(model) & {"BitwiseXor", "BitwiseAnd", "BitShift", "Mod", "GridSample", "ScatterElements", "Range"}
    assert onnx.TensorProto.DOUBLE in types(gpu)
    if web is None:
        return
    assert operators(web) <= WEB
    assert onnx.TensorProto.DOUBLE not in types(web)
    # Every sine of the web profile sees what was reduced just before.
    made = {name: node for node in web.graph.node for name in node.output}
    for node in web.graph.node:
        if node.op_type in ("Sin", "Cos"):
            scaled = made[node.input[0]]
            assert scaled.op_type == "Mul" and made[scaled.input[0]].op_type == "Sub"


@pytest.mark.parametrize("d", [1, 2, 3, 4])
@pytest.mark.parametrize("taps", [2, 4])
@pytest.mark.parametrize("hashed", [False, True])
def test_grids_of_every_kind(d: int, taps: int, hashed: bool) -> None:
    """Wrapping levels of tiny-cuda-nn, hashed and dense, linear and cubic ones beside each other; sparse lattices and points outside."""
    stretch = (0.8, 1.0, 0.75, 0.5)[:d]
    side = {1: 60, 2: 17, 3: 9, 4: 6}[d]
    levels = (
        *tcnn_levels(d=d, levels=2, base_resolution=4, per_level_scale=1.5, log2_entries=5 if hashed else None),
        *geometric_levels(d=d, levels=1, coarsest=side, finest=side, max_entries=64 if hashed else 1 << 20, taps=taps),
    )
    config = small_sasnet(d, 2)
    config = type(config)(**{**vars(config), "levels": levels, "stretch": stretch})
    network = NETWORKS["sasnet.2"]
    params = lively_params(network, config)
    dense = lattice({1: (40,), 2: (9, 7), 3: (4, 5, 6), 4: (3, 4, 2, 5)}[d], [(-1, 1)] * d)
    sparse = Lattice(tuple(np.array([-0.93, 0.97]) for _ in range(d)))
    evaluate = make_engine("onnx", device="cpu").compile(network, config, params)
    for coords in (dense, sparse):
        expected = network.forward(NumpyOps(), config, params, coords.points())
        assert_class_f32(evaluate(coords), expected)
        assert_class_f32(evaluate(coords.points()), expected)
    beyond = Points(np.random.default_rng(0).uniform(-3, 3, (50, d)))
    assert_class_f32(evaluate(beyond), network.forward(NumpyOps(), config, params, beyond))


@pytest.mark.parametrize("scale", [1e12, 3e38])
def test_positions_beyond_integers(scale: float) -> None:
    """What a damaged file may ask for: such features mean nothing, and are what the reference makes of them."""
    config = small_sasnet(2, 1)
    level = Level(float(np.float32(scale)), 1 << 20, 8)
    config = type(config)(**{**vars(config), "levels": (level, *config.levels[1:])})
    network = NETWORKS["sasnet.2"]
    params = lively_params(network, config)
    coords = lattice((4, 5), [(-1, 1)] * 2)
    with np.errstate(invalid="ignore", over="ignore"):
        expected = network.forward(NumpyOps(), config, params, coords.points())
        for given in (coords, coords.points()):
            assert_class_f32(make_engine("onnx", device="cpu").compile(network, config, params)(given), expected)


def test_pieces_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for case in (EVERY[0], EVERY[2], EVERY[8]):
        network, config = case
        params = lively_params(network, config)
        coords = lattice(SHAPES[config.in_features], [(-1, 1)] * config.in_features)
        engine = make_engine("onnx", device="cpu")
        whole = engine.compile(network, config, params)
        monkeypatch.setattr("inrcodec.backends.onnx.PIECE", 30)
        cut = engine.compile(network, config, params)
        monkeypatch.undo()
        for given in (coords, coords.points()):
            assert_class_f32(cut(given), whole(given))


def test_networks_of_one_configuration_share_their_graphs() -> None:
    network, config = EVERY[0]
    engine = OnnxEngine("cpu")
    coords = lattice((5, 6), [(-1, 1)] * 2)
    first, second = lively_params(network, config, 0), lively_params(network, config, 1)
    second["frequency"] = first["frequency"]
    for params in (first, second):
        found = engine.compile(network, config, params)(coords)
        assert_class_f32(found, network.forward(NumpyOps(), config, params, coords))
    assert len(engine._programs) == 1
    other = lively_params(network, config, 2)
    assert not np.array_equal(other["frequency"], first["frequency"])
    assert_class_f32(engine.compile(network, config, other)(coords), network.forward(NumpyOps(), config, other, coords))
    assert len(engine._programs) == 2


def test_a_sparse_lattice_is_evaluated_point_by_point(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lattice of 16 samples between whose vertices lie 2^40 others must not take their memory."""
    config = small_sasnet(4, 1)
    level = Level(1000.0, 1001, 256)
    config = type(config)(**{**vars(config), "levels": (level,)})
    network = NETWORKS["sasnet.1"]
    params = lively_params(network, config)
    coords = Lattice(tuple(np.array([-0.9, 0.9]) for _ in range(4)))
    found = make_engine("onnx", device="cpu").compile(network, config, params)(coords)
    assert_class_f32(found, network.forward(NumpyOps(), config, params, coords.points()))


@pytest.mark.parametrize(
    "name", ["sasnet.1-hashed", "sasnet.2-cubic", "msa.1-rgb", "volume-missing", "shape-sdf", "small-four", "sape.1-rgb", "rbf.1-rgb"]
)
@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("opset", [OPSETS[0], OPSETS[-1]])
def test_exported_models_give_the_numbers_of_the_file(name: str, profile: str, opset: int) -> None:
    path = VALID / name / "input.inr"
    inr = inrcodec.open(path, backend="numpy")
    rng = np.random.default_rng(0)
    dtype = np.float32 if profile == "web" else np.float64
    lo, hi = np.array(inr.bounds).T
    points = (lo + (hi - lo) * rng.random((40, len(lo)))).astype(dtype)
    axes = [np.sort(lo[k] + (hi[k] - lo[k]) * rng.random(4 + k)).astype(dtype) for k in range(len(lo))]
    inr._missing = np.zeros(inr.grid_shape, dtype=bool)  # a model knows of none
    cases = ((False, {"points": points}, inr.at(points)), (True, {f"axis{k}": a for k, a in enumerate(axes)}, inr.on(*axes)))
    for grid, given, expected in cases:
        data = export_onnx(path, profile=profile, opset=opset, grid=grid)
        model = onnx.load_model_from_string(data)
        onnx.checker.check_model(model, full_check=True)
        assert model.opset_import[0].version == opset
        assert_class_f32(session(data).run(None, given)[0], expected)
        assert_class_f32(ReferenceEvaluator(model).run(None, given)[0], expected)


@pytest.mark.parametrize("name", ["wire.1-rgb", "staf.1-rgb"])
def test_steep_activations_are_exported_in_float64(name: str) -> None:
    path = VALID / name / "input.inr"
    points = np.random.default_rng(0).uniform(-1, 1, (40, 2))
    expected = inrcodec.open(path, backend="numpy").at(points)
    for profile in ("cpu", "gpu"):
        data = export_onnx(path, profile=profile)
        onnx.checker.check_model(onnx.load_model_from_string(data), full_check=True)
        assert_class_f32(session(data).run(None, {"points": points})[0], expected)
    with pytest.raises(UsageError, match="need float64, got web"):
        export_onnx(path, profile="web")


def test_weights_are_as_small_as_they_can_be() -> None:
    path = VALID / "sasnet.1-hashed" / "input.inr"
    inr = inrcodec.open(path, backend="numpy")
    held = {t.name: t for t in onnx.load_model_from_string(export_onnx(path)).graph.initializer}
    assert held["hidden.0.weight"].data_type in (onnx.TensorProto.INT8, onnx.TensorProto.INT16)
    total = sum(value.size for value in inr.params.values())
    assert len(export_onnx(path)) < 2 * total + 16_000
    assert {held[name].data_type for name in inr.params if name in held} <= {onnx.TensorProto.INT8, onnx.TensorProto.INT16}


def plain_file() -> bytes:
    """A file of float32 tensors."""
    return (VALID / "small-siren" / "input.inr").read_bytes()


def test_float16_is_storage_alone() -> None:
    data = plain_file()
    inr = inrcodec.open(data, backend="numpy")
    points = np.random.default_rng(0).uniform(-1, 1, (30, len(inr.grid_shape)))
    models = {half: onnx.load_model_from_string(export_onnx(data, fp16=half)) for half in (False, True)}
    kinds = {half: {t.data_type for t in model.graph.initializer} for half, model in models.items()}
    assert onnx.TensorProto.FLOAT16 not in kinds[False] and onnx.TensorProto.FLOAT16 in kinds[True]
    made = {name: node.op_type for node in models[True].graph.node for name in node.input}
    stored = [t.name for t in models[True].graph.initializer if t.data_type == onnx.TensorProto.FLOAT16]
    assert stored and {made[name] for name in stored} == {"Cast"}
    plain, half = (session(models[h].SerializeToString()).run(None, {"points": points})[0] for h in (False, True))
    assert_class_f32(plain, inr.at(points))
    assert_class_f32(half, plain)  # the values of this file have few bits


def test_numbers_too_large_for_float16_stay() -> None:
    values = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    for factor, kind in ((1.0, np.float16), (1e6, np.float32)):
        graph = Graph()
        loaded = ConstantParameter("w", Stored(values * np.float32(factor)), half=True).load(graph)
        graph.output(loaded, "y", (5, 3))
        model = graph.model("test", 18)
        (held,) = model.graph.initializer
        assert onnx.numpy_helper.to_array(held).dtype == kind
        expected = (values * np.float32(factor)).astype(kind).astype(np.float32)
        np.testing.assert_array_equal(session(model.SerializeToString()).run(None, {})[0], expected)


def test_metadata_names_what_goes_in_and_comes_out() -> None:
    model = onnx.load_model_from_string(export_onnx(VALID / "volume-missing" / "input.inr", grid=True))
    inr = inrcodec.open(VALID / "volume-missing" / "input.inr")
    held = {prop.key: prop.value for prop in model.metadata_props}
    assert held["inrcodec.inputs"] == "grid" and held["inrcodec.profile"] == "cpu" and held["inrcodec.kind"] == "volume"
    assert [axis["name"] for axis in json.loads(held["inrcodec.axes"])] == [axis.name for axis in inr.axes]
    assert json.loads(held["inrcodec.axes"])[0] == {
        "name": inr.axes[0].name,
        "n": inr.axes[0].n,
        "lo": inr.axes[0].lo,
        "hi": inr.axes[0].hi,
    }
    channel = json.loads(held["inrcodec.channels"])[0]
    assert (channel["low"], channel["high"]) == (inr.channels[0].low, inr.channels[0].high)
    assert "(i + 0.5) / n" in held["inrcodec.coordinates"]
    assert held["inrcodec.left_out"] == "missing samples"
    shape = onnx.load_model_from_string(export_onnx(VALID / "shape-sdf" / "input.inr"))
    held, space = {prop.key: prop.value for prop in shape.metadata_props}, inrcodec.open(VALID / "shape-sdf" / "input.inr").space
    assert space is not None and space.affine is not None and held["inrcodec.units"] == space.units
    assert json.loads(held["inrcodec.spacing"]) == list(space.spacing) and json.loads(held["inrcodec.affine"]) == list(space.affine)
    assert "inrcodec.left_out" not in held and held["inrcodec.inputs"] == "points"
    residual = onnx.load_model_from_string(export_onnx(VALID / "residual-lossless" / "input.inr"))
    assert {p.key: p.value for p in residual.metadata_props}["inrcodec.left_out"] == "residual"


def test_what_cannot_be_exported_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = plain_file()
    with pytest.raises(UsageError, match="profile: expected cpu, gpu, web, got npu"):
        export_onnx(data, profile="npu")
    with pytest.raises(UsageError, match="opset: expected 18..22, got 17"):
        export_onnx(data, opset=17)
    with pytest.raises(UsageError, match="one of windows"):
        export_onnx(VALID / "small-windows" / "input.inr")
    monkeypatch.setattr(onnx_grid, "MAX_EXPANDED", 100)
    with pytest.raises(LimitExceeded, match="without hashing, got .*; use profile cpu"):
        export_onnx(VALID / "sasnet.1-hashed" / "input.inr", profile="gpu")
    export_onnx(VALID / "sasnet.1-hashed" / "input.inr", profile="cpu")


def test_devices() -> None:
    assert here("cpu") == OnnxDevice("cpu")
    for name in ("toaster", "cuda:x", "cuda:", "cpu:1", "auto:0", "tensorrt:one"):
        with pytest.raises(UsageError, match="device: expected auto, cpu, cuda"):
            here(name)
    missing = f"cuda:{len(cuda_devices())}"
    with pytest.raises(BackendMissing, match="no such CUDA device"):
        make_engine("onnx", device=missing)


PLAIN, GPU = ("CPUExecutionProvider",), ("CUDAExecutionProvider", "CPUExecutionProvider")
RTX = ("NvTensorRtRtxExecutionProvider", *GPU)
CUDA_1 = ("CUDAExecutionProvider", {"device_id": 1, "use_tf32": 0})


@pytest.mark.parametrize(
    ("name", "available", "devices", "expected"),
    [
        ("auto", PLAIN, 0, ["CPUExecutionProvider"]),
        ("auto", GPU, 0, ["CPUExecutionProvider"]),
        ("auto", GPU, 2, [("CUDAExecutionProvider", {"device_id": 0, "use_tf32": 0}), "CPUExecutionProvider"]),
        ("cpu", RTX, 2, ["CPUExecutionProvider"]),
        ("cuda:1", GPU, 2, [CUDA_1, "CPUExecutionProvider"]),
        ("cuda:1", RTX, 2, [CUDA_1, "CPUExecutionProvider"]),
        ("tensorrt:1", RTX, 2, [("NvTensorRtRtxExecutionProvider", {"device_id": 1}), CUDA_1, "CPUExecutionProvider"]),
        ("tensorrt", (*RTX[:1], *PLAIN), 0, [("NvTensorRtRtxExecutionProvider", {"device_id": 0}), "CPUExecutionProvider"]),
        ("tensorrt:1", ("TensorrtExecutionProvider", *GPU), 2, [("TensorrtExecutionProvider", {"device_id": 1}), CUDA_1, PLAIN[0]]),
        ("cuda", PLAIN, 0, "no such CUDA device for ONNX Runtime; 0 are there, onnxruntime-gpu"),
        ("cuda:2", GPU, 2, "no such CUDA device for ONNX Runtime; 2 are there"),
        (
            "tensorrt",
            GPU,
            1,
            "has none of NvTensorRTRTXExecutionProvider, TensorrtExecutionProvider; TensorRT RTX is in onnxruntime-trt-rtx",
        ),
    ],
)
def test_providers(name: str, available: tuple[str, ...], devices: int, expected: Any) -> None:
    if isinstance(expected, str):
        with pytest.raises(BackendMissing, match=f"device {name}: .*{expected}"):
            device_of(name, available=available, devices=devices)
        return
    assert providers_of(device_of(name, available=available, devices=devices), available) == expected


def test_tensorrt_is_of_onnx_runtime() -> None:
    assert "NvTensorRTRTXExecutionProvider" not in onnxruntime.get_available_providers()
    with pytest.raises(BackendMissing, match="device tensorrt: ONNX Runtime has none of"):
        make_engine("auto", device="tensorrt")


@pytest.mark.parametrize("case", [EVERY[0], EVERY[7]], ids=name_of)
def test_bound_runs_give_the_same_numbers(case: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    network, config = case
    params = lively_params(network, config)
    monkeypatch.setattr("inrcodec.backends.onnx.PIECE", 20)
    plain, bound = (OnnxEngine("cpu", bind=bind).compile(network, config, params) for bind in (False, True))
    grid = lattice((7, 9), [(-1, 1)] * 2)
    for coords in (grid, Points(grid.points().values[:33])):
        for _ in range(2):
            np.testing.assert_array_equal(bound(coords), plain(coords))


def test_networks_that_share_graphs_do_not_share_what_is_bound() -> None:
    network, config = EVERY[0]
    engine, coords = OnnxEngine("cpu", bind=True), lattice((5, 6), [(-1, 1)] * 2)
    params = lively_params(network, config)
    other = {name: value if name == "frequency" else value + np.float32(0.01) for name, value in params.items()}
    first, second = (engine.compile(network, config, each) for each in (params, other))
    before = first(coords)
    assert np.abs(second(coords) - before).max() > 1e-4
    np.testing.assert_array_equal(first(coords), before)


def test_a_bound_input_of_another_shape_is_seen() -> None:
    graph = Graph()
    graph.output(graph.input("x", np.float32, (3,)), "y", (3,))
    session = onnxruntime.InferenceSession(graph.model("copy", 18).SerializeToString(), providers=list(PLAIN))
    cpu = OnnxDevice("cpu")
    assert run_bound(session, {"x": placed(np.float32([1, 2, 3]), cpu)}).tolist() == [1, 2, 3]
    with pytest.raises(Exception, match="x"):
        run_bound(session, {"x": placed(np.float32([1, 2]), cpu)})


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inrcodec.backends.available", lambda: ["numpy"])
    monkeypatch.setattr("inrcodec.export.available", lambda: ["numpy"])
    with pytest.raises(BackendMissing, match="onnx or onnxruntime is not installed"):
        make_engine("onnx")
    with pytest.raises(BackendMissing, match="onnx is not installed"):
        export_onnx(plain_file())


def test_auto_takes_onnx_where_pytorch_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inrcodec.backends.available", lambda: ["onnx", "numpy"])
    assert make_engine("auto", work=1 << 40).name == "onnx"
    assert make_engine("auto", work=1).name == "numpy"
    monkeypatch.setattr("inrcodec.backends.available", lambda: ["numpy"])
    assert make_engine("auto", work=1 << 40).name == "numpy"


def test_the_engine_loads_no_pytorch(tmp_path: Path) -> None:
    path = VALID / "sasnet.2-rgb" / "input.inr"
    code = CALL.format(["decode", str(path), "-o", str(tmp_path / "a.png"), "--engine", "onnx"])
    loaded = loaded_after(code)
    assert "onnxruntime" in loaded and "torch" not in loaded and "numba" not in loaded
    assert (tmp_path / "a.png").exists()


KEPT = ("numpy", "onnxruntime", "click", "msgpack", "zstandard", "PIL")
# As if nothing else were installed; what onnxruntime needs comes with it.
BARE = """
import importlib.metadata, sys
keep = {keep}
for name in importlib.metadata.packages_distributions():
    if name not in keep and name != "inrcodec":
        sys.modules[name] = None
import inrcodec, numpy as np
from pathlib import Path
for path in {paths}:
    inr = inrcodec.open(path)
    expected = np.load(Path(path).parent / "reference.npy")
    found = inr.decode(size=expected.shape[:-1], dtype=np.float32).astype(np.float64)
    assert np.array_equal(np.isnan(found), np.isnan(expected)), path
    assert np.nanmax(np.abs(found - expected)) <= 2e-5 * np.ptp(expected[~np.isnan(expected)]), path
try:
    inrcodec.open(path, backend="onnx").decode()
except inrcodec.errors.BackendMissing as error:
    print(error)
"""


@pytest.mark.parametrize("keep", [KEPT, (*KEPT, "onnx", "google", "ml_dtypes", "flatbuffers", "packaging", "typing_extensions")])
def test_few_packages_decode_every_image(keep: tuple[str, ...]) -> None:
    found = [path for path in sorted(VALID.glob("*/input.inr")) if inrcodec.open(path).head["kind"] == "image"]
    assert len(found) > 10
    code = BARE.format(keep=keep, paths=[str(path) for path in found])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert ("onnx or onnxruntime is not installed" in done.stdout) == ("onnx" not in keep)


def run_cli(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return ended.value.code, capsys.readouterr().err  # type: ignore[return-value]


def test_the_command_writes_a_model_and_a_repository(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = str(VALID / "sasnet.2-rgb" / "input.inr"), tmp_path / "photo.onnx"
    options = ["--grid", "--profile", "gpu", "--opset", "20", "--fp16", "--triton", str(tmp_path / "models")]
    assert run_cli(["export-onnx", source, "-o", str(out), *options], capsys) == (0, "")
    assert out.read_bytes() == export_onnx(source, profile="gpu", opset=20, fp16=True, grid=True)
    assert (tmp_path / "models" / "photo" / "1" / "model.onnx").read_bytes() == out.read_bytes()
    assert (tmp_path / "models" / "photo" / "config.pbtxt").read_text() == (
        'name: "photo"\nbackend: "onnxruntime"\nmax_batch_size: 0\n'
        'input [ { name: "axis0" data_type: TYPE_FP64 dims: [ -1 ] } ]\n'
        'input [ { name: "axis1" data_type: TYPE_FP64 dims: [ -1 ] } ]\n'
        'output [ { name: "values" data_type: TYPE_FP32 dims: [ -1, -1, 3 ] } ]\n'
    )


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("{hashed}", "-o", "m.onnx", "--profile", "npu"), 2, "profile: expected cpu, gpu, web, got npu"),
        (("{hashed}", "-o", "m.onnx", "--opset", "9"), 2, "opset: expected 18..22, got 9"),
        (("{windows}", "-o", "m.onnx"), 2, "one of windows"),
        (("{hashed}", "-o", "-", "--triton", "models"), 2, "--triton: expected an output with a name"),
        (("nothing.inr", "-o", "m.onnx"), 3, "nothing.inr"),
        (("{hashed}", "-o", "nowhere/m.onnx"), 2, "nowhere"),
        (("{hashed}",), 2, "output"),
    ],
)
def test_the_command_says_what_is_wrong(
    arguments: tuple[str, ...],
    code: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    files = {"hashed": VALID / "sasnet.1-hashed" / "input.inr", "windows": VALID / "small-windows" / "input.inr"}
    found, said = run_cli(["export-onnx", *(a.format(**files) for a in arguments)], capsys)
    assert found == code and message in said and said.startswith("error: ") and said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_the_engine_is_one_of_those_that_are_tested() -> None:
    """The tests of engines and of the conformance corpus run for every engine that is there."""
    assert "onnx" in available()
