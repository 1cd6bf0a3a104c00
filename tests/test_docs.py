"""The README's figures are those of the committed results, its commands exist, its paths too."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def expected_figures(results: dict) -> list[str]:
    rows = [results["encode"][name]["mean"] for name in ("div2k", "kodak")]
    figures = [f"| {row['psnr']:.2f} dB | {row['bpp']:.2f} | {row['encode_seconds']:.0f} ({row['slowest_seconds']:.0f}) |" for row in rows]
    figures += [f"{row['ratio']:.2f} times" for row in results["step"]]
    return [*figures, f"{results['decode']['ratio']:.1f} times the time of its matrix products"]


def test_figures_come_from_the_results() -> None:
    results = json.loads((ROOT / "tools" / "results" / "encode_cpu.json").read_text())
    figures = expected_figures(results)
    assert all(figure in README for figure in figures), figures
    results["encode"]["div2k"]["mean"]["psnr"] += 1
    assert not all(figure in README for figure in expected_figures(results))


def test_make_targets_and_linked_files_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)", README)) <= targets
    for link in re.findall(r"\]\(([^)]+)\)", README):
        assert (ROOT / link).exists(), link


def test_documented_options_exist() -> None:
    from inrcodec.cli import cli

    for verb, text in re.findall(r"^inrcodec (\w+) (.*)$", README, re.MULTILINE):
        command = cli.get_command(None, verb)  # type: ignore[arg-type]
        assert command is not None
        known = {name for param in command.params for name in param.opts}
        for option in re.findall(r"(?<!\w)(--?[a-z][a-z-]*)", text):
            assert option in known, (verb, option)
