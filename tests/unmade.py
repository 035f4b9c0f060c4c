"""What a file is made of that may be lacking here, and what is raised then."""

from __future__ import annotations

from pathlib import Path

SHARED = Path(__file__).resolve().parents[2] / "shared"
"""Reference material that may lie beside the project; it is no part of it."""


class CannotBeMade(Exception):
    """What is lacking here, and that nothing is said about the file therefore."""
