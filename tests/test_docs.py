"""The README's figures are those of the committed results, its commands exist, its paths too."""

import json
import re
from pathlib import Path

import click

from tools.papers.samples import SCALES

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


def expected_photograph_figures(results: dict) -> list[str]:
    figures = []
    for rate in ("0.5", "1", "2", "3"):
        ours = [row for row in results["rows"] if row["codec"] == "inrcodec" and row["parameter"] == f"bpp={rate}"]
        bpp, psnr = (sum(row[key] for row in ours) / len(ours) for key in ("bpp", "psnr"))
        figures.append(f"| {bpp:.3f} | {psnr:.2f} dB |")
        found = [row["peers"] for row in results["distances"] if row["parameter"] == f"bpp={rate}"]
        for peer in ("jpeg", "jxl", "webp", "avif"):
            known = [peers[peer]["distance_db"] for peers in found if peers[peer]["distance_db"] is not None]
            figures.append(f"{sum(known) / len(known):+.2f} dB" + ("" if len(known) == len(found) else f" ({len(known)})"))
    means = results["bd"]["mean"]
    return [*figures, *(f"{means[peer]['bd_rate_percent']['value']:+.0f} % of" for peer in ("jpeg", "jxl", "webp", "avif"))]


def test_figures_of_photographs_come_from_the_results() -> None:
    results = json.loads((ROOT / "tools" / "results" / "rd_kodak.json").read_text())
    text = " ".join(README.split())
    figures = expected_photograph_figures(results)
    assert all(figure in text for figure in figures), figures
    results["rows"][0]["psnr"] += 1
    assert not all(figure in text for figure in expected_photograph_figures(results))


def expected_ablation_figures(results: dict) -> list[str]:
    gain, found = results["ablation"]["gain_db"], results["ablation"]["rows"]
    lost = ("no contexts", "sasnet.1", "slow steps", "late rate", "rate every 4th step", "trunk of 32")
    changed = ("longer", "later rounding", "two features a level", "between the samples", "cubic levels", "trunk of 96")
    seconds = {row["change"]: row["encode_seconds"] for row in found}
    longer = f"effort 6, in {seconds['longer'] / seconds['default']:.1f} times the time"
    return [longer, *(f"| {-gain[key]:.2f} dB |" for key in lost), *(f"| {gain[key]:+.2f} dB |" for key in changed)]


def test_figures_of_the_ablation_come_from_the_results() -> None:
    results = json.loads((ROOT / "tools" / "results" / "ablation_cpu.json").read_text())
    assert all(figure in README for figure in expected_ablation_figures(results)), expected_ablation_figures(results)
    results["ablation"]["gain_db"]["sasnet.1"] += 1
    assert not all(figure in README for figure in expected_ablation_figures(results))


def expected_signal_figures(results: dict) -> list[str]:
    shapes = {row["key"]: row for row in results["shapes"]["rows"]}
    chosen = [shapes[f"{name}/inrcodec/50000"] for name in ("armadillo", "rocker-arm", "fandisk")]
    figures = [f"| {r['mesh']} | {r['bytes']} | {r['iou']:.4f} | {r['rms']:.1e} | {r['encode_seconds']:.0f} |" for r in chosen]
    figures += [f"{row['curve'][-1]['eval_loss']:.4f}" for row in results["finer"]["rows"]]
    volumes = {row["ratio"]: row["psnr"] for row in results["volumes"]["rows"] if row["volume"] == "hdz2000"}
    figures += [f"{ratio}x {volumes[ratio]:.1f} dB" for ratio in (100, 300, 1000)]
    figures += [f"at 100x {row['psnr']:.1f} dB, TTHRESH" for row in results["volumes"]["rows"] if row["key"] == "engine/100"]
    sound = {row["key"]: row for row in results["sound"]["rows"]}
    return [*figures, *(f"{sound[key]['snr']:.1f} dB" for key in ("inrcodec/default", "opus/64"))]


def test_figures_of_other_signals_come_from_the_results() -> None:
    results = json.loads((ROOT / "tools" / "results" / "signals_cpu.json").read_text())
    figures = expected_signal_figures(results)
    assert all(figure in README for figure in figures), figures
    results["finer"]["rows"][0]["curve"][-1]["eval_loss"] += 1
    assert not all(figure in README for figure in expected_signal_figures(results))


