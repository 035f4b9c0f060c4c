"""What a person types to find people: the ways to read it, as filters on fields of the unified user."""

from __future__ import annotations

from pingone_mcp.directory.matching.filters import All, Filter, sw
from pingone_mcp.errors import Refused

FIELDS = ("username", "email", "first_name", "last_name", "name")


def readings(text: str) -> list[Filter]:
    """Return the ways to read what a person types, the likeliest first; who fits one of them is found.

    An address: start of username or email. A single word: start of username, email, given, family or whole name.
    Several words: all of them as family, given or whole name, and every division of them into a given and a family
    name, in either order; the words between the first and the last may be missing, as middle names are. `Family, Given`
    is understood too. Raises Refused where nothing is typed.
    """
    whole, words = " ".join(text.split()), _words(text)
    if len(words) == 1:
        fields = ("username", "email") if "@" in words[0] else FIELDS
        return [sw(name, words[0]) for name in fields]
    turned = " ".join(words)
    parts: list[Filter] = [_called(words[0], words[-1]), _called(words[-1], words[0])]
    parts += [sw(name, turned) for name in ("last_name", "first_name", "name")]
    parts += [sw("name", whole), sw("username", whole)]
    divisions = [(" ".join(words[:at]), " ".join(words[at:])) for at in range(1, len(words) - 1)]
    parts += [_called(first, last) for first, last in divisions]
    parts += [_called(last, first) for first, last in divisions]
    # Where logins are made of names, accents are left out of them.
    parts += [sw(name, ".".join(words)) for name in ("username", "email")]
    return list(dict.fromkeys(parts))


def certain_words(text: str) -> set[str]:
    """Return the words that everybody has whom a search finds: the first and the last."""
    words = _words(text)
    return {words[0], words[-1]}


def _words(text: str) -> list[str]:
    """Return the words of a name, those behind a comma first. Raises Refused where there are none."""
    family, _, given = text.partition(",")
    words = f"{given} {family}".replace(",", " ").split()
    if not words:
        raise Refused("`query` is empty.", "Give the start of a name, username or email.", code="EMPTY_QUERY")
    return words


def _called(given: str, family: str) -> Filter:
    return All((sw("first_name", given), sw("last_name", family)))
