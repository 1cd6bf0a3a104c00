"""The command line as a user meets it: files, stdin and stdout, exit codes, one line per error."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import inrcodec
from tests.nets import smooth_picture
from tests.test_decoder import file_bytes

FAST = ["--set", "steps=12", "--no-progress"]


def run(*arguments: str, cwd: Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(Path(inrcodec.__file__).parents[1]), "PYTHONWARNINGS": "error"}
    return subprocess.run(
        [sys.executable, "-m", "inrcodec", *arguments], cwd=cwd, input=stdin, capture_output=True, env=environment, timeout=120
    )


def assert_fails(done: subprocess.CompletedProcess[bytes], code: int, *words: str) -> None:
    """The documented exit code, nothing on stdout, exactly one line on stderr, no traceback."""
    text = done.stderr.decode()
    assert done.returncode == code, text
    assert done.stdout == b""
    assert text.startswith("error: ") and text.count("\n") == 1 and "Traceback" not in text
    for word in words:
        assert word in text, text


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    picture = np.floor(smooth_picture(20, 26) * 255 + 0.5).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "photo.png")
    (tmp_path / "a.inr").write_bytes(file_bytes())
    return tmp_path


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_encode_info_decode_verify(folder: Path) -> None:
    done = run("encode", "photo.png", "-o", "photo.inr", *FAST, cwd=folder)
    assert done.returncode == 0 and done.stdout == b"" and b"PSNR" in done.stderr
    done = run("info", "photo.inr", "--json", cwd=folder)
    info = json.loads(done.stdout)
    assert done.stderr == b"" and [axis["n"] for axis in info["axes"]] == [20, 26] and info["metrics"][0]["metric"] == "psnr"
    assert b"tensor" in run("info", "photo.inr", cwd=folder).stdout
    assert run("decode", "photo.inr", "-o", "big.png", "--scale", "3", cwd=folder).returncode == 0
    with Image.open(folder / "big.png") as image:
        assert image.size == (78, 60)
    done = run("verify", "photo.inr", "--source", "photo.png", "--json", cwd=folder)
    assert done.returncode == 0 and json.loads(done.stdout)["psnr"] == pytest.approx(info["metrics"][0]["value"], abs=0.02)


def test_awkward_names(folder: Path) -> None:
    os.rename(folder / "photo.png", folder / "-ünï cöde & spâces.png")
    done = run("encode", *FAST, "--", "-ünï cöde & spâces.png", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "-ünï cöde & spâces.inr" in names(folder)
    done = run("decode", "./-ünï cöde & spâces.inr", "-o", "-out.png", cwd=folder)
    assert done.returncode == 0 and "-out.png" in names(folder)


def test_stdin_and_stdout(folder: Path) -> None:
    done = run("encode", "-", "-o", "-", *FAST, cwd=folder, stdin=(folder / "photo.png").read_bytes())
    assert done.returncode == 0 and inrcodec.open(done.stdout).shape == (20, 26, 3)
    back = run("decode", "-", "-o", "-", "--format", "png", cwd=folder, stdin=done.stdout)
    assert back.returncode == 0 and back.stdout.startswith(b"\x89PNG")
    assert run("info", "-", cwd=folder, stdin=done.stdout).returncode == 0


def test_region_size_and_bits(folder: Path) -> None:
    for options, size in (
        (("--region", "2,1,12,7"), (10, 6)),
        (("--region", "2,1,12,7", "--scale", "4"), (40, 24)),
        (("--size", "9x31"), (9, 31)),
        (("--scale", "0.5"), (9, 7)),
    ):
        assert run("decode", "a.inr", "-o", "x.png", *options, cwd=folder).returncode == 0
        with Image.open(folder / "x.png") as image:
            assert image.size == size
    assert run("decode", "a.inr", "-o", "x.npy", "--bits", "16", cwd=folder).returncode == 0
    assert np.load(folder / "x.npy").dtype == np.uint16


def test_overwriting(folder: Path) -> None:
    (folder / "out.png").write_bytes(b"old")
    assert_fails(run("decode", "a.inr", "-o", "out.png", "--no-overwrite", cwd=folder), 2, "out.png", "exists")
    assert (folder / "out.png").read_bytes() == b"old"
    assert run("decode", "a.inr", "-o", "out.png", cwd=folder).returncode == 0
    assert run("decode", "a.inr", cwd=folder).returncode == 0 and "a.png" in names(folder)
    assert_fails(run("decode", "a.inr", cwd=folder), 2, "a.png", "exists")
    assert run("decode", "a.inr", "-f", cwd=folder).returncode == 0
    assert_fails(run("encode", "photo.png", "-o", "a.inr", "--no-overwrite", *FAST, cwd=folder), 2, "exists")


def test_errors_leave_nothing_behind(folder: Path) -> None:
    (folder / "text.png").write_text("not an image")
    (folder / "cut.inr").write_bytes(file_bytes()[:-30])
    (folder / "other.inr").write_bytes(b"#INRIMAGE-4#{\nXDIM=2\n")
    (folder / "empty.inr").write_bytes(b"")
    before = names(folder)
    cases = [
        (("encode", "missing.png", "-o", "o.inr"), 3, ("missing.png",)),
        (("encode", "text.png", "-o", "o.inr"), 3, ("text.png",)),
        (("encode", ".", "-o", "o.inr"), 3, ()),
        (("encode", "a.inr", "-o", "o.inr"), 3, ("a.inr",)),
        (("encode", "photo.png", "-o", "nowhere/o.inr"), 2, ("nowhere", "does not exist")),
        (("encode", "photo.png", "-o", "o.inr", "-q", "101"), 2, ("quality", "101")),
        (("encode", "photo.png", "-o", "o.inr", "-q", "50", "--psnr", "30"), 2, ("at most one",)),
        (("encode", "photo.png", "-o", "o.inr", "--set", "nonsense=1"), 2, ("nonsense", "known")),
        (("encode", "photo.png", "-o", "o.inr", "--set", "nonsense"), 2, ("KEY=VALUE",)),
        (("encode", "photo.png", "-o", "o.inr", "--arch", "gpt.5"), 2, ("gpt.5", "sasnet.1")),
        (("encode", "photo.png", "-o", "o.inr", "--effort", "10"), 2, ("effort",)),
        (("encode", "photo.png", "-o", "o.inr", "--size", "big"), 2, ("--size", "big")),
        (("encode", "photo.png", "-o", "o.inr", "--device", "toaster"), 2, ("toaster",)),
        (("encode", "photo.png", "-o", "o.inr", "--resume"), 2, ("checkpoint",)),
        (("encode", "photo.png", "-o", "photo.png"), 2, ("photo.png", "other than the input")),
        (("encode", "photo.png", "-o", ""), 2, ("output", "empty")),
        (("encode", "", "-o", "o.inr"), 2, ("input", "empty")),
        (("encode", "photo.png", "-o", "o.inr", "--seed", "-1"), 2, ("--seed", "-1")),
        (("encode", "photo.png", "-o", "o.inr", "--checkpoint", "nowhere/c.ckpt"), 2, ("nowhere", "does not exist")),
        (("encode", "photo.png", "-o", "o.inr", "--checkpoint", "photo.png"), 2, ("photo.png", "other than the input")),
        (("decode", "a.inr", "-o", "o.png", "--max-samples", "0"), 2, ("--max-samples",)),
        (("decode", "missing.inr", "-o", "o.png"), 3, ("missing.inr",)),
        (("decode", ".", "-o", "o.png"), 3, ("folder",)),
        (("decode", "cut.inr", "-o", "o.png"), 4, ("cut.inr: ",)),
        (("decode", "other.inr", "-o", "o.png"), 4, ("Inrimage",)),
        (("decode", "empty.inr", "-o", "o.png"), 4, ("empty",)),
        (("info", "photo.png"), 4, ("not an .inr file",)),
        (("decode", "a.inr", "-o", "o.png", "--scale", "1e6"), 6, ("samples",)),
        (("decode", "a.inr", "-o", "o.png", "--scale", "-1"), 2, ("scale",)),
        (("decode", "a.inr", "-o", "o.png", "--region", "1,2,3"), 2, ("--region",)),
        (("decode", "a.inr", "-o", "o.png", "--region", "5,5,1,1"), 2, ("region",)),
        (("decode", "a.inr", "-o", "o.png", "--size", "huge"), 2, ("--size",)),
        (("decode", "a.inr", "-o", "o.png", "--size", "²x5"), 2, ("--size",)),
        (("decode", "a.inr", "-o", "o.png", "--scale", "1e308"), 2, ("scale",)),
        (("decode", "a.inr", "-o", "o.png/"), 2, ("folder",)),
        (("decode", "a.inr", "-o", 300 * "o" + ".png"), 2, ("output", "name")),
        (("query", "a.inr", "--at", ""), 2, ("--at", "2 numbers")),
        (("decode", "a.inr", "-o", "o.png", "--engine", "numpy", "--device", "cuda"), 2, ("device", "numpy")),
        (("encode", "photo.png", "-o", "o.inr", "--checkpoint", "./o.inr"), 2, ("--checkpoint", "another file")),
        (("encode", "."), 2, ("-o", "output name")),
        (("encode", ".", "-o", "o.inr", "--kind", "audio"), 2, ("kind", "audio")),
        (("decode", "a.inr", "-o", "o.xyz"), 2, (".xyz",)),
        (("decode", "a.inr", "-o", "o"), 2, ("suffix",)),
        (("decode", "a.inr", "-o", "o.png", "--backend", "abacus"), 2, ("abacus",)),
        (("verify", "a.inr", "--source", "photo.png"), 8, ("shape",)),
        (("frobnicate",), 2, ("frobnicate",)),
        (("encode",), 2, ("INPUT",)),
    ]
    for arguments, code, words in cases:
        assert_fails(run(*arguments, cwd=folder), code, *words)
        assert names(folder) == before, arguments


def test_a_traceback_only_on_request(folder: Path) -> None:
    for arguments in (("-vv", "info", "photo.png"), ("info", "photo.png", "-v", "-v"), ("-v", "info", "-v", "photo.png")):
        done = run(*arguments, cwd=folder)
        assert done.returncode == 4 and b"Traceback" in done.stderr
    assert_fails(run("-v", "info", "--", "-vv", cwd=folder), 3, "-vv")


def test_missed_targets_are_told_and_the_file_is_written(folder: Path) -> None:
    done = run("encode", "photo.png", "-o", "o.inr", "--psnr", "79", *FAST, cwd=folder)
    assert done.returncode == 7 and b"psnr >= 79 dB" in done.stderr and b"Traceback" not in done.stderr
    assert inrcodec.open(folder / "o.inr").shape == (20, 26, 3)
    done = run("encode", "photo.png", "-o", "o.inr", "--size", "100k", "--json", *FAST, cwd=folder)
    report = json.loads(done.stdout)
    assert done.returncode == 0 and report["target_met"] and report["bytes"] == (folder / "o.inr").stat().st_size <= 100_000


def press_ctrl_c(folder: Path, *options: str) -> tuple[int, str]:
    """Encode on a terminal, press Ctrl-C when its progress line shows the fit at work; the exit code and what is left on the terminal."""
    environment = {**os.environ, "PYTHONPATH": str(Path(inrcodec.__file__).parents[1])}
    command = [sys.executable, "-m", "inrcodec", "encode", "photo.png", "-o", "o.inr", "--set", "steps=1000000", "--checkpoint", "c.ckpt"]
    terminal, stderr = pty.openpty()
    process = subprocess.Popen([*command, *options], cwd=folder, env=environment, stderr=stderr, start_new_session=True)
    os.close(stderr)
    text, pressed = "", False
    try:
        while select.select([terminal], [], [], 60)[0]:
            text += os.read(terminal, 4096).decode(errors="replace")
            if not pressed and re.search(r"fit +\d+/1000000 .* dB", text):
                process.send_signal(signal.SIGINT)
                pressed = True
    except OSError:  # the way a terminal tells that its last process is gone
        pass
    finally:
        os.close(terminal)
        if process.poll() is None and not pressed:
            process.kill()
    assert pressed, text
    return process.wait(timeout=60), text.rsplit("\x1b[K", 1)[1]


def test_interrupt_discards_or_saves(folder: Path) -> None:
    code, text = press_ctrl_c(folder)
    assert code == 130 and text.startswith("error: interrupted at step") and text.count("\n") == 1
    assert names(folder) == {"photo.png", "a.inr", "c.ckpt"}
    code, text = press_ctrl_c(folder, "--resume", "--on-interrupt", "save")
    assert code == 130 and "best fit so far" in text
    assert inrcodec.open(folder / "o.inr").decode().shape == (20, 26, 3)


def test_without_a_verb_the_help_is_shown(folder: Path) -> None:
    done = run(cwd=folder)
    assert done.returncode == 2 and done.stdout == b"" and b"Commands:" in done.stderr and done.stderr.count(b"\n") > 10


def test_quiet_and_progress(folder: Path) -> None:
    done = run("encode", "photo.png", "--quiet", "--set", "steps=12", cwd=folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"") and "photo.inr" in names(folder)


def test_outputs_that_are_no_plain_files(folder: Path) -> None:
    """A device stays a device, a symbolic link stays a link, a full disk is one line."""
    for device in ("/dev/null", "/dev/full"):
        if not Path(device).is_char_device():
            pytest.skip(f"needs {device}")
    assert run("decode", "a.inr", "-o", "/dev/null", "--format", "png", cwd=folder).returncode == 0
    assert Path("/dev/null").is_char_device()
    assert_fails(run("decode", "a.inr", "-o", "/dev/full", "--format", "png", cwd=folder), 1, "No space left")
    (folder / "link.png").symlink_to("target.png")
    assert run("decode", "a.inr", "-o", "link.png", cwd=folder).returncode == 0
    assert (folder / "link.png").is_symlink() and (folder / "target.png").is_file()


def test_a_reader_that_leaves_is_no_error(folder: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(inrcodec.__file__).parents[1])}
    command = [sys.executable, "-m", "inrcodec", "decode", "a.inr", "-o", "-", "--format", "npy", "--scale", "20"]
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.read(4)
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(timeout=60) == 0


def test_help_and_version(folder: Path) -> None:
    for arguments in (("--help",), ("encode", "-h"), ("decode", "--help"), ("info", "-h"), ("verify", "-h"), ("doctor", "-h")):
        done = run(*arguments, cwd=folder)
        assert done.returncode == 0 and b"Example" in done.stdout
    assert run("--version", cwd=folder).stdout.strip() == f"inrcodec {inrcodec.__version__}".encode()


def test_doctor(folder: Path) -> None:
    report = json.loads(run("doctor", "--json", cwd=folder).stdout)
    assert report["packages"]["numpy"] == np.__version__ and "numpy" in report["backends"]
    assert b"packages" in run("doctor", cwd=folder).stdout


def test_numbers_have_no_bit_depth(folder: Path) -> None:
    volume = Path(__file__).resolve().parents[1] / "conformance" / "valid" / "1" / "small-shape" / "input.inr"
    assert_fails(run("decode", str(volume), "-o", "out.npy", "--bits", "8", cwd=folder), 2, "--bits", "float32")
    assert "out.npy" not in names(folder)
