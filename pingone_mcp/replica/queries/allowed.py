"""What a statement may use, and what it may cost."""

from __future__ import annotations

import sqlite3

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
WORDS = "people"
SEARCHED = "searched_"
"""The view whose words `people` holds."""
# Where SQLite keeps the words of `people` (https://sqlite.org/fts5.html#fts5_data_structures), and reads what has them.
WORD_TABLES = frozenset((SEARCHED, *(f"{WORDS}_{part}" for part in ("data", "idx", "docsize", "config"))))
MOST_SQL = 8_000
"""Bytes of SQL in one question."""
LONGEST_VALUE = 32_768
"""Bytes of one value: more than an answer holds. A few functions take time by the square of it."""
MOST_STRIPPED = 32
"""Characters that trim may take off a text."""
LONGEST_NAME = 60
"""Characters of a name, as it is shown."""
LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: LONGEST_VALUE,
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
"""The limits of SQLite (https://sqlite.org/limits.html) for one statement."""
