"""Trained networks as files for elsewhere: one function and its word in `FORMATS` per format."""

from __future__ import annotations

from cnnjax.export.write import FORMATS, check_output, write

__all__ = ["FORMATS", "check_output", "write"]
