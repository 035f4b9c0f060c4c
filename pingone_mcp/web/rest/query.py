"""Query strings as programs write them: `a=1`, `a[]=1`, `a[0]=1`, `a=1&a=2`, `a[gt]=1`, `a[b]=1`, `a[b][in]=1,2`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl

from pingone_mcp.directory.matching.unified import COMPARISONS, Comparison
from pingone_mcp.directory.text.harmless import harmless
from pingone_mcp.errors import Refused

WRONG_QUERY = "WRONG_QUERY"
_MOST = 1_000  # parameters of one request
_KEY = re.compile(r"(?P<name>[^\[\]]+)(?P<parts>(?:\[[^\[\]]*\])*)")
_PART = re.compile(r"\[([^\[\]]*)\]")
_SHOWN = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """One parameter of a query: its name (`workspace.id` for `workspace[id]`), how it compares, and its values.

    `is_list` says that it was written as a list, so that a comma in a value is one.
    """

    name: str
    comparison: Comparison | None = None
    values: tuple[str, ...]
    is_list: bool

    @property
    def shown(self) -> str:
        """The name as an error may repeat it."""
        return shown(self.name)

    def separated(self) -> tuple[str, ...]:
        """Return the values of what may be several: of one alone, what is between its commas."""
        if self.is_list:
            return self.values
        return tuple(part.strip() for value in self.values for part in value.split(","))


def shown(name: str) -> str:
    """Return a name that came from outside as an error may repeat it."""
    return harmless(name)[:_SHOWN].replace("`", "'")


def pairs_of(raw: bytes) -> list[tuple[str, str]]:
    """Return names and values of a query as they were written, decoded. Raises Refused for what is none."""
    try:
        return parse_qsl(raw.decode("ascii"), keep_blank_values=True, max_num_fields=_MOST, errors="strict")
    except UnicodeDecodeError:
        raise Refused(
            "The query is not percent-encoded UTF-8.", "Encode it as RFC 3986 says.", code=WRONG_QUERY
        ) from None
    except ValueError:
        raise Refused(f"The query has more than {_MOST:,} parameters.", code=WRONG_QUERY) from None


def read_query(raw: bytes) -> list[Written]:
    """Return the parameters of a query, each name with each comparison once. Raises Refused for what is none."""
    found: dict[tuple[str, Comparison | None], list[str]] = {}
    lists: set[tuple[str, Comparison | None]] = set()
    for key, value in pairs_of(raw):
        name, comparison, is_list = _read_key(key)
        values = found.setdefault((name, comparison), [])
        values.append(value)
        if is_list or len(values) > 1:
            lists.add((name, comparison))
    return [
        Written(name=name, comparison=comparison, values=tuple(values), is_list=(name, comparison) in lists)
        for (name, comparison), values in found.items()
    ]


def _read_key(key: str) -> tuple[str, Comparison | None, bool]:
    """Return the name in a key, how it compares, and whether it is one of a list."""
    matched = _KEY.fullmatch(key)
    if matched is None:
        raise Refused(
            f"The parameter `{shown(key)}` cannot be read.", "Write name=value or name[part]=value.", code=WRONG_QUERY
        )
    parts: list[str] = _PART.findall(matched["parts"])
    is_list = bool(parts) and (not parts[-1] or parts[-1].isdecimal())
    if is_list:
        parts.pop()
    comparison = next((one for one in COMPARISONS if parts and one == parts[-1]), None)
    if comparison is not None:
        parts.pop()
    return ".".join((matched["name"], *parts)), comparison, is_list