def expected_volume_figures(results: dict) -> list[str]:
    found = results["distances"]
    psnr = {one["item"].split("_")[0].split(".")[0]: one["psnr"] for one in found}
    gain = sum(one["peers"]["sz3"]["distance_db"] for one in found) / len(found)
    wanted = ", ".join(f"{name} {psnr[name]:.1f}" for name in ("hdz2000", "stent", "engine", "a1b"))
    return [f"at 300x {wanted} dB, {gain:.1f} dB over SZ3 on the mean"]


def test_figures_of_volumes_come_from_the_results() -> None:
    results = json.loads((ROOT / "tools" / "results" / "rd_volumes.json").read_text())
    assert results["options"]["effort"] == 8 and results["options"]["targets"] == ["ratio=300"]
    assert all(figure in README for figure in expected_volume_figures(results)), expected_volume_figures(results)
    results["distances"][0]["psnr"] += 1
    assert not all(figure in README for figure in expected_volume_figures(results))


def expected_paper_figures(tables: dict[str, dict]) -> list[str]:
    means = {
        (name, row["method"], row["metric"]): sum(row["ours"]) / len(row["ours"]) for name, table in tables.items() for row in table["rows"]
    }
    rows = {"plain": "SIREN", "frozen frequencies": "FEmbed", "with masks": "FEmbed + h1 + h2 + h3"}
    figures = [f"{says} {means['sasnet-table4', method, 'PSNR']:.2f} dB" for says, method in rows.items()]
    errors = [f"{means['msa-table3', name, 'relative L2']:.1e}" for name in ("heat", "poisson", "allen-cahn", "advection")]
    return [*figures, f"squared error of {means['msa-function', 'MSA', 'MSE']:.1e}", "{}, {}, {} and {}".format(*errors)]


def test_figures_of_the_papers_come_from_the_results() -> None:
    folder = ROOT / "tools" / "results" / "papers"
    tables = {name: json.loads((folder / f"{name}.json").read_text()) for name in ("sasnet-table4", "msa-table3", "msa-function")}
    text = " ".join(README.split())
    assert all(table["budget"] == "cpu" for table in tables.values())
    assert all(figure in text for figure in expected_paper_figures(tables)), expected_paper_figures(tables)
    tables["sasnet-table4"]["rows"][0]["ours"][0] += 1
    assert not all(figure in text for figure in expected_paper_figures(tables))


RANKED = ("SASNet", "SIREN", "FINER", "FFN", "PEMLP", "WIRE", "Gauss")
MEASURES = (("sasnet-table1", "PSNR", ".2f"), ("sasnet-table1", "PSNR_edge", ".2f"), ("sasnet-table1", "noisiness", ".2f"))
MORE_MEASURES = (("sasnet-table2", "PSNR", ".2f"), ("sasnet-table2", "SSIM", ".4f"), ("sasnet-table3", "IoU", ".3f"))


def expected_ranks(tables: dict[str, dict]) -> list[str]:
    means = {
        (name, row["method"], row["metric"]): sum(row["ours"]) / len(row["ours"]) for name, table in tables.items() for row in table["rows"]
    }
    rows = [[f"{means[name, each, metric]:{form}}" for each in RANKED] for name, metric, form in (*MEASURES, *MORE_MEASURES)]
    video, textures = (
        {each: f"{means[name, each, 'PSNR']:.2f}" for each in methods}
        for name, methods in (("msa-table1", ("MSA", "SIREN", "FINER")), ("sasnet-supplement3", ("SASNet", "SIREN", "FINER")))
    )
    told = [
        "MSA {MSA} dB, SIREN {SIREN}, FINER {FINER}".format(**video),
        "SIREN {SIREN} dB, SASNet {SASNet}, FINER {FINER}".format(**textures),
    ]
    return [*(f"| {' | '.join(row)} |" for row in rows), *told]


def test_the_ranks_of_networks_come_from_the_results() -> None:
    folder = ROOT / "tools" / "results" / "papers"
    tables = {
        name: json.loads((folder / f"{name}.json").read_text())
        for name in ("sasnet-table1", "sasnet-table2", "sasnet-table3", "sasnet-supplement3", "msa-table1")
    }
    text = " ".join(README.split())
    assert all(table["budget"] == "cpu" for table in tables.values())
    assert all(figure in text for figure in expected_ranks(tables)), expected_ranks(tables)
    tables["sasnet-table2"]["rows"][0]["ours"][0] += 1
    assert not all(figure in text for figure in expected_ranks(tables))


