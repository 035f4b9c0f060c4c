"""One read-only SELECT over the documented views of the local copy, for an assistant whom nobody has to trust.

SQLite itself refuses; no pattern is matched. A statement is compiled twice:

1. Against an outline: an empty database in memory that holds nothing but the names of `schema.VIEWS`. What is not
   documented does not exist there, however it is quoted or shadowed (SQLite's authorizer alone would take the name of
   a common table expression for that of a view). Its messages can be passed on, since they cannot hold data.
2. Against the copy, opened read-only, where base tables are read from inside a view alone. The sentences about what
   fails there quote nothing.

Both times an authorizer (https://sqlite.org/c3ref/set_authorizer.html) allows SELECT, the views and the functions
listed here, and limits (https://sqlite.org/limits.html) bound what one statement may cost. What they do not bound ends
with the process that runs it (`processes.py`).
"""

from __future__ import annotations

import difflib
import json
import math
import re
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pingone_mcp.directory.text import harmless
from pingone_mcp.errors import Refused
from pingone_mcp.replica.store.schema import VIEWS

if TYPE_CHECKING:
    from pingone_mcp.directory.models import JsonObject

Cell = str | int | float | None

FUNCTIONS: frozenset[str] = frozenset(
    # Operators that are functions to SQLite.
    "-> ->> glob like match "
    # Text, numbers, choice.
    "abs char coalesce concat concat_ws format glob hex if ifnull iif instr length like likelihood likely lower ltrim max "
    "min nullif octet_length printf quote random replace round rtrim sign soundex substr substring trim typeof unicode "
    "unistr unlikely upper "
    "acos acosh asin asinh atan atan2 atanh ceil ceiling cos cosh degrees exp floor ln log log10 log2 mod pi pow power "
    "radians sin sinh sqrt tan tanh trunc "
    # Times.
    "current_date current_time current_timestamp date datetime julianday strftime time timediff unixepoch "
    # Aggregates and windows.
    "avg count group_concat median percentile percentile_cont percentile_disc string_agg sum total cume_dist dense_rank "
    "first_value lag last_value lead nth_value ntile percent_rank rank row_number "
    # JSON.
    "json json_array json_array_length json_error_position json_extract json_group_array json_group_object json_insert "
    "json_object json_patch json_pretty json_quote json_remove json_replace json_set json_type json_valid "
    # Full-text search.
    "bm25 highlight snippet".split()
)
TABLE_FUNCTIONS = ("json_each", "json_tree")
MOST_SQL = 8_000
"""Bytes of SQL in one question."""

_WORDS = "people"
# Where SQLite keeps the words of `people` (https://sqlite.org/fts5.html#fts5_data_structures).
_WORD_TABLES = frozenset(f"{_WORDS}_{part}" for part in ("data", "idx", "content", "docsize", "config"))
_LONGEST_VALUE = 32_768  # more than an answer holds; a few functions take time by the square of it
_LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: _LONGEST_VALUE,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: MOST_SQL + 100,
    sqlite3.SQLITE_LIMIT_COLUMN: 200,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 200,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 50,
    sqlite3.SQLITE_LIMIT_VDBE_OP: 50_000,
    sqlite3.SQLITE_LIMIT_FUNCTION_ARG: 64,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 128,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 1,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}
_STEPS = 1_000  # of SQLite's machine, between two looks at the clock
_LONGEST_NAME = 60
_LONGEST_MESSAGE = 200
_MOST_STRIPPED = 32
_VIEWS_HINT = f"Views: {', '.join(VIEWS)}."
_ONE_SELECT = f"Write one SELECT (or WITH … SELECT). {_VIEWS_HINT}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One statement for the copy at a path, and what its answer may cost.

    At most `limit` rows and `characters` of compact JSON, columns and rows together; `seconds` from when it was asked,
    of which it has `waited` some already.
    """

    path: str
    sql: str
    limit: int
    characters: int
    seconds: float
    waited: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The rows of a query, as arrays in the order of `columns`. `truncated`: there are more, or a long text was cut."""

    columns: list[str]
    rows: list[list[Cell]]
    row_count: int
    truncated: bool


