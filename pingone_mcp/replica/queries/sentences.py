"""What is said of a statement that is refused, or failed: what is wrong, and what to write instead."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable

from pingone_mcp.directory.text.harmless import harmless
from pingone_mcp.errors import Refused
from pingone_mcp.nearest import did_you_mean
from pingone_mcp.replica.queries.allowed import FUNCTIONS, LONGEST_NAME, LONGEST_VALUE, MOST_STRIPPED, TABLE_FUNCTIONS
from pingone_mcp.replica.store.schema import VIEWS

_LONGEST_MESSAGE = 200


_VIEWS_HINT = f"Views: {', '.join(VIEWS)}."


ONE_SELECT = f"Write one SELECT (or WITH … SELECT). {_VIEWS_HINT}"


def refusal(action: int, first: str, second: str) -> str:
    """Say what an authorizer has refused, by the action and the names that SQLite gives it."""
    match action:
        case sqlite3.SQLITE_READ:
            return f"{_shown(first)} cannot be read: it is not one of the views."
        case sqlite3.SQLITE_UPDATE if first == "sqlite_master":  # how SQLite sets up a virtual table
            return f"Beside the views only {' and '.join(TABLE_FUNCTIONS)} can be read."
        case sqlite3.SQLITE_FUNCTION:
            return f"The function {_shown(second)} is not available here."
        case sqlite3.SQLITE_ATTACH | sqlite3.SQLITE_DETACH:
            return "Other databases cannot be attached."
        case sqlite3.SQLITE_PRAGMA:
            return "PRAGMA is not available."
        case sqlite3.SQLITE_TRANSACTION | sqlite3.SQLITE_SAVEPOINT:
            return "Transactions are not available."
    return "Nothing can be written, created or dropped: the copy is read-only."


def invalid(outline: sqlite3.Connection, text: str, message: str) -> Refused:
    """Turn what SQLite says about a statement into what helps to write the next one."""
    if found := re.fullmatch(r"((?:no such|ambiguous) [a-z ]+): (.+)", message, re.DOTALL):
        return _misnamed(text, found[1], found[2])
    if found := re.fullmatch(r'(?:near|unrecognized token:) "(.*?)"?(?:: syntax error)?', message, re.DOTALL):
        place = _place(outline, text, found[1])
        return _refuse(
            f"The SQL cannot be read at {_shown(found[1])}{place}.", f"The dialect is SQLite's. {ONE_SELECT}"
        )
    if "one statement" in message:
        return Refused("That is more than one statement.", ONE_SELECT, code="SQL_REFUSED")
    if "bindings" in message or "variable" in message:
        return _refuse(
            "The SQL has parameters (?, :name), for which there are no values.", "Write the values in their place."
        )
    if "incomplete input" in message:
        return _refuse("The SQL ends too early.", ONE_SELECT)
    if re.search(r"too (many|large|big|complex)|at most|overflow|circular", message):
        return too_complicated()
    return _refuse(f"SQLite says: {_shown(message, _LONGEST_MESSAGE)}.", ONE_SELECT)


def _misnamed(text: str, mistake: str, name: str) -> Refused:
    """Say what to call instead what SQLite does not find under its name, or finds more than once."""
    last = name.rpartition(".")[2]
    match mistake:
        case "no such column":
            return _unknown_column(text, name)
        case "no such function":
            return _refuse(f"There is no function {_shown(name)}.", _near(name, FUNCTIONS), "Functions are SQLite's.")
        case "ambiguous column name":
            return _refuse(
                f"More than one of the views has a column {_shown(name)}.", "Write view.column, or alias.column."
            )
        case "no such table" if last.lower() in VIEWS:
            return _refuse(f"There is no {_shown(name)}.", "Write the name of the view alone.", _VIEWS_HINT)
        case "no such table":
            return _refuse(f"There is no view {_shown(last)}.", _near(last, VIEWS), _VIEWS_HINT)
    return _refuse(f"SQLite says: {_shown(f'{mistake}: {name}', _LONGEST_MESSAGE)}.", ONE_SELECT)


def _refuse(what: str, *steps: str) -> Refused:
    return Refused(what, " ".join(filter(None, steps)), code="SQL_INVALID")


def instead(refused: str) -> str:
    """Return the next step after a refusal."""
    if "function" in refused:
        return "Use SQLite's functions for text, numbers, times, aggregates, windows and JSON."
    return ONE_SELECT


def _unknown_column(text: str, written: str) -> Refused:
    name = written.rpartition(".")[2]
    words = set(re.findall(r"\w+", text.lower()))
    involved = [view for view in VIEWS if view in words]
    columns = dict.fromkeys(column for view in involved for column in VIEWS[view].columns)
    elsewhere = [view for view, described in VIEWS.items() if name.lower() in described.columns]
    hint = _near(name, columns)
    if elsewhere and not hint:
        hint = f"It is a column of {', '.join(elsewhere)}."
    listed = (f"{view} has: {', '.join(VIEWS[view].columns)}." for view in involved[:3])
    return _refuse(f"There is no column {_shown(written)}.", hint, *(listed if involved else (_VIEWS_HINT,)))


def _near(name: str, known: Iterable[str]) -> str:
    return did_you_mean(name.rstrip("_"), known, most=3)


def _place(outline: sqlite3.Connection, text: str, token: str) -> str:
    """Say where the token stands that SQLite stumbled over, as far as that can be found out.

    SQLite names the token, not its place. Of several the right one is the last up to which the text can be read: a
    character that is none of SQL's, put there, is then what SQLite stumbles over.
    """
    places = [found.start() for found in re.finditer(re.escape(token), text)] if token else []
    if len(places) > 1:
        places = [place for place in places[:20] if _reads_up_to(outline, text[:place])]
    return f", character {places[-1] + 1} of {len(text)}" if places else ""


def _reads_up_to(outline: sqlite3.Connection, text: str) -> bool:
    try:
        outline.execute(f"EXPLAIN\n{text} \x01")
    except (sqlite3.Error, sqlite3.Warning, MemoryError) as error:
        return str(error) == 'unrecognized token: "\x01"'
    return False


def _shown(text: str, most: int = LONGEST_NAME) -> str:
    """Show a part of the statement, which may be long and may hold anything."""
    clean = harmless(text)
    return clean if len(clean) <= most else f"{clean[:most]}…"


def too_complicated() -> Refused:
    return Refused(
        "The SQL is too complicated: too many parts, or nested too deeply.",
        "Ask in smaller parts; say IN (…) for many alternatives.",
        code="SQL_TOO_LARGE",
    )


def too_slow(seconds: float) -> Refused:
    """Return what is said of a query that did not end in time."""
    return Refused(
        f"The query did not end within {seconds:g} s.",
        "Add a WHERE, join on ids, or aggregate; a recursive query needs a bound.",
        code="SQL_TOO_SLOW",
    )


# By a part of SQLite's message.
_CAUSES: dict[str, tuple[str, str]] = {
    "MATCH": (
        "MATCH works on `people` alone, as a condition that stands for itself.",
        "Write: SELECT u.* FROM people JOIN users u ON u.id = people.id WHERE people MATCH 'ann*'.",
    ),
    "unable to use function": (
        "highlight, snippet and bm25 work on `people` alone, beside its MATCH.",
        "Write: SELECT highlight(people, 2, '<', '>') FROM people WHERE people MATCH 'ann*'.",
    ),
    "JSON": (
        "A JSON function met a text that is not JSON, or a path that is none.",
        "Paths look like '$.name'; json_valid(text) tells what is JSON.",
    ),
    "LIKE or GLOB": ("The pattern of LIKE or GLOB is too long.", "Use one of at most 128 bytes."),
    "integer overflow": ("A sum became too large for an integer.", "Use total() instead of sum()."),
    "user-defined function": (
        (
            f"trim, ltrim and rtrim take a text and at most {MOST_STRIPPED} characters to take off; printf and format "
            "take no width from an argument (*)."
        ),
        "Use replace or substr instead, or write the width as digits.",
    ),
    **dict.fromkeys(
        ("fts5", "unterminated string", "no such column", "unknown special query"),
        (
            "The words after MATCH cannot be read.",
            (
                "Put what is not letters and digits in double quotes inside: MATCH '\"ann@example.com\"'; ann* is a prefix; "
                "AND, OR, NOT and title:engineer work."
            ),
        ),
    ),
}


_OTHER_CAUSE = ("The query failed while it ran.", f"Try a simpler one, step by step. {ONE_SELECT}")


def failed(error: sqlite3.Error | MemoryError, seconds: float, *, was_stopped: bool) -> Exception:
    """Say what went wrong while a query ran. SQLite's message is read but never shown: it may quote what it read."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_NOMEM) & 0xFF
    message = str(error)
    if was_stopped:
        return too_slow(seconds)
    match code:
        case sqlite3.SQLITE_TOOBIG:
            return Refused(
                f"A value became longer than {LONGEST_VALUE:,} bytes.",
                "Take a part of it (substr, json_extract), or aggregate fewer rows into one text.",
                code="SQL_TOO_LARGE",
            )
        case sqlite3.SQLITE_NOMEM:
            return Refused(
                "The query needs too much memory.",
                "Select fewer columns, add a WHERE, or put a LIMIT behind ORDER BY.",
                code="SQL_TOO_LARGE",
            )
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_IOERR:
            return error
    if "at most" in message or "too many" in message:  # a view is several tables
        return too_complicated()
    return _refuse(*_CAUSES.get(next((part for part in _CAUSES if part in message), ""), _OTHER_CAUSE))
