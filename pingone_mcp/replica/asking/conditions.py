"""Conditions of SQL on users of the local copy; texts are compared in any case, as PingOne does."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import Any

from pingone_mcp.directory.text.harmless import PLAIN_LETTERS, unaccented

UNUSUAL = "({0} GLOB '*[^ -~]*' OR {0} GLOB ' *' OR {0} GLOB '* ' OR {0} GLOB '*  *' OR instr({0}, char(0)))"
"""That a text may be folded to another one than its lower case: letters beyond ASCII, spaces at the ends or in a row,
and what stands behind a NUL."""
_SPELLINGS = 64
_WRITTEN = {
    plain: [letter for letter, meant in PLAIN_LETTERS.items() if meant == plain] for plain in PLAIN_LETTERS.values()
}
_PARTS = re.compile("|".join([*sorted(map(re.escape, _WRITTEN), key=len, reverse=True), "."]), re.DOTALL)


class NotHeld(Exception):
    """The local copy does not hold what was asked for, so that only the provider can answer."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on `u`, a row of users_, with the values of its marks; the text is always of our own making."""

    sql: str
    values: tuple[Any, ...] = ()


EVERYBODY = Condition("1")


def both(*parts: Condition) -> Condition:
    kept = [part for part in parts if part is not EVERYBODY]
    return _joined(kept, "AND") if kept else EVERYBODY


def either(parts: Iterable[Condition]) -> Condition:
    """Return that one of the parts holds (at least one must be given)."""
    return _joined(list(parts), "OR")


def negated(part: Condition) -> Condition:
    """Return what holds where a condition does not; a condition that cannot be decided does not hold."""
    return Condition(f"NOT coalesce({part.sql}, 0)", part.values)


def one_of(column: str, values: Sequence[str]) -> Condition:
    """Return that a column has one of some values; they travel as one JSON list, however many they are."""
    if len(values) == 1:
        return Condition(f"{column} = ?", tuple(values))
    return Condition(f"{column} IN (SELECT value FROM json_each(?))", (json.dumps(list(values)),))  # noqa: S608 - our own text


def _joined(parts: Sequence[Condition], word: str) -> Condition:
    if len(parts) == 1:
        return parts[0]
    sql = f" {word} ".join(part.sql for part in parts)
    return Condition(f"({sql})", tuple(value for part in parts for value in part.values))


def as_folded(column: str) -> str:
    """Return SQL of a text as `identity.folded` returns it, '' for none; Python is asked where SQLite cannot do it."""
    return f"CASE WHEN {column} IS NULL THEN '' WHEN {UNUSUAL.format(column)} THEN folded({column}) ELSE lower({column}) END"


def equals(column: str, value: str) -> Condition:
    """Return that a text is this one, in any case. An index of the column (COLLATE NOCASE) serves plain ASCII."""
    if _is_plain(value):
        return Condition(f"{column} = ? COLLATE NOCASE", (value,))
    return Condition(f"lowered({column}) = ?", (bindable(value).lower(),))


def starts(column: str, value: str) -> Condition:
    """Return that a text starts so, in any case."""
    if not value:
        return Condition(f"{column} IS NOT NULL")
    if _is_plain(value):
        begin = value.lower()
        beyond = begin[:-1] + chr(ord(begin[-1]) + 1)
        return Condition(
            f"({column} >= ? COLLATE NOCASE AND {column} < ? COLLATE NOCASE)",
            (begin, beyond),
        )
    wanted = bindable(value).lower()
    return Condition(f"substr(lowered({column}), 1, ?) = ?", (len(wanted), wanted))


def starts_unaccented(column: str, value: str) -> Condition:
    """Return that a text starts so, in any case and with or without accents."""
    wanted = unaccented(bindable(value))
    return Condition(f"substr(unaccented({column}), 1, ?) = ?", (len(wanted), wanted))


NAMES = "username name email"
"""The columns of the index of words in which people are looked for by what they are called."""


def has_words(words: Iterable[str], columns: str = NAMES) -> Condition:
    """Return that a user has words that begin so in names, username or email, with or without accents."""
    match = words_match(words, columns)
    if match is None:
        return EVERYBODY
    return Condition("u.number IN (SELECT p.rowid FROM people p WHERE p.people MATCH ?)", (match,))


def words_match(words: Iterable[str], columns: str = NAMES) -> str | None:
    """Return what `people` is to match for words that begin so in some columns; None where no word has a letter.

    The index of words knows no accents, but some letters to it are letters of their own: those are tried each.
    """
    spelt = (" OR ".join(f'"{one}"*' for one in _spellings(unaccented(bindable(word)))) for word in words)
    wanted = " AND ".join(f"({one})" for one in spelt if one)
    return f"{{{columns}}} : ({wanted})" if wanted else None


def _spellings(word: str) -> list[str]:
    """Return how a word without accents may be written with letters that are no letters with accents."""
    if not any(character.isalnum() for character in word):
        return []  # the index has no words without letters and digits
    choices = [[part, *_WRITTEN.get(part, ())] for part in _PARTS.findall(word.replace('"', " "))]
    return ["".join(chosen) for chosen in islice(product(*choices), _SPELLINGS)]


def ends(column: str, value: str) -> Condition:
    """Return that a text ends so, in any case."""
    if not value:
        return Condition(f"{column} IS NOT NULL")
    if _is_plain(value):
        return Condition(f"substr({column}, ?) = ? COLLATE NOCASE", (-len(value), value))
    wanted = bindable(value).lower()
    return Condition(f"substr(lowered({column}), ?) = ?", (-len(wanted), wanted))


def bindable(text: str) -> str:
    """Return a text as the copy keeps it: without U+0000, and what is no Unicode (a lone surrogate) is replaced."""
    kept = text.replace("\0", "")
    return kept if kept.isascii() else kept.encode("utf-8", "replace").decode()


def _is_plain(text: str) -> bool:
    """Say whether SQLite's own comparison will do: it knows ASCII, and takes NUL for an end."""
    return text.isascii() and "\0" not in text


def member(group: str, kind: str = "") -> Condition:
    """Return that a user is in a group: in any way, or `direct` or `indirect` only."""
    held = membership(group, kind)
    return Condition(f"u.id IN (SELECT m.user_id FROM memberships_ m WHERE {held.sql})", held.values)  # noqa: S608 - our own text


def membership(group: str, kind: str = "") -> Condition:
    """Return the same on `m`, a row of memberships_."""
    same, values = (" AND m.type = ?", (group, kind)) if kind else ("", (group,))
    return Condition(f"m.group_id = ?{same}", values)