def run_query(connection: sqlite3.Connection, query: Query, *, now: Callable[[], float] = time.monotonic) -> Answer:
    """Answer one SELECT over the views of the state that a transaction sees; a blob is shown as its size.

    `connection` is one of `Store.reader` in a transaction (`BEGIN`), good for nothing else afterwards. Blocks for what
    is left of the time, and for longer where SQLite does not ask for the time (`now` is in monotonic seconds).

    Raises Refused, which says how to write the query instead, and sqlite3.DatabaseError for a damaged file, which the
    reader turns into a Problem.
    """
    _check(query.sql)
    text = query.sql.rstrip("; \t\r\n\f")
    watch = _Watch(deadline=now() + query.seconds - query.waited, now=now)
    _compile(text, watch)
    connection.text_factory = lambda value: value.decode("utf-8", "replace")
    connection.execute("SELECT 1 FROM environments").fetchone()  # the schema is read: none changes from here on
    _bound(connection)
    connection.set_authorizer(_Gate(watch, tables=_in_copy))
    connection.set_progress_handler(watch, _STEPS)
    try:
        with _own_functions(connection):
            cursor = connection.execute(text)
            columns = [name[0][:_LONGEST_NAME] for name in cursor.description or ()]
            return _gathered(columns, cursor, limit=max(1, query.limit), characters=query.characters)
    except (sqlite3.Error, MemoryError) as error:
        raise _failed(error, watch, query.seconds) from None


class _Watch:
    """Whether the time of a query is over. Asked by SQLite, as a progress handler."""

    def __init__(self, *, deadline: float, now: Callable[[], float]) -> None:
        self._deadline = deadline
        self._now = now
        self.ended = False

    def __call__(self) -> bool:
        self.ended = self.ended or self._now() >= self._deadline
        return self.ended


class _Gate:
    """SQLite's authorizer for one statement: it keeps the first thing that it refused, and whether there is a SELECT.

    `tables` decides about reading a column, given the table, the column and the view that reads it, if any. The column
    is empty where rows are merely counted; then the table may also be a common table expression.
    Compiling is where no progress handler is asked (before SQLite 3.41), so the clock is looked at here too.
    """

    def __init__(self, watch: _Watch, *, tables: Callable[[str, str, str | None], bool]) -> None:
        self._watch = watch
        self._tables = tables
        self.refused: str | None = None
        self.selects = False

    def __call__(
        self, action: int, first: str | None, second: str | None, _database: str | None, inside: str | None
    ) -> int:
        if self._watch() or not self._allows(action, first or "", second or "", inside):
            self.refused = self.refused or _refusal(action, first or "", second or "")
            return sqlite3.SQLITE_DENY
        return sqlite3.SQLITE_OK

    def _allows(self, action: int, first: str, second: str, inside: str | None) -> bool:
        match action:
            case sqlite3.SQLITE_SELECT:
                self.selects = True
                return True
            case sqlite3.SQLITE_RECURSIVE:
                return True
            case sqlite3.SQLITE_FUNCTION:
                return second.lower() in FUNCTIONS
            case sqlite3.SQLITE_READ:
                return self._tables(first, second, inside)
            case sqlite3.SQLITE_PRAGMA:  # by which full-text search learns of changes, while it runs
                return self._tables is _in_copy and (first, second) == ("data_version", "")
        return False


def _in_outline(table: str, column: str, _inside: str | None) -> bool:
    if table in VIEWS or table in TABLE_FUNCTIONS:
        return True
    return not (column or table in _WORD_TABLES or table.lower().startswith("sqlite_"))


def _in_copy(table: str, column: str, inside: str | None) -> bool:
    """Allow what the outline has, base tables for a view, and what full-text search reads on its own behalf.

    The statement itself can name neither: it was compiled against the outline, which has no such tables.
    """
    if table.endswith("_"):  # without a column: a view that SQLite made part of the statement, of which none is used
        return not column or (inside or "").lower() in VIEWS  # as the statement spells it
    return _in_outline(table, column, inside) or (inside is None and table in _WORD_TABLES)


def _refusal(action: int, first: str, second: str) -> str:
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


# ---------------------------------------------------------------------------------------------------------- compiling


