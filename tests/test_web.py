"""The decoder for browsers, in Node: the corpus, the package's pixels, the examples of the text, and what the module may contain."""

import gzip
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np
import pytest

import inrcodec
from conformance import run
from inrcodec.spec import COMPARED_FIELDS
from tools import small_files

NODE = shutil.which("node")
WEB = Path(__file__).resolve().parents[1] / "web"
MODULE, ADAPTER = WEB / "inr.js", WEB / "adapter.mjs"
CASES = run.CORPUS / "valid" / "1"
WITHOUT = frozenset({"networks", "tiles"})
MISSING = WITHOUT | {"missing"}
MINIFIED = 30_700  # bytes by esbuild or terser
STRIPPED = 49700  # without comments and indentation, where neither is installed
IN_PYTHON = (
    "import sys, zstandard; sys.stdout.buffer.write(zstandard.ZstdDecompressor().decompressobj().decompress(sys.stdin.buffer.read()))"
)
UNZSTD = "zstd -dc" if shutil.which("zstd") else f"{sys.executable} -c '{IN_PYTHON}'"
SERVER = f"""
import {{ createInterface }} from 'node:readline';
import {{ main }} from {json.dumps(ADAPTER.as_uri())};
for await (const line of createInterface({{ input: process.stdin }})) console.log(JSON.stringify(main(JSON.parse(line))));
"""
pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed")


def node(script: str, *arguments: str) -> str:
    """What a script prints that has `web`, the module, and `read`, of a file."""
    first = (
        f"import * as web from {json.dumps(MODULE.as_uri())}; import {{ readFileSync as read, writeFileSync as write }} from 'node:fs';\n"
    )
    command = [str(NODE), "--input-type=module", "-e", first + script, *arguments]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert found.returncode == 0, found.stderr
    return found.stdout


