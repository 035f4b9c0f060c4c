"""What is logged: on stderr, from warnings on, and as harmless to look at as all that people see."""

from __future__ import annotations

import logging

from pingone_mcp.directory.text import harmless_lines


class _Harmless(logging.Formatter):
    """A message may name a file, and a traceback anything that stands in a directory."""

    def format(self, record: logging.LogRecord) -> str:
        return harmless_lines(super().format(record))


def log_harmlessly() -> None:
    """Log so from now on; where logging is set up already (the SDK would do so too) it stays as it is."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Harmless())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
