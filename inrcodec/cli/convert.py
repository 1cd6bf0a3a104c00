"""inrcodec convert"""

from pathlib import Path

import click

from inrcodec.cli.common import NO_OVERWRITE, check_output, read_inr, read_source, write_output
from inrcodec.cli.verbosity import VERBOSE
from inrcodec.errors import UsageError

SUFFIXES = (".inr",)


@click.command(
    epilog="Example:  inrcodec convert photo.inr -o bare.inr --strip",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.argument("input")
@click.option("-o", "--output", required=True, help="File to write; its suffix says as what: .inr. - for an .inr on stdout.")
@click.option("--strip", is_flag=True, help="Leave out EXIF, XMP, provenance, metrics and all else but the colour profile.")
@click.option("--exif", metavar="FILE", help="EXIF to put in, from its TIFF header on, in place of the file's.")
@click.option("--icc", metavar="FILE", help="Colour profile to put in, of an image; the samples stay what they are.")
@click.option("--xmp", metavar="FILE", help="XMP packet to put in.")
@NO_OVERWRITE
@VERBOSE
def command(input: str, output: str, strip: bool, exif: str | None, icc: str | None, xmp: str | None, no_overwrite: bool) -> None:
    """Write INPUT (an .inr file; - for stdin) anew: chunks in canonical order and form, other metadata, the same samples.

    Nothing is fitted or decoded. Unknown chunks that are not safe to copy are left out.
    """
    check_output(output, overwrite=not no_overwrite, source=input)
    suffix = Path(output).suffix.lower()
    if output != "-" and suffix not in SUFFIXES:
        raise UsageError(f"{output}: convert: expected a name with the suffix {' or '.join(SUFFIXES)}, got {suffix or 'none'}")

    from inrcodec.convert import rewrapped
    from inrcodec.files import read_bytes

    parts = {name: None if file is None else read_bytes(read_source(file)) for name, file in (("exif", exif), ("icc", icc), ("xmp", xmp))}
    result = rewrapped(read_bytes(read_inr(input)), strip=strip, exif=parts["exif"], icc=parts["icc"], xmp=parts["xmp"])
    write_output(output, result, overwrite=not no_overwrite)