def expected_growth(table: dict) -> str:
    """PSNR of three networks at four sizes."""
    found = {row["method"]: sum(row["ours"]) / len(row["ours"]) for row in table["rows"]}
    sizes = [round(SCALES["cpu"].parameters * factor) for factor in (0.5, 1, 2, 4)]
    lists = {name: ", ".join(f"{found[f'{name}, {size} parameters']:.1f}" for size in sizes) for name in ("SASNet", "SIREN", "FINER")}
    at = ", ".join(str(size) for size in sizes)
    return "at {} parameters SASNet {SASNet} dB, SIREN {SIREN}, FINER {FINER}".format(at, **lists)


def expected_choices(tables: dict[str, dict]) -> list[str]:
    """What omega_0 changes, what masks do for MSA, and how shapes differ."""
    found = {name: [row for row in table["rows"] if row["metric"].startswith("PSNR")] for name, table in tables.items()}
    means = {name: [(row["method"], row["metric"], sum(row["ours"]) / len(row["ours"])) for row in rows] for name, rows in found.items()}
    spans = {each: [value for method, _, value in means["sasnet-omega"] if method == each] for each in ("SASNet", "SIREN")}
    told = {each: f"{min(values):.1f} to {max(values):.1f}" for each, values in spans.items()}
    shapes = [row for name in ("msa-table2", "sasnet-table3") for row in tables[name]["rows"] if row["method"] in ("MSA", "SASNet")]
    both = {(row["method"], row["metric"]): sum(row["ours"]) / len(row["ours"]) for row in shapes}
    masks = {method: value for method, metric, value in means["msa-masks"] if metric == "PSNR"}
    return [
        "from 10 to 90 it has {SASNet} dB on the first photograph, SIREN {SIREN}".format(**told),
        f"Chamfer distance {both['MSA', 'Chamfer']:.2e} and IoU {both['MSA', 'IoU']:.3f}, "
        f"SASNet {both['SASNet', 'Chamfer']:.2e} and {both['SASNet', 'IoU']:.3f}",
        f"`msa-masked.1` has {masks['MSA with masks']:.2f} dB on the photographs, MSA {masks['MSA']:.2f}",
    ]


def test_choices_between_networks_come_from_the_results() -> None:
    folder = ROOT / "tools" / "results" / "papers"
    tables = {
        name: json.loads((folder / f"{name}.json").read_text()) for name in ("sasnet-omega", "msa-masks", "msa-table2", "sasnet-table3")
    }
    text = " ".join(README.split())
    assert all(table["budget"] == "cpu" for table in tables.values())
    assert all(line in text for line in expected_choices(tables)), expected_choices(tables)
    tables["sasnet-omega"]["rows"][0]["ours"][0] -= 1
    assert not all(line in text for line in expected_choices(tables))


def test_what_more_parameters_bring_comes_from_the_results() -> None:
    table = json.loads((ROOT / "tools" / "results" / "papers" / "sasnet-figure6.json").read_text())
    text = " ".join(README.split())
    assert table["budget"] == "cpu" and expected_growth(table) in text, expected_growth(table)
    table["rows"][0]["ours"][0] += 1
    assert expected_growth(table) not in text


def expected_tile_figures(results: dict) -> list[str]:
    rows = results["tiles"]["rows"]
    lists = [[f"{row[name]:{form}}" for row in rows] for name, form in (("processor_seconds", ".0f"), ("peak_mib", "d"), ("seam", ".2f"))]
    last = rows[-1]
    read = f"read from {100 * last['region_share']:.1f} % of the file at most"
    kept = f"{last['kept']} of {last['tiles']} tiles, it went on and did {last['done_again']} of them again"
    sizes = [row["key"].split()[0] for row in rows]
    return [f"{', '.join(each[:-1])} and {each[-1]}" for each in (sizes, *lists)] + [read, kept]


def test_figures_of_tiles_come_from_the_results() -> None:
    results = json.loads((ROOT / "tools" / "results" / "tiles_cpu.json").read_text())
    text, plan = " ".join(README.split()), (ROOT / "docs" / "scale.md").read_text()
    assert all(figure in text for figure in expected_tile_figures(results)), expected_tile_figures(results)
    for section, line in (("index", "{bytes:.0f} bytes; {read_us:.0f} us and"), ("manifest", "{bytes:.0f} bytes; {read_us:.0f} us and")):
        assert line.format(**results[section]["rows"][0]) in plan
    results["tiles"]["rows"][0]["seam"] += 1
    assert not all(figure in text for figure in expected_tile_figures(results))


def expected_load(row: dict) -> str:
    memory = "{:.0f}, {:.0f} and {:.0f} MiB".format(*row["rss_mib"])
    median, most = row["median_ms"] / 1000, row["p99_ms"] / 1000
    told = f"{row['answers']} tiles in {row['seconds']:.0f} s ({row['different']} different ones), median {median:.2f} s"
    return f"{told}, 99 % within {most:.0f} s; memory {memory} at the start, in the middle and at the end; no error"


