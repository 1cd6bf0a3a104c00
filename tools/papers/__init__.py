"""The tables and figures of the two papers, measured here: one command for each (see __main__.py)."""
