"""What is logged: on stderr, from warnings on, and as harmless to look at as all that people see."""

from __future__ import annotations

import logging
import sys
from types import TracebackType

from pingone_mcp.advice import spelled
from pingone_mcp.current_connection import current_connection
from pingone_mcp.directory.text.harmless import harmless_lines


class HarmlessFormatter(logging.Formatter):
    """A line names the connection it is about. A message may name a file, a traceback anything out of a directory."""

    def format(self, record: logging.LogRecord) -> str:
        connection = current_connection()  # a handler runs where the record was made
        whose = f"[{connection}] " if connection is not None else ""
        return harmless_lines(spelled(whose + super().format(record)))


def log_harmlessly() -> None:
    """Log so from now on, what nobody catches too; where logging is set up already (as the SDK does) it stays so."""
    handler = logging.StreamHandler()
    handler.setFormatter(HarmlessFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    sys.excepthook = _log_uncaught


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    logging.getLogger(__name__).critical("This is a bug of pingone-mcp:", exc_info=(kind, error, trace))
