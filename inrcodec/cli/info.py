"""inrcodec info"""

from typing import Any

import click

from inrcodec.cli.common import AS_JSON, human_bytes, read_inr
from inrcodec.cli.verbosity import VERBOSE
from inrcodec.spec import FLOAT32_TOLERANCE


@click.command(epilog="Example:  inrcodec info photo.inr", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("input")
@AS_JSON
@VERBOSE
def command(input: str, as_json: bool) -> None:
    """Say what INPUT (an .inr file; - for stdin) holds; the network is not run."""
    from inrcodec.inspect import to_json
    from inrcodec.opening import open_inr

    info = open_inr(read_inr(input)).info
    click.echo(to_json(info) if as_json else table(info))


def _number(value: float) -> str:
    return f"{value:.4f}" if abs(value) >= 0.1 else f"{value:.4g}"


def table(info: dict[str, Any]) -> str:
    """The description as text for people."""
    axes = " x ".join(str(axis["n"]) for axis in info["axes"])
    names = " x ".join(axis["name"] for axis in info["axes"])
    names_of_channels = [channel["name"] for channel in info["channels"]]
    channels = "".join(names_of_channels) if info["dtype"] is None else ", ".join(names_of_channels)
    depth = f"{info['bits']} bits" if info["dtype"] is None else info["dtype"]
    network = dict(info["network"])
    levels = network.pop("levels", [])
    lines = [
        f"{info['kind']}  {axes} ({names}), {channels}, {depth}  .inr {info['version']}, level {info['level']}",
        f"{human_bytes(info['bytes'])}, {info['bpp']:.3f} bpp, {info['parameters']} parameters, {info['macs_per_sample']} MACs per sample",
        "network   " + network.pop("id") + "  " + ", ".join(f"{key} {value}" for key, value in network.items()),
    ]
    for channel in info["channels"]:
        if "low" in channel:
            lines.append(f"range     {channel['name']}  {channel['low']:g} .. {channel['high']:g}")
    if info["space"]:
        spacing = " x ".join(f"{step:g}" for step in info["space"]["spacing"])
        lines.append(f"spacing   {spacing} {info['space'].get('units', '')}".rstrip())
    if levels:
        lines.append(
            "levels    " + ", ".join(f"{level['resolution']} ({level['entries']})" for level in levels) + "  vertices per axis (entries)"
        )
    if info["residual"] is not None:
        bound, evaluation = info["residual"]["bound"], "float32" if info["residual"]["tolerance"] >= FLOAT32_TOLERANCE else "float64"
        size = next(tensor["bytes"] for tensor in info["tensors"] if tensor["codec"] == "residual")
        told = f"samples within {bound:g} of the source" if bound else "lossless"
        lines.append(f"residual  {told}, {human_bytes(size)}, added to {evaluation} evaluation")
    if info["tiles"] is not None:
        tiles, sizes = info["tiles"], info["tiles"]["bytes"]
        sides = " to ".join(" x ".join(map(str, tiles[name])) for name in ("smallest", "largest"))
        held = ", ".join(f"{name} {human_bytes(sizes[name])}" for name in ("least", "median", "most"))
        lines.append(f"tiles     {tiles['count']}, {sides}, overlap {' x '.join(map(str, tiles['overlap']))}; {held}")
    for metric in info["metrics"]:
        lines.append(f"{metric['metric']:9} {_number(metric['value'])} {metric.get('unit', '')}".rstrip())
    for key, value in info["provenance"].items():
        lines.append(f"{key:9} {value}")
    for chunk in info["chunks"]:
        lines.append(f"chunk     {chunk['type']}  {human_bytes(chunk['bytes'])}")
    lines.append("")
    lines.append(f"{'tensor':18} {'shape':>14} {'codec':>9} {'bytes':>9} {'bits/parameter':>15}")
    for tensor in info["tensors"]:
        shape = "x".join(map(str, tensor["shape"]))
        lines.append(f"{tensor['name']:18} {shape:>14} {tensor['codec']:>9} {tensor['bytes']:>9} {tensor['bits_per_parameter']:>15.3f}")
    return "\n".join(lines)
