"""Benchmarks, the demo, and the makers of committed files. Not part of the package."""