def _check(sql: str) -> None:
    if "\0" in sql:
        raise Refused("`sql` holds a NUL character.", _ONE_SELECT, code="SQL_REFUSED")
    try:
        size = len(sql.encode())
    except UnicodeEncodeError:
        raise Refused(
            "`sql` is not valid Unicode: it holds a lone surrogate.", _ONE_SELECT, code="SQL_REFUSED"
        ) from None
    if size > MOST_SQL:
        raise Refused(
            f"`sql` is {size:,} bytes long; {MOST_SQL:,} is the most.",
            "Ask in parts, or say by a condition or a join what a long list says.",
            code="SQL_REFUSED",
        )


def _compile(text: str, watch: _Watch) -> None:
    """Compile against the outline, without running. Raises Refused: what SQLite says, and what there is instead."""
    with closing(_outline()) as outline:
        gate = _Gate(watch, tables=_in_outline)
        outline.set_authorizer(gate)
        try:
            outline.execute(f"EXPLAIN\n{text}")
        except MemoryError:
            raise _too_complicated() from None
        except (sqlite3.Error, sqlite3.Warning) as error:
            if watch.ended:
                raise _too_complicated() from None
            if gate.refused:
                raise Refused(gate.refused, _instead(gate.refused), code="SQL_REFUSED") from None
            raise _invalid(outline, text, str(error)) from None
        if not gate.selects:
            raise Refused("That is not a SELECT.", _ONE_SELECT, code="SQL_REFUSED")


def _outline() -> sqlite3.Connection:
    """Open an empty database that has the documented names, and nothing else that a statement could read."""
    outline = sqlite3.connect(":memory:", isolation_level=None, cached_statements=0)
    for name, view in VIEWS.items():
        if name == _WORDS:
            outline.execute(f"CREATE VIRTUAL TABLE {name} USING fts5({', '.join(view.columns)})")
        else:
            columns = ", ".join(f"NULL AS {column}" for column in view.columns)
            outline.execute(f"CREATE VIEW {name} AS SELECT {columns} WHERE 0")
    _bound(outline)
    return outline


def _bound(connection: sqlite3.Connection) -> None:
    """Set what an authorizer would refuse from here on, and the limits."""
    connection.execute("PRAGMA query_only = 1")
    connection.execute("PRAGMA temp_store = memory")  # no directory data lies in a temporary file
    for function in (*TABLE_FUNCTIONS, _WORDS):  # a virtual table is set up at its first use, by CREATE TABLE
        connection.execute(f"SELECT * FROM {function} LIMIT 0").fetchall()  # noqa: S608 - our own names
    for category, most in _LIMITS.items():
        connection.setlimit(category, most)


# ---------------------------------------------------------------------------------------------------------- functions


@contextmanager
def _own_functions(connection: sqlite3.Connection) -> Iterator[None]:
    """Replace what takes minutes or longer for one value, uninterrupted, by what has a bound."""
    for name, strip in (("trim", str.strip), ("ltrim", str.lstrip), ("rtrim", str.rstrip)):
        connection.create_function(name, 2, _stripping(strip), deterministic=True)
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as plain:
        plain.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE)
        for name in ("printf", "format"):
            connection.create_function(name, -1, _formatting(plain), deterministic=True)
        yield


def _stripping(strip: Callable[[str, str], str]) -> Callable[[Any, Any], str | None]:
    """Make a trim of few characters: SQLite's own takes the time of both lengths multiplied."""

    def trim(text: Any, characters: Any) -> str | None:
        if text is None or characters is None:
            return None
        if not isinstance(text, str | int) or not isinstance(characters, str) or len(characters) > _MOST_STRIPPED:
            raise ValueError
        return strip(str(text), characters)

    return trim


def _formatting(plain: sqlite3.Connection) -> Callable[..., Any]:
    """Make a printf whose widths have a bound: SQLite's own counts to two billion. `plain` has the one of SQLite."""

    def printf(*arguments: Any) -> Any:
        if not arguments or arguments[0] is None:
            return None
        pattern, *values = arguments
        text = pattern.decode(errors="replace") if isinstance(pattern, bytes) else str(pattern)
        _check_widths(text)
        marks = ", ".join("?" * len(arguments))
        try:
            (formatted,) = plain.execute(f"SELECT printf({marks})", (text, *values)).fetchone()
        except sqlite3.DataError:  # too long
            raise OverflowError from None  # which sqlite3 hands on as SQLITE_TOOBIG
        return formatted

    return printf


