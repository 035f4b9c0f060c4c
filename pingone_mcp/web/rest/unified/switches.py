"""The switches that every unified route knows, and what they make of rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pingone_mcp.directory.gaps import sentences
from pingone_mcp.directory.models import JsonObject
from pingone_mcp.errors import Refused
from pingone_mcp.nearest import did_you_mean
from pingone_mcp.service.answering import Listed
from pingone_mcp.web.rest.failures import NoRowYet
from pingone_mcp.web.rest.operation import GAPS_HEADER, RestAnswer
from pingone_mcp.web.rest.parameters import WRONG_PARAMETER, GivenQuery, Parameter

MOST_ROWS = 5_000
_USUAL_ROWS = 100
_FORMATS = ("unified", "raw", "debug")
# Where Truto keeps its copies; there is one here, wherever that is.
_COPIES = ("true", "false", "wnam", "enam", "apac", "eu")
_REMOTE = "remote_data"

PAGING = (
    Parameter(
        name="limit",
        kind="integer",
        about="How many rows at most.",
        least=1,
        most=MOST_ROWS,
        default=_USUAL_ROWS,
    ),
    Parameter(name="next_cursor", about="Where to go on: `next_cursor` of the answer before; empty is absent."),
)
_EXCLUDED = Parameter(
    name="truto_exclude_fields", kind="list", about="Fields to leave out of rows; `emails.type` leaves out a member."
)
_KEYED = Parameter(name="truto_key_by", about="Answer `result` as an object: the rows by this field, which all have.")
_WITHOUT_REMOTE = Parameter(
    name="truto_ignore_remote_data", kind="boolean", about="Leave out `remote_data`, the provider's own object."
)
_FORMAT = Parameter(
    name="truto_response_format",
    choices=_FORMATS,
    about="unified (the default); raw: the provider's own objects; debug: unified, with how it came about.",
)
COPY = Parameter(
    name="truto_super_query",
    choices=_COPIES,
    about="Ask the local copy, which compares and sorts by more fields; any value but false means yes.",
)
SHAPING = (_EXCLUDED, _KEYED)
NATIVE = (_WITHOUT_REMOTE, _FORMAT)
SINGLE = (_EXCLUDED, *NATIVE)
# Of rows that are read in a form of our own: callers that send these everywhere are answered all the same.
NO_NATIVE = (
    dataclasses.replace(_WITHOUT_REMOTE, about="Without effect: these rows have no `remote_data`."),
    dataclasses.replace(_FORMAT, choices=("unified",), about="unified, which is all that there is of these rows."),
)
SINGLE_WITHOUT_NATIVE = (_EXCLUDED, *NO_NATIVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowShape:
    """What an answer is to look like."""

    response_format: str
    excluded: tuple[str, ...]
    key_by: str | None
    remote_data: bool

    @classmethod
    def of(cls, query: GivenQuery, fields: Mapping[str, JsonObject]) -> RowShape:
        """Return what a query asks for, of rows with these fields. Raises Refused for a field that there is not."""
        excluded, key_by = query.lists.get(_EXCLUDED.name, ()), query.texts.get(_KEYED.name)
        for name in (*excluded, *([key_by] if key_by is not None else [])):
            if name.partition(".")[0] not in fields:
                raise Refused(
                    "There is no such field in these rows.",
                    f"{did_you_mean(name, fields)} They have {', '.join(fields)}.".strip(),
                    code=WRONG_PARAMETER,
                )
        return cls(
            response_format=query.texts.get(_FORMAT.name, "unified"),
            excluded=excluded,
            key_by=key_by,
            remote_data=not query.flags.get(_WITHOUT_REMOTE.name, False) and _REMOTE not in excluded,
        )

    @property
    def needs_native(self) -> bool:
        """Say whether the provider's own objects are needed."""
        return self.remote_data or self.response_format != "unified"

    def single(self, row: JsonObject, show: Callable[[JsonObject], JsonObject]) -> RestAnswer:
        """Return the answer of one object, bare."""
        native = row.get(_REMOTE)
        unread = len(row.get("unreadable", ()))
        headers = {GAPS_HEADER: str(unread)} if unread else {}
        if self.response_format == "raw":
            return RestAnswer(body=_native(native), headers=headers)
        shown = self._row(show(row))
        if self.response_format == "debug":
            return RestAnswer(body={"result": shown, "debug": _debug([native], None, 1)}, headers=headers)
        return RestAnswer(body=shown, headers=headers)

    def list(
        self, found: Listed, show: Callable[[JsonObject], JsonObject], *, age_seconds: int | None = None
    ) -> RestAnswer:
        """Return the answer of a list. Raises NoRowYet, and the problem that a list without any row has ended in."""
        gathered = found.gathered
        if not gathered.rows and gathered.problem is not None:
            raise gathered.problem
        if not gathered.rows and found.next_cursor is not None:
            raise NoRowYet(found.next_cursor)
        natives = [row.get(_REMOTE) for row in gathered.rows]
        rows = (
            [_native(one) for one in natives]
            if self.response_format == "raw"
            else [self._row(show(row)) for row in gathered.rows]
        )
        body: JsonObject = {
            "result": rows if self.key_by is None else _keyed(rows, self.key_by),
            "next_cursor": found.next_cursor,
            "prev_cursor": None,
            "result_count": len(rows),
            "is_partial_response": found.is_partial,
            "total": gathered.total,
            "stopped": gathered.stopped,
        }
        if gathered.gaps:
            body["gaps"] = sentences(gathered.gaps)
        if gathered.problem is not None:
            body["error"] = str(gathered.problem)
        if age_seconds is not None:
            body["replica_age_s"] = age_seconds
        if self.response_format == "debug":
            body["debug"] = _debug(natives, found.next_cursor, len(rows))
        return RestAnswer(body=body, headers={GAPS_HEADER: str(len(gathered.gaps))} if gathered.gaps else {})

    def _row(self, row: JsonObject) -> JsonObject:
        if not self.remote_data:
            row = {name: value for name, value in row.items() if name != _REMOTE}
        for path in self.excluded:
            row = _without(row, path.split("."))
        return row


