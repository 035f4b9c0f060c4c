"""SCIM servers of the tests: what each kind does with pages, and users who come and go while they are asked."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from pingone_mcp.directory.models import JsonObject
from pingone_mcp.scim.answers import ScimAnswer
from tests.world import NOW, Time

Style = Literal[
    "by place",
    "short pages",
    "page numbers",  # authentik: `count` is ignored, and page 1 comes twice
    "whole pages",  # begins with the page on which the place lies, and says so
    "always says 1",
    "ignores the place",
    "ignores the place and repeats it",
    "ignores the cursor",  # SCIMMY
    "refuses the cursor",
    "cursor only",  # AWS
    "cursors",
    "cursors unless a place is asked for",  # scim2-server
    "same cursor",
    "no total",
    "ends early",
]
WHOLE: tuple[Style, ...] = (
    "by place",
    "short pages",
    "page numbers",
    "whole pages",
    "always says 1",
    "ignores the cursor",
    "refuses the cursor",
    "cursor only",
    "cursors",
    "cursors unless a place is asked for",
)
"""What can be read to its end."""
CURSORS = frozenset(
    {"ignores the cursor", "refuses the cursor", "cursors", "cursors unless a place is asked for", "same cursor"}
)
"""What says that it has cursors."""
Filtering = Literal["none", "right", "ignored", "empty", "refused"]
Step = tuple[Literal["add", "delete", "change", "none"], int]
"""What happens behind an answer, and where in the list."""

OLD = NOW - timedelta(days=100)


@dataclass
class Server:
    """A SCIM server with some users, of whom `steps` say who comes and goes, one step behind each answer."""

    style: Style = "by place"
    users: int = 0
    most: int = 10
    filtering: Filtering = "none"
    most_filtered: int | None = None
    steps: Iterable[Step] = ()
    total_as: type = int
    listed_as: str = "Resources"
    base: str = "https://scim.example.com/v2"
    time: Time = field(default_factory=Time)
    asked: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    urls: list[str] = field(default_factory=list[str])
    _before: dict[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])

    def __post_init__(self) -> None:
        self._names: Iterator[int] = itertools.count()
        self.rows = [self._user(OLD) for _ in range(self.users)]
        self.throughout = {str(row["id"]) for row in self.rows}
        self._steps = iter(self.steps)

    async def get(self, url: str, params: Mapping[str, str]) -> ScimAnswer:
        self.urls.append(url)
        if url != f"{self.base}/Users":
            return ScimAnswer(status=200, document=self._config())
        self.asked.append(dict(params))
        answer = self._answer(dict(params))
        self._step()
        return answer

    def _config(self) -> JsonObject:
        return {
            "pagination": {"cursor": self.style in CURSORS, "index": True},
            "filter": {"supported": self.filtering != "none", "maxResults": 1000},
        }

    def _user(self, at: datetime) -> JsonObject:
        text = at.isoformat().replace("+00:00", "Z")
        name = next(self._names)
        return {"id": f"u{name}", "userName": f"user{name}", "meta": {"created": text, "lastModified": text}}

    def _step(self) -> None:
        kind, place = next(self._steps, ("none", 0))
        if kind == "add":
            self.rows.insert(place % (len(self.rows) + 1), self._user(NOW))
        elif kind == "delete" and self.rows:
            self.throughout.discard(self.rows.pop(place % len(self.rows))["id"])
        elif kind == "change" and self.rows:
            row = self.rows[place % len(self.rows)]
            changed = NOW.isoformat().replace("+00:00", "Z")
            self.rows[place % len(self.rows)] = {**row, "meta": {**row["meta"], "lastModified": changed}}

    def _answer(self, params: dict[str, str]) -> ScimAnswer:
        rows = self.rows
        if "filter" in params:
            if self.filtering == "refused":
                return ScimAnswer(status=400, document={"scimType": "invalidFilter"})
            rows = self._filtered(params["filter"])
            if self.most_filtered is not None:
                return self._listed(rows[: self.most_filtered], start=1, total=len(rows))
        asked = max(1, int(params.get("startIndex", 1)))
        count = min(self.most, max(0, int(params.get("count", self.most))))
        if (answer := self._with_cursor(rows, params, count)) is not None:
            return answer
        return self._from_place(rows, asked, count)

    def _with_cursor(self, rows: list[JsonObject], params: dict[str, str], count: int) -> ScimAnswer | None:
        """Answer one who pages with a cursor; None where that says nothing to the server."""
        cursor = params.get("cursor")
        if cursor is None:
            is_meant = self.style == "cursors unless a place is asked for" and "startIndex" not in params
            return self._behind(rows, "", count) if is_meant else None
        match self.style:
            case "refuses the cursor":
                return ScimAnswer(status=501, document={"status": "501"})
            case "cursor only":
                return self._behind(rows, cursor, count, with_total=False)
            case "cursors" | "cursors unless a place is asked for":
                return self._behind(rows, cursor, count)
            case "same cursor":
                return self._behind(rows, cursor, count, following="again")
            case _:
                return None

    def _from_place(self, rows: list[JsonObject], asked: int, count: int) -> ScimAnswer:
        """Answer with the page that lies at a place, or where this server takes it to be."""
        start, total = asked, len(rows)
        match self.style:
            case "short pages":
                count = max(1, count - asked % 3)
            case "page numbers":
                number = int(max(asked / self.most, 1))
                count, start = self.most, (number - 1) * self.most + 1
                if number > 1 and start > total:
                    return ScimAnswer(status=404, document={"detail": "Invalid page."})
            case "whole pages":
                count, start = self.most, (asked - 1) // self.most * self.most + 1
            case "always says 1":
                return self._listed(rows[asked - 1 : asked - 1 + count], start=1, total=total)
            case "ignores the place and repeats it":
                return self._listed(rows[:count], start=asked, total=total)
            case "ignores the place" | "cursor only":
                start = 1
            case "no total":
                return self._listed(rows[asked - 1 : asked - 1 + count], start=asked)
            case "ends early" if asked > 2 * self.most:
                return self._listed([], start=asked, total=total)
            case _:
                pass
        return self._listed(rows[start - 1 : start - 1 + count], start=start, total=total)

    def _behind(
        self, rows: list[JsonObject], cursor: str, count: int, *, with_total: bool = True, following: str | None = None
    ) -> ScimAnswer:
        """Answer with those behind whoever came before a cursor was given, as many of them as are left."""
        before = self._before.get(cursor, frozenset())
        behind = max((place + 1 for place, row in enumerate(rows) if row["id"] in before), default=0)
        page = rows[behind : behind + count]
        document = self._document(page, total=len(rows) if with_total else None)
        if page and behind + count < len(rows):
            given = f"+=/:{page[-1]['id']}"  # characters that a cursor may have with some, and not by RFC 9865
            self._before[given] = frozenset(row["id"] for row in rows[: behind + count])
            document["nextCursor"] = following or given
        return ScimAnswer(status=200, document=document, size=100 * len(page))

    def _listed(self, rows: list[JsonObject], *, start: int, total: int | None = None) -> ScimAnswer:
        document = {**self._document(rows, total), "startIndex": start, "itemsPerPage": len(rows)}
        return ScimAnswer(status=200, document=document, size=100 * len(rows))

    def _document(self, rows: list[JsonObject], total: int | None) -> JsonObject:
        document: JsonObject = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"]}
        if total is not None:
            document["totalResults"] = self.total_as(total)
        if rows or self.listed_as == "Resources":
            document[self.listed_as] = rows
        return document

    def _filtered(self, text: str) -> list[JsonObject]:
        if self.filtering != "right":
            return self.rows if self.filtering == "ignored" else []
        since = datetime.fromisoformat(text.removeprefix('meta.lastModified ge "').removesuffix('"'))
        assert since.tzinfo == UTC
        return [row for row in self.rows if datetime.fromisoformat(row["meta"]["lastModified"]) >= since]