@lru_cache
def _check_widths(pattern: str) -> None:
    """Raise ValueError for a width that an argument gives, OverflowError for more than a value may be long.

    Every % counts as the start of a part, up to a letter: no part that SQLite reads is missed.
    """
    parts = re.findall(r"%[^%a-z]+", pattern, re.IGNORECASE | re.ASCII)
    if any("*" in part for part in parts):
        raise ValueError
    if sum(int(width) for part in parts for width in re.findall(r"[0-9]+", part)) > _LONGEST_VALUE:
        raise OverflowError


# ------------------------------------------------------------------------------------------------------------ running


def _gathered(columns: list[str], rows: Iterable[tuple[Any, ...]], *, limit: int, characters: int) -> Answer:
    """Return rows until there are `limit`, or their JSON fills the answer; a first row that is too long is cut."""
    answer: list[list[Cell]] = []
    used, truncated = _size([columns, []]), False
    for raw in rows:
        row = [_cell(value) for value in raw]
        used += _size(row) + 1
        if truncated := len(answer) == limit or used > characters:
            if not answer:
                answer.append(_cut(row, characters - _size([columns, []])))
            break
        answer.append(row)
    return Answer(columns=columns, rows=answer, row_count=len(answer), truncated=truncated)


def _cell(value: Any) -> Cell:
    if isinstance(value, bytes):
        return f"[{len(value)} bytes]"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no infinity
    cell: Cell = value
    return cell


def _cut(row: list[Cell], characters: int) -> list[Cell]:
    longest = _LONGEST_VALUE
    cut = row
    while _size(cut) > characters and longest > 1:
        longest //= 2
        cut = [f"{cell[:longest]}…" if isinstance(cell, str) and len(cell) > longest else cell for cell in row]
    return cut