def _without(value: Any, path: Sequence[str]) -> Any:
    """Return an object, or each object of a list, without what is at a path of members."""
    if isinstance(value, list):
        return [_without(one, path) for one in value]
    if not isinstance(value, dict) or path[0] not in value:
        return value
    first, rest = path[0], path[1:]
    return {
        name: _without(member, rest) if name == first else member
        for name, member in value.items()
        if rest or name != first
    }


def _native(native: JsonObject | None) -> JsonObject:
    if native is None:
        raise Refused(
            "The provider's own objects are not at hand for this answer.",
            "Ask for `truto_response_format=unified`; or, without `truto_super_query`, the provider itself.",
            code=WRONG_PARAMETER,
        )
    return native


def _keyed(rows: Sequence[JsonObject], key: str) -> JsonObject:
    keyed = {str(row[key]): row for row in rows if isinstance(row.get(key), str | int)}
    if len(keyed) < len(rows):
        raise Refused(
            f"`truto_key_by`: {len(rows) - len(keyed)} of these rows have no `{key}` of their own.",
            "Key by `id`, which all have, and none twice.",
            code=WRONG_PARAMETER,
        )
    return keyed


def _debug(natives: Sequence[JsonObject | None], cursor: str | None, count: int) -> JsonObject:
    """Return what Truto tells of how an answer came about; of requests and headers nothing is told here."""
    return {
        "requestUrl": None,
        "requestOptions": None,
        "data": [native for native in natives if native is not None],
        "responseHeaders": None,
        "nextCursor": cursor,
        "isLooping": False,
        "isEmptyResult": count == 0,
        "resultCount": count,
    }


def filters(
    fields: Mapping[str, Any], about: Mapping[str, str], other_names: Mapping[str, tuple[str, ...]]
) -> tuple[Parameter, ...]:
    """Return a parameter for each field that rows are chosen by (`ComparedField`s by name)."""
    return tuple(
        Parameter(
            name=name,
            kind="filter",
            about=about.get(name, f"Only rows whose {name} compares so."),
            comparisons=known.comparisons,
            other_names=other_names.get(name, ()),
        )
        for name, known in fields.items()
    )


def aliases(fields: Collection[str], other_names: Mapping[str, tuple[str, ...]]) -> Mapping[str, str]:
    """Return the fields by the other names that they have where rows are chosen by them."""
    return {other: name for name in fields for other in other_names.get(name, ())}


async def quietly(_: object) -> None:
    """Take no note of how far a list is: nobody is shown it here."""
