"""The house's rules, held by the syntax trees: imports go one way, heavy packages stay in their places, files stay small."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "inrcodec"
# From the bottom up; a module imports from its own row or from rows above it in this list. Rows of several names are siblings.
ORDER = (
    ("version", "numbered"),
    ("errors",),
    ("spec",),
    ("limits", "memory", "progress"),
    ("files", "remote"),
    ("coordinates",),
    ("windows", "tiling"),
    ("rans",),
    ("entropy", "quantize", "lattice", "metrics", "edges", "lpips", "sound_metrics", "mesh"),
    ("ops",),
    ("networks", "signals"),
    ("head", "chunks"),
    ("tile_index",),
    ("container",),
    ("context", "weights", "validity", "residual", "work"),
    ("tiles", "tile_assembly"),
    ("inspect", "outputs", "described", "sampling", "shape_metrics", "surface", "timing", "lazy", "places", "points"),
    ("backends",),
    ("evaluation", "fit"),
    ("decoder",),
    ("opening",),
    ("bounded", "structure"),
    ("assembly", "quality", "paper_metrics", "frames", "settling", "convert", "export", "html", "cutting"),
    ("quality_regions",),
    ("codec", "doctor", "solve"),
    ("batch", "bench"),
    ("serve",),
    ("cli", "pillow", "xarray", "trimesh", "napari"),
    ("__main__", "__init__"),
)
ROW = {name: number for number, names in enumerate(ORDER) for name in names}
INDEPENDENT = {frozenset({"networks", "signals"})}
# Typing of ops.py names a class of networks/; the import exists for type checkers only.
HEAVY = {
    "torch": (
        "backends/torch",
        "backends/triton_",
        "backends/tcnn.py",
        "backends/threads.py",
        "backends/gradient.py",
        "fit/",
        "solve/",
        "lpips.py",
    ),
    "onnx": ("backends/onnx",),
    "onnxruntime": ("backends/onnx.py", "backends/onnx_device.py"),
    "numba": ("backends/cpu_",),
    "triton": ("backends/triton_",),
    "tinycudann": ("backends/tcnn.py",),
    "PIL": ("signals/", "bench/peers.py", "pillow.py"),
    "xarray": ("xarray.py",),
    "zarr": ("signals/",),
    "fsspec": ("remote.py",),
    "matplotlib": ("bench/plots.py",),
    "skimage": ("edges.py",),
    "pysz": ("bench/volume_peers.py",),
    "zfpy": ("bench/volume_peers.py",),
    "ray": ("batch/ray_executor.py",),
    "dask": ("batch/dask_executor.py",),
    "distributed": ("batch/dask_executor.py",),
    "fastapi": ("serve/",),
    "starlette": ("serve/",),
    "pydantic": ("serve/",),
    "anyio": ("serve/",),
    "uvicorn": ("serve/",),
}
LAZY = ("PIL", "zarr", "fsspec", "tinycudann", "skimage", "matplotlib", "pysz", "zfpy", "ray", "dask", "distributed")
SHELLS = ("pillow.py", "xarray.py", "trimesh.py", "napari.py")  # each imported by who uses its library, and by nothing here
MAX_LINES = 400


def imports(source: str) -> list[tuple[str, bool]]:
    """(module, is at the top level and not for type checkers only) of every import."""
    tree = ast.parse(source)
    found = []
    for node in ast.walk(tree):
        for child in ast.iter_child_nodes(node):
            child.parent = node  # type: ignore[attr-defined]
    for node in ast.walk(tree):
        names = (
            [a.name for a in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        if not names:
            continue
        above, top = getattr(node, "parent", None), True
        typing_only = False
        while above is not None:
            top = top and not isinstance(above, ast.FunctionDef)
            typing_only = typing_only or (isinstance(above, ast.If) and "TYPE_CHECKING" in ast.dump(above.test))
            above = getattr(above, "parent", None)
        if not typing_only:
            found += [(name, top) for name in names]
    return found


def violations(package: Path) -> list[str]:
    """Every broken rule under `package`, one line each."""
    result = []
    for path in sorted(package.rglob("*.py")):
        relative = path.relative_to(package).as_posix()
        own = relative.split("/")[0].removesuffix(".py")
        source = path.read_text()
        if source.count("\n") > MAX_LINES:
            result.append(f"{relative}: {source.count(chr(10))} lines, expected at most {MAX_LINES}")
        if own not in ROW:
            result.append(f"{relative}: not in the order of layers")
            continue
        for module, top in imports(source):
            parts = module.split(".")
            if parts[0] == "inrcodec" and len(parts) > 1:
                other = parts[1]
                if other not in ROW or ROW[other] > ROW[own] or frozenset({own, other}) in INDEPENDENT:
                    result.append(f"{relative}: imports {module}")
            allowed = HEAVY.get(parts[0])
            if allowed is not None and not relative.startswith(allowed):
                result.append(f"{relative}: imports {module}")
            if parts[0] == "inrcodec" and f"{parts[-1]}.py" in SHELLS and len(parts) == 2:
                result.append(f"{relative}: imports the shell {module}")
            if parts[0] in LAZY and top and relative not in SHELLS:
                result.append(f"{relative}: imports {parts[0]} at the top")
    return result


def test_the_package_keeps_its_rules() -> None:
    assert violations(PACKAGE) == []


@pytest.mark.parametrize(
    ("name", "source", "message"),
    [
        ("errors.py", "from inrcodec.codec import encode", "imports inrcodec.codec"),
        ("networks/x.py", "from inrcodec.signals import base", "imports inrcodec.signals"),
        ("signals/x.py", "import inrcodec.networks.base", "imports inrcodec.networks.base"),
        ("decoder.py", "def f():\n    import torch", "imports torch"),
        ("signals/x.py", "from PIL import Image", "at the top"),
        ("bench/plots.py", "import matplotlib.figure", "at the top"),
        ("bench/run.py", "def f():\n    import zfpy", "imports zfpy"),
        ("batch/run.py", "def f():\n    import distributed", "imports distributed"),
        ("signals/x.py", "import zarr", "at the top"),
        ("decoder.py", "def f():\n    from fsspec.core import url_to_fs", "imports fsspec.core"),
        ("batch/ray_executor.py", "import ray", "at the top"),
        ("codec.py", "from inrcodec.bench import curves", "imports inrcodec.bench"),
        ("fit/x.py", "import onnxruntime", "imports onnxruntime"),
        ("backends/torch_x.py", "def f():\n    import triton.language", "imports triton"),
        ("cli/x.py", "def f():\n    import inrcodec.pillow", "imports the shell inrcodec.pillow"),
        ("surprise.py", "", "not in the order"),
        ("ops.py", "\n" * 500, "500 lines"),
    ],
)
def test_each_rule_can_be_broken(tmp_path: Path, name: str, source: str, message: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(source)
    assert any(message in line for line in violations(tmp_path))


def loaded_after(code: str) -> set[str]:
    script = code + "\nimport sys\nprint(' '.join(sorted({name.split('.')[0] for name in sys.modules})), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


CALL = "import sys\nfrom inrcodec.cli import main\ntry:\n    main({!r})\nexcept SystemExit:\n    pass"


def test_light_entries_load_nothing_heavy(tmp_path: Path) -> None:
    from tests.test_decoder import file_bytes

    path = tmp_path / "a.inr"
    path.write_bytes(file_bytes())
    heavy = {"torch", "PIL", "onnx", "onnxruntime", "scipy", "trimesh", "matplotlib", "pysz", "zfpy", "pillow_jxl"}
    heavy |= {"ray", "distributed", "triton", "zarr", "fsspec", "aiohttp"}
    for code in (
        "import inrcodec",
        CALL.format(["--help"]),
        CALL.format(["info", str(path)]),
        CALL.format(["encode", "--help"]),
        CALL.format(["batch", "--help"]),
        CALL.format(["bench", "rd", "--help"]),
        CALL.format(["export-onnx", "--help"]),
    ):
        assert not loaded_after(code) & heavy, code
    decoded = CALL.format(["decode", str(path), "-o", str(tmp_path / "a.npy"), "--backend", "numpy"])
    assert not loaded_after(decoded) & (heavy - {"PIL"})
    assert (tmp_path / "a.npy").exists()


def test_the_torch_engine_loads_no_kernels_of_other_devices() -> None:
    assert "triton" not in loaded_after("from inrcodec.backends.torch import TorchEngine, torch_device\nTorchEngine(torch_device('cpu'))")


def test_the_check_of_loaded_modules_sees_a_heavy_one() -> None:
    assert "torch" in loaded_after("import inrcodec.fit.trainer")