def _size(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


# ------------------------------------------------------------------------------------------------------------ sentences


def _invalid(outline: sqlite3.Connection, text: str, message: str) -> Refused:
    """Turn what SQLite says about a statement into what helps to write the next one."""
    if found := re.fullmatch(r"no such column: (.+)", message, re.DOTALL):
        return _unknown_column(text, found[1])
    if found := re.fullmatch(r"no such table: (.+)", message, re.DOTALL):
        name = found[1].rpartition(".")[2]
        if name.lower() in VIEWS:
            return _refuse(f"There is no {_shown(found[1])}.", "Write the name of the view alone.", _VIEWS_HINT)
        return _refuse(f"There is no view {_shown(name)}.", _near(name, VIEWS), _VIEWS_HINT)
    if found := re.fullmatch(r"no such function: (.+)", message, re.DOTALL):
        return _refuse(
            f"There is no function {_shown(found[1])}.", _near(found[1], FUNCTIONS), "Functions are SQLite's."
        )
    if found := re.fullmatch(r"ambiguous column name: (.+)", message, re.DOTALL):
        return _refuse(
            f"More than one of the views has a column {_shown(found[1])}.", "Write view.column, or alias.column."
        )
    if found := re.fullmatch(r'(?:near|unrecognized token:) "(.*?)"?(?:: syntax error)?', message, re.DOTALL):
        place = _place(outline, text, found[1])
        return _refuse(
            f"The SQL cannot be read at {_shown(found[1])}{place}.", f"The dialect is SQLite's. {_ONE_SELECT}"
        )
    if "one statement" in message:
        return Refused("That is more than one statement.", _ONE_SELECT, code="SQL_REFUSED")
    if "bindings" in message or "variable" in message:
        return _refuse(
            "The SQL has parameters (?, :name), for which there are no values.", "Write the values in their place."
        )
    if "incomplete input" in message:
        return _refuse("The SQL ends too early.", _ONE_SELECT)
    if re.search(r"too (many|large|big|complex)|at most|overflow|circular", message):
        return _too_complicated()
    return _refuse(f"SQLite says: {_shown(message, _LONGEST_MESSAGE)}.", _ONE_SELECT)


def _refuse(what: str, *steps: str) -> Refused:
    return Refused(what, " ".join(filter(None, steps)), code="SQL_INVALID")


def _instead(refused: str) -> str:
    if "function" in refused:
        return "Use SQLite's functions for text, numbers, times, aggregates, windows and JSON."
    return _ONE_SELECT


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
    near = difflib.get_close_matches(name.lower().rstrip("_")[:_LONGEST_NAME], list(known), n=3, cutoff=0.6)
    return f"Did you mean {' or '.join(near)}?" if near else ""


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


def _shown(text: str, most: int = _LONGEST_NAME) -> str:
    """Show a part of the statement, which may be long and may hold anything."""
    clean = harmless(text)
    return clean if len(clean) <= most else f"{clean[:most]}…"


def _too_complicated() -> Refused:
    return Refused(
        "The SQL is too complicated: too many parts, or nested too deeply.",
        "Ask in smaller parts; say IN (…) for many alternatives.",
        code="SQL_TOO_LARGE",
    )


def too_slow(seconds: float) -> Refused:
    return Refused(
        f"The query did not end within {seconds:g} s.",
        "Add a WHERE, join on ids, or aggregate; a recursive query needs a bound.",
        code="SQL_TOO_SLOW",
    )


def _failed(error: sqlite3.Error | MemoryError, watch: _Watch, seconds: float) -> Exception:
    """Say what went wrong while a query ran. SQLite's message is read but never shown: it may quote what it read."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_NOMEM) & 0xFF
    message = str(error)
    if watch.ended:
        return too_slow(seconds)
    match code:
        case sqlite3.SQLITE_TOOBIG:
            return Refused(
                f"A value became longer than {_LONGEST_VALUE:,} bytes.",
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
        return _too_complicated()
    return _refuse(*_CAUSES.get(next((part for part in _CAUSES if part in message), ""), _OTHER_CAUSE))


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
            f"trim, ltrim and rtrim take a text and at most {_MOST_STRIPPED} characters to take off; printf and format "
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
_OTHER_CAUSE = ("The query failed while it ran.", f"Try a simpler one, step by step. {_ONE_SELECT}")


# -------------------------------------------------------------------------------------------------------- description

EXAMPLES: tuple[tuple[str, str], ...] = (
    (
        "Active users per department",
        "SELECT department, count(*) AS users FROM users WHERE status = 'active' GROUP BY 1 ORDER BY 2 DESC",
    ),
    (
        "Enabled, but without a sign-on in 90 days",
        (
            "SELECT username, last_login_at FROM users WHERE enabled = 1 AND (last_login_at IS NULL OR "
            "last_login_at < strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-90 days')) ORDER BY last_login_at"
        ),
    ),
    (
        "Who has access but is not active",
        (
            "SELECT u.username, u.status, u.status_reasons, m.group_name FROM users u JOIN memberships m ON m.user_id = u.id "
            "WHERE u.status <> 'active'"
        ),
    ),
    (
        "Managers with the most reports",
        (
            "SELECT m.name, count(*) AS reports FROM users u JOIN users m ON m.id = u.manager_id GROUP BY m.id "
            "ORDER BY reports DESC LIMIT 10"
        ),
    ),
    (
        "A custom attribute",
        "SELECT json_extract(custom_attributes, '$.costCenter') AS cost_center, count(*) FROM users GROUP BY 1",
    ),
    (
        "People by words",
        "SELECT u.* FROM people JOIN users u ON u.id = people.id WHERE people MATCH 'ann* AND engineer' ORDER BY rank",
    ),
)
"""What a query may look like; a test runs each."""


_TYPES = (
    "Text; at, *_at: UTC like 2025-01-31T09:00:00.000Z; enabled, is_*: 0, 1 or NULL (not known); "
    "*_count, changes.id: integers; custom_attributes, before, after: JSON"
)
# Columns whose name does not say it all; `schema.VIEWS` has the words.
_DESCRIBED = frozenset("status status_reasons manager_id custom_attributes group_type type kind evidence".split())


def describe_views() -> JsonObject:
    """Return what an assistant needs to write a query: views, their columns, types, what they mean, and examples."""
    users = VIEWS["users"].columns
    views: dict[str, str] = {}
    for name, view in VIEWS.items():
        shared = users.keys() if name == "removed_users" else set[str]()
        columns = [
            f"{column} ({about})" if column in _DESCRIBED else column
            for column, about in view.columns.items()
            if column not in shared
        ]
        views[name] = f"{view.about} Columns: {'those of users, ' if shared else ''}{', '.join(columns)}"
    return {"dialect": "SQLite", "types": _TYPES, "views": views, "examples": dict(EXAMPLES)}
