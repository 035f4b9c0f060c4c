"""Advice names a setting; the face that shows it spells the name: a variable, a field of a page, a member of an object.

`setting("populations")` puts a mark into a text; `spelled` replaces each mark by what the reader of the text knows the
setting by. A mark begins and ends with a control character. Those are taken out of all that comes from a directory
(`directory.text`), so no name there can pass for a mark; one that nobody spelled would show as the bare name.
"""

from __future__ import annotations

import re
from collections.abc import Callable

Spelling = Callable[[str, str | None], str]
"""What a setting is called where a text is read: from its name, and the value that is advised (None: none is)."""

PREFIX = "PINGONE_"
# Shift out and shift in: what stands between them is read in another alphabet (ECMA-48).
_OUT, _IN = "\x0e", "\x0f"
_MARK = re.compile(rf"{_OUT}([a-z_]+)(?:=([^{_OUT}{_IN}]*))?{_IN}")


def setting(name: str, value: str | None = None) -> str:
    """Return the mark of a setting, a field of `settings.Settings`, with the value that is advised, if one is."""
    return f"{_OUT}{name}{_IN}" if value is None else f"{_OUT}{name}={value}{_IN}"


def variable(name: str, value: str | None = None) -> str:
    """Spell a setting as the environment variable that holds it, as people set it who start the server."""
    return f"{PREFIX}{name.upper()}" if value is None else f"{PREFIX}{name.upper()}={value}"


def spelled(text: str, spelling: Spelling = variable) -> str:
    """Return a text with its settings as the reader knows them."""
    return _MARK.sub(lambda mark: spelling(mark[1], mark[2]), text) if _OUT in text else text