@pytest.fixture(scope="module")
def adapter() -> Iterator[run.Decoder]:
    """The adapter's main, in one process for all questions."""
    command = [str(NODE), "--input-type=module", "-e", SERVER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        questions, answers = process.stdin, process.stdout

        def decode(arguments: list[str]) -> tuple[int, str]:
            questions.write(json.dumps(arguments) + "\n")
            questions.flush()
            code, message = json.loads(answers.readline())
            return code, message

        yield decode
        questions.close()


def test_the_corpus_passes_with_a_function_for_zstd(adapter: run.Decoder) -> None:
    answers = run.judged(run.CORPUS, lambda arguments: adapter(["--zstd", UNZSTD, *arguments]), without=WITHOUT)
    found = {case: problems for case, problems, missing in answers if not missing}
    assert {case: problems for case, problems in found.items() if problems} == {}
    assert len(found) > 300


def test_without_zstd_the_rest_passes(adapter: run.Decoder) -> None:
    found = list(run.judged(run.CORPUS, adapter, without=MISSING))
    assert {case: problems for case, problems, missing in found if problems and not missing} == {}
    skipped = {case for case, _, missing in found if missing}
    compared, tiled = ({case for case, _, missing in found if missing == {feature}} for feature in ("networks", "tiles"))
    assert len(compared) == len(COMPARED_FIELDS) and 0 < len(skipped - compared - tiled) < 20
    assert {case for case, _, _ in found if case.startswith("valid/2/")} <= tiled
    assert all(case.startswith(("valid/2/", "faulty/tiles-")) for case in tiled)
    assert {"valid/1/sasnet.2-context", "valid/1/residual-lossless", "valid/1/audio-windows", "faulty/mask-cut"}.isdisjoint(skipped)
    assert {"valid/1/volume-missing", "faulty/mask-bomb"} <= skipped


def test_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--decoder", f"{NODE} {ADAPTER}", "--only", "valid/1/small-mi"]
    assert run.main(arguments) == 1
    assert run.main(["--decoder", f"{NODE} {ADAPTER}", "--only", "valid/1/small-sa"]) == 0
    capsys.readouterr()
    assert run.main([*arguments, "--without", "missing"]) == 1  # none passed
    assert capsys.readouterr().out == "skip valid/1/small-missing: without missing\n0 passed, 0 failed, 1 skipped\n"


def test_other_refusals_are_not_skipped() -> None:
    def answers(code: int, name: str) -> tuple[bool, set[str]]:
        """Whether a case fails, and for the lack of what it is skipped, if every answer is an exit code."""
        [(_, problems, missing)] = run.judged(run.CORPUS, lambda _: (code, "error: zstd"), name, MISSING)
        return bool(problems), missing

    assert answers(5, "valid/1/small-missing") == (True, {"missing"})
    assert answers(4, "valid/1/small-missing") == (True, set())
    assert answers(5, "valid/1/small-sasnet") == (True, set())
    assert answers(5, "faulty/tensors-codec-unknown") == (False, set())


@pytest.mark.parametrize("name", ["sasnet.2-rgb", "sasnet.1-rgba", "sasnet.1-grey16", "residual-lossless", "siren.1-rgb", "msa.1-rgb"])
@pytest.mark.parametrize("size", [(50, 33), (7, 9)])
def test_pixels_are_those_of_the_numpy_engine(name: str, size: tuple[int, int], tmp_path: Path) -> None:
    script = (
        "const f = web.parse(read(process.argv[1])); const { data, width, height } = f.imageData({ size: JSON.parse(process.argv[2]) });"
    )
    node(
        script + "write(process.argv[3], data); if (width * height * 4 !== data.length) throw 1",
        str(CASES / name / "input.inr"),
        json.dumps(size),
        str(tmp_path / "rgba"),
    )
    found = np.fromfile(tmp_path / "rgba", np.uint8).reshape(*size, 4).astype(float)
    values = inrcodec.open(CASES / name / "input.inr", backend="numpy").decode(size=size, dtype=np.float32) * 255
    grey = values.shape[2] == 1
    assert np.abs(found[..., :3] - values[..., [0, 0, 0] if grey else [0, 1, 2]]).max() <= 1
    assert np.abs(found[..., 3] - (values[..., 3] if values.shape[2] == 4 else 255)).max() <= 1


def test_tiles_are_the_grid_and_regions_its_crops(tmp_path: Path) -> None:
    script = """
    const f = web.parse(read(process.argv[1])), whole = f.grid({ size: [48, 62] });
    const part = f.grid({ size: [48, 62], region: [[3, 10], [5, 31]] });
    let off = 0, seen = 0;
    for (const { origin: [y, x], shape: [h, w], data } of f.tiles({ size: [48, 62], tile: 20 }))
      for (let i = 0; i < data.length; i++, seen++)
        off = Math.max(off, Math.abs(data[i] - whole.data[((y + Math.floor(i / 3 / w)) * 62 + x + Math.floor(i / 3) % w) * 3 + i % 3]));
    for (let i = 0; i < part.data.length; i++) {
      const y = 6 + Math.floor(i / 3 / 52), x = 10 + Math.floor(i / 3) % 52;
      off = Math.max(off, Math.abs(part.data[i] - whole.data[(y * 62 + x) * 3 + i % 3]));
    }
    console.log(JSON.stringify([off, seen === whole.data.length, part.shape, whole.shape, Object.keys(f.params).length, f.head.kind]));
    """
    off, complete, part, whole, tensors, kind = json.loads(node(script, str(CASES / "sasnet.2-rgb" / "input.inr")))
    assert off < 1e-7
    assert (complete, part, whole, tensors, kind) == (True, [14, 52, 3], [48, 62, 3], 15, "image")


def test_a_slice_of_a_volume_as_an_image() -> None:
    script = """
    const f = web.parse(read(process.argv[1])), { data, width, height } = f.imageData({ region: [[4, 5], [0, 12], [0, 24]] });
    let code; try { f.imageData() } catch (error) { code = error.code }
    console.log(JSON.stringify([width, height, code, [...data]]));
    """
    file = CASES / "volume-float32" / "input.inr"
    width, height, code, data = json.loads(node(script, str(file)))
    channel = inrcodec.open(file).head["out"]["channels"][0]
    values = inrcodec.open(file, backend="numpy").decode(region=((4, 5), (0, 12), (0, 24)), dtype=np.float32).reshape(12, 24)
    grey = (values - channel.get("low", 0)) / (channel.get("high", 1) - channel.get("low", 0)) * 255
    assert (width, height, code) == (24, 12, 2)
    assert np.abs(np.reshape(data, (12, 24, 4))[..., 0] - grey).max() <= 1


def test_limits_and_classes_of_errors() -> None:
    script = """
    const bytes = read(process.argv[1]), codes = [];
    const codeOf = error => error instanceof web.InrError ? error.code : String(error);
    const attempt = act => { try { act(); codes.push(0) } catch (error) { codes.push(codeOf(error)) } };
    const limits = { elements: 10 }, coding = { coding: [0, 0] }, parameters = { parameters: [0, 0] };
    attempt(() => web.parse(bytes.subarray(0, 99)));
    attempt(() => web.parse(bytes, { limits }));
    attempt(() => web.parse(bytes, { limits: coding }));
    attempt(() => web.parse(bytes, { limits: parameters }));
    attempt(() => web.parse(bytes).grid({ size: [1e6, 1e6] }));
    attempt(() => web.parse(bytes).grid({ size: [0, 1] }));
    attempt(() => web.parse(bytes).at([0]));
    attempt(() => web.parse(bytes).at(Float64Array.of(3e9, -1e300)));
    attempt(() => web.parse(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length)));
    console.log(JSON.stringify(codes));
    """
    assert json.loads(node(script, str(CASES / "sasnet.2-rgb" / "input.inr"))) == [4, 6, 6, 6, 6, 2, 2, 0, 0]


def test_damage_gives_errors_of_the_text(tmp_path: Path) -> None:
    """Bytes changed within chunks whose CRC is made right again."""
    random, made = Random(1), []
    for data in small_files.files().values():
        for _ in range(40):
            spoiled, at, parts = bytearray(data), 8, []
            while at < len(data):
                length = int.from_bytes(data[at : at + 4], "little")
                parts.append((bytes(spoiled[at + 4 : at + 8]), bytearray(spoiled[at + 8 : at + 8 + length])))
                at += length + 12
            _, payload = random.choice([part for part in parts if part[1]])
            payload[random.randrange(len(payload))] = random.randrange(256)
            made.append(data[:8] + small_files.joined([(name, bytes(body)) for name, body in parts]))
    for i, data in enumerate(made):
        (tmp_path / f"{i}").write_bytes(data)
    script = """
    for (let i = 0; i < +process.argv[2]; i++) {
      try {
        web.parse(read(`${process.argv[1]}/${i}`), { limits: { elements: 1e5, numbers: 1e4 } }).grid();
      } catch (error) {
        if (!(error instanceof web.InrError && [4, 5, 6].includes(error.code))) console.log(i, error.stack);
      }
    }
    """
    assert node(script, str(tmp_path), str(len(made))) == ""


@pytest.mark.slow
def test_seconds_of_a_photograph(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A picture of 512x512 with the default network, fitted for a moment: the same pixels as the NumPy engine's, and how long they took."""
    y, x = np.mgrid[:512, :512] / 512
    picture = np.stack([np.sin(9 * x * y), np.sin(20 * x + 3 * y), x * y], axis=-1) * 127 + 128
    inrcodec.encode(picture.astype(np.uint8), effort=1, time_limit=5).save(tmp_path / "photograph.inr")
    script = """
    import { spawnSync } from 'node:child_process';
    const zstd = frame => spawnSync(process.argv[2], { input: frame, shell: true }).stdout, bytes = read(process.argv[1]);
    const times = [Date.now()];
    const f = web.parse(bytes, { zstd });
    times.push(Date.now());
    write(process.argv[3], f.imageData().data);
    times.push(Date.now());
    console.log(JSON.stringify([times[1] - times[0], times[2] - times[1], f.head.net[0]]));
    """
    parsing, decoding, net = json.loads(node(script, str(tmp_path / "photograph.inr"), UNZSTD, str(tmp_path / "rgba")))
    with capsys.disabled():
        print(f"\ninr.js, 512x512 of {net}: {parsing} ms to parse, {decoding} ms to decode")
    expected = inrcodec.open(tmp_path / "photograph.inr", backend="numpy").decode()
    found = np.fromfile(tmp_path / "rgba", np.uint8).reshape(512, 512, 4)[..., :3]
    assert net == "sasnet.2"
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_what_the_module_contains() -> None:
    for path in (MODULE, WEB / "worker.js"):
        text = path.read_text()
        assert not re.search(r"\beval\b|\bFunction\b|\bWebAssembly\b|\brequire\b|import\(|innerHTML|fetch", text)
    assert not re.search(r"^\s*import\b", MODULE.read_text(), re.MULTILINE)
    assert re.findall(r"^import .* from '(.*)';", (WEB / "worker.js").read_text(), re.MULTILINE) == ["./inr.js"]
    assert len((WEB / "worker.js").read_text()) < 1500


def stripped(text: str) -> str:
    """Without indentation, and without comments on lines of their own."""
    lines = (line.strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith(("//", "/**")))


def minified() -> str | None:
    """By esbuild or terser, where one is installed."""
    for command in (["esbuild", "--minify", "--format=esm", str(MODULE)], ["terser", "-c", "-m", "--module", str(MODULE)]):
        if shutil.which(command[0]):
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return None


def test_size(capsys: pytest.CaptureFixture[str]) -> None:
    plain, small = stripped(MODULE.read_text()), minified()
    with capsys.disabled():
        for name, text in (("stripped", plain), ("minified", small)):
            if text is not None:
                print(f"\ninr.js {name}: {len(text)} bytes, {len(gzip.compress(text.encode()))} by gzip")
    assert small is None or len(small) <= MINIFIED
    assert len(plain) <= STRIPPED
    assert len(gzip.compress(plain.encode())) <= 20_000


def test_the_worker_sends_tiles() -> None:
    script = f"""
    const sent = [];
    globalThis.postMessage = message => sent.push(message);
    await import({json.dumps((WEB / "worker.js").as_uri())});
    globalThis.onmessage({{ data: {{ id: 7, bytes: read(process.argv[1]), options: {{ size: [70, 70] }} }} }});
    globalThis.onmessage({{ data: {{ id: 8, bytes: new Uint8Array(3) }} }});
    console.log(JSON.stringify(sent.map(({{ id, tile, done, code }}) => [id, tile?.origin, tile?.rgba.length, done, code])));
    """
    sent = json.loads(node(script, str(CASES / "sasnet.2-rgb" / "input.inr")))
    sizes = [4 * 64 * 64, 4 * 64 * 6, 4 * 6 * 64, 4 * 36]
    origins = [[0, 0], [0, 64], [64, 0], [64, 64]]
    tiles = [[7, origin, size, None, None] for origin, size in zip(origins, sizes, strict=True)]
    assert sent == [*tiles, [7, None, None, True, None], [8, None, None, None, 4]]
