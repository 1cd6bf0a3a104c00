"""Give damaged files to every reader, and say where one fails with anything but an error of the package, or takes too much.

    python -m tools.fuzz [--seconds S | --count N] [--only file,map,...] [--seed K] [--start N] [--json FILE] [--out build/fuzz]

An input follows from the seed, the target's name and its number, so that `--seed K --start N --count 1 --only T` gives one again. What
goes wrong is written into a folder. Ends with 1 if anything did.
"""

import argparse
import json
import sys
from pathlib import Path

from tools import fuzz_inr, fuzz_signals
from tools.fuzz_run import MEMORY, SECONDS, Target, fuzz, kept

OUT = Path("build") / "fuzz"


def all_targets() -> tuple[Target, ...]:
    return (*fuzz_inr.targets(), *fuzz_signals.targets())


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seconds", type=float, help="of each target; 10 unless --count is there")
    parser.add_argument("--count", type=int, help="inputs of each target")
    parser.add_argument("--only", default="", help="targets, separated by commas")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=int, default=0, help="number of the first input")
    parser.add_argument("--json", type=Path, help="write the summary here; else to stdout")
    parser.add_argument("--out", type=Path, default=OUT, help="where inputs go on which a reader failed")
    options = parser.parse_args(arguments)
    targets = all_targets()
    wanted = [name for name in options.only.split(",") if name]
    unknown = set(wanted) - {target.name for target in targets}
    if unknown:
        parser.error(f"--only: expected some of {', '.join(t.name for t in targets)}, got {', '.join(sorted(unknown))}")
    told, findings = {}, []
    duration = 10.0 if options.seconds is None and options.count is None else options.seconds
    for target in targets:
        if wanted and target.name not in wanted:
            continue
        summary, found = fuzz(target, seed=options.seed, start=options.start, count=options.count, duration=duration)
        told[target.name] = summary.told()
        findings += found
        line = f"{target.name:8} {summary.inputs:7} inputs, {told[target.name]['inputs_per_second']}/s, slowest {summary.slowest:.2f} s"
        print(f"{line}, {len(found)} findings", file=sys.stderr)
    if findings:
        kept(findings, targets, options.seed, options.out)
    listed = [{"target": f.target, "number": f.number, "what": f.what, "message": f.message.strip()[-600:]} for f in findings]
    whole = {"seed": options.seed, "seconds": SECONDS, "memory": MEMORY, "targets": told, "findings": listed}
    text = json.dumps(whole, indent=1) + "\n"
    if options.json is None:
        print(text, end="")
    else:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(text)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
