"""The version of the package; the format has its own (spec.MAJOR, spec.MINOR)."""

VERSION = "0.1.0"
