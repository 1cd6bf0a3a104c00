"""Measure volumes, shapes, sound and video on this machine's CPU, beside others, and write tools/results/signals_cpu.json.

    python -m tools.bench_signals [--only volumes,peers,curves,...] [--items hdz2000,stent] [--resume]

volumes  inrcodec at seven compression ratios
peers    SZ3, ZFP, TTHRESH and SPERR at the same ratios
curves   both as tools/results/volumes.png and as a table with the losses
shapes   meshes through inrcodec, and Draco of the decimated mesh at the same bytes
finer    loss curves of SASNet, SIREN and MSA by the FINER protocol, in equal time, as tools/results/finer.png
sound    inrcodec beside FLAC and Opus
video    inrcodec beside x264, x265 and AV1

The data is in the folder that DATA names, or shared/data beside the repository. Sections that are not run keep what the file holds, a
row is written when it is finished, and --resume leaves out the rows that are there. --items takes parts of rows' keys. The other
compressors are in the extra "peers"; the program tthresh is used where it is on the path.
"""

import argparse
from pathlib import Path

from tools.bench_common import RESULTS, Results

SECTIONS = ("peers", "volumes", "curves", "shapes", "finer", "sound", "video")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, by commas")
    parser.add_argument("--items", default="", help="parts of the keys of the rows to measure, by commas")
    parser.add_argument("--resume", action="store_true", help="leave out rows that are there")
    parser.add_argument("--effort", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=180.0, help="of each network of `finer`")
    parser.add_argument("--out", type=Path, default=RESULTS / "signals_cpu.json")
    arguments = parser.parse_args()
    only = arguments.only.split(",")
    unknown = sorted(set(only) - set(SECTIONS))
    if unknown:
        parser.error(f"--only: expected some of {','.join(SECTIONS)}, got {','.join(unknown)}")
    results = Results(arguments.out, tuple(part for part in arguments.items.split(",") if part), arguments.resume)
    for name in only:
        print(f"== {name}", flush=True)
        run(name, results, effort=arguments.effort, seconds=arguments.seconds)


def run(name: str, results: Results, *, effort: int, seconds: float) -> None:
    """One section; its module is imported only now, so that one missing package does not stop the others."""
    if name == "peers":
        from tools.bench_peers import peers_section

        peers_section(results)
    elif name == "volumes":
        from tools.bench_volumes import volumes_section

        volumes_section(results, effort=effort)
    elif name == "curves":
        from tools.bench_volumes import curves_section

        curves_section(results)
    elif name == "shapes":
        from tools.bench_shapes import shapes_section

        shapes_section(results, effort=effort)
    elif name == "finer":
        from tools.bench_finer import finer_section

        finer_section(results, seconds=seconds)
    elif name == "sound":
        from tools.bench_sound import sound_section

        sound_section(results, effort=effort)
    elif name == "video":
        from tools.bench_video import video_section

        video_section(results, effort=effort)


if __name__ == "__main__":
    main()
