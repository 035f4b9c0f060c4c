"""Texts that are shipped with the package: in a checkout their folder lies beside it, in a wheel inside it."""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable


def shipped_folder(name: str) -> Traversable:
    """Return a folder of texts, `docs` or `prompts`."""
    inside = resources.files("pingone_mcp") / name
    return inside if inside.is_dir() else resources.files("pingone_mcp") / ".." / name
