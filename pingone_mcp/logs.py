"""What is logged: on stderr, from warnings on, and as harmless to look at as all that people see."""

from __future__ import annotations

import logging
import sys
from types import TracebackType

from pingone_mcp.advice import spelled
from pingone_mcp.directory.text import harmless_lines


class _Harmless(logging.Formatter):
    """A message may name a file, and a traceback anything that stands in a directory."""

    def format(self, record: logging.LogRecord) -> str:
        return harmless_lines(spelled(super().format(record)))


def log_harmlessly() -> None:
    """Log so from now on, what nobody catches too; where logging is set up already (as the SDK does) it stays so."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Harmless())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    sys.excepthook = _log_uncaught


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    logging.getLogger(__name__).critical("This is a bug of pingone-mcp:", exc_info=(kind, error, trace))