def test_the_load_of_a_server_comes_from_the_results() -> None:
    row = json.loads((ROOT / "tools" / "results" / "serve_cpu.json").read_text())["load"]["rows"][0]
    text = (ROOT / "docs" / "serve.md").read_text()
    assert expected_load(row) in text and row["errors"] == {} and set(row["statuses"]) == {"200"}
    assert expected_load(row | {"answers": row["answers"] + 1}) not in text


def expected_enlarged_figures(results: dict) -> list[str]:
    figures = []
    for factor in (2, 4):
        rows = [row for row in results["superres"]["rows"] if row["factor"] == factor]
        mean = {name: sum(row[name] for row in rows) / len(rows) for name in ("psnr", "bicubic", "lanczos", "bpp")}
        others = f"(bicubic {mean['bicubic']:.2f}, Lanczos {mean['lanczos']:.2f})"
        figures.append(f"{factor}x: {mean['psnr']:.2f} dB {others}, files of {mean['bpp']:.1f} bpp")
    return figures


def test_figures_of_enlarged_pictures_come_from_the_results() -> None:
    results = json.loads((ROOT / "tools" / "results" / "superres_kodak.json").read_text())
    assert len(results["superres"]["rows"]) == 8
    assert all(figure in README for figure in expected_enlarged_figures(results)), expected_enlarged_figures(results)
    results["superres"]["rows"][0]["psnr"] += 1
    assert not all(figure in README for figure in expected_enlarged_figures(results))


def expected_query_figures(results: dict) -> list[str]:
    rows = {section: {row["key"]: row for row in found["rows"]} for section, found in results.items()}
    point, million, stream = rows["point"]["photograph"], rows["million"], rows["stream"]["photograph"]
    figures = [f"one {point['at_ms']:.2f} ms", f"derivatives {point['gradient_ms']:.2f} ms", f"{stream['peak_memory_mb']} MB of memory"]
    return [*figures, f"a million {million['photograph']['ratio']} times", f"{million['paper']['ratio']} times for the paper's"]


def test_figures_of_points_come_from_the_results() -> None:
    results = json.loads((ROOT / "tools" / "results" / "query_cpu.json").read_text())
    text = " ".join(README.split())
    assert all(figure in text for figure in expected_query_figures(results)), expected_query_figures(results)
    results["million"]["rows"][0]["ratio"] += 1
    assert not all(figure in text for figure in expected_query_figures(results))


def expected_epyc_figures(query: dict, decode: dict) -> list[str]:
    million, grid = ({row["key"]: row for row in found["rows"]} for found in (query["million"], decode["decode"]))
    photo, paper = grid["photo"], grid["paper"]
    points = f"a million points {million['photograph']['ratio']} and {million['paper']['ratio']} times"
    products = f"ONNX Runtime {photo['onnx_over_products']:.2f} and {paper['onnx_over_products']:.2f} times"
    return [points, f"{products}, in {photo['onnx_over_torch']:.2f} and {paper['onnx_over_torch']:.2f} of PyTorch's time"]


def test_figures_of_another_machine_come_from_the_results() -> None:
    query, decode = (json.loads((ROOT / "tools" / "results" / f"{name}_epyc.json").read_text()) for name in ("query", "decode"))
    text = " ".join(README.split())
    assert "AMD EPYC" in query["million"]["machine"]["cpu"] and "AMD EPYC" in decode["decode"]["machine"]["cpu"]
    assert all(figure in text for figure in expected_epyc_figures(query, decode)), expected_epyc_figures(query, decode)
    decode["decode"]["rows"][0]["onnx_over_products"] += 1
    assert not all(figure in text for figure in expected_epyc_figures(query, decode))


def test_make_targets_and_linked_files_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)", README)) <= targets
    for link in re.findall(r"\]\(([^)]+)\)", README):
        assert (ROOT / link).exists(), link


def test_documented_options_exist() -> None:
    from inrcodec.cli import cli

    for verb, text in re.findall(r"^inrcodec (\w+) (.*)$", README, re.MULTILINE):
        command = cli.get_command(None, verb)  # type: ignore[arg-type]
        if isinstance(command, click.Group):
            command = command.get_command(None, text.split()[0])  # type: ignore[arg-type]
        assert command is not None
        known = {name for param in command.params for name in param.opts}
        for option in re.findall(r"(?<!\w)(--?[a-z][a-z-]*)", text):
            assert option in known, (verb, option)
