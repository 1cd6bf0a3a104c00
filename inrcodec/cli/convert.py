"""inrcodec convert"""

from pathlib import Path

import click

from inrcodec.cli.common import NO_OVERWRITE, check_output, read_inr, read_source, write_output
from inrcodec.cli.verbosity import VERBOSE
from inrcodec.errors import UsageError

SUFFIXES = (".inr", ".html")


@click.command(
    epilog="Example:  inrcodec convert photo.inr photo.html",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.argument("input")
@click.argument("target", metavar="[OUTPUT]", required=False)
@click.option("-o", "--output", help="File to write, or a second argument; its suffix says as what: .inr, .html. - for an .inr on stdout.")
@click.option("--strip", is_flag=True, help="Leave out EXIF, XMP, provenance, metrics and all else but the colour profile.")
@click.option("--exif", metavar="FILE", help="EXIF to put in, from its TIFF header on, in place of the file's.")
@click.option("--icc", metavar="FILE", help="Colour profile to put in, of an image; the samples stay what they are.")
@click.option("--xmp", metavar="FILE", help="XMP packet to put in.")
@NO_OVERWRITE
@VERBOSE
def command(
    input: str,
    target: str | None,
    output: str | None,
    strip: bool,
    exif: str | None,
    icc: str | None,
    xmp: str | None,
    no_overwrite: bool,
) -> None:
    """Write INPUT (an .inr file; - for stdin) anew: chunks in canonical order and form, other metadata, the same samples.

    As .html it is one page that decodes the file in a browser, from a disk too: images to zoom, volumes by slices, shapes to turn, sound.

    Nothing is fitted or decoded. Unknown chunks that are not safe to copy are left out.
    """
    if (target is None) == (output is None):
        raise UsageError(f"convert: expected one output, got {'none' if output is None else 'two'}")
    name = output if target is None else target
    assert name is not None
    check_output(name, overwrite=not no_overwrite, source=input)
    suffix = Path(name).suffix.lower()
    if name != "-" and suffix not in SUFFIXES:
        raise UsageError(f"{name}: convert: expected a name with the suffix {' or '.join(SUFFIXES)}, got {suffix or 'none'}")

    from inrcodec.convert import rewrapped
    from inrcodec.files import read_bytes

    parts = {key: None if file is None else read_bytes(read_source(file)) for key, file in (("exif", exif), ("icc", icc), ("xmp", xmp))}
    result = rewrapped(read_bytes(read_inr(input)), strip=strip, exif=parts["exif"], icc=parts["icc"], xmp=parts["xmp"])
    if suffix == ".html":
        from inrcodec.html import html_page

        result = html_page(result, name=f"{Path(name).stem}.inr" if input == "-" else Path(input).name)
    write_output(name, result, overwrite=not no_overwrite)
