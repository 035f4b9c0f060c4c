"""What the three OpenAPI files of `shared/reference` state, read once: operations, and names of schema properties.

`make generated` writes the catalogue of operations anew, where that folder lies beside the checkout.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pingone_mcp.pingone.proxy import catalogue
from tests.unmade import SHARED, CannotBeMade

NAMES = ("management", "platform", "mfa")
CATALOGUE = Path(catalogue.__file__).with_name(catalogue.FILE)
METHODS = ("get", "head", "post", "put", "patch", "delete", "options", "trace")
Key = tuple[str, str]


@dataclass
class Stated:
    """One operation, as one or several specifications state it."""

    path: str
    takes: set[str] = field(default_factory=set[str])
    answers: set[str] = field(default_factory=set[str])


def operations(shared: Path) -> dict[Key, Stated]:
    """Return every operation by method and shape of path; what several specifications state is merged.

    A fragment (`…/flows/{flowID}#clone+json`) tells operations of one path apart by their media type, and is no path.
    """
    found: dict[Key, Stated] = {}
    for spec, path, method, operation in _stated(shared):
        bare = path.partition("#")[0]
        stated = found.setdefault((method.upper(), shape(bare)), Stated(bare))
        stated.takes |= _content(spec, operation.get("requestBody")) | _header(spec, operation, "content-type")
        for status, response in operation["responses"].items():
            if str(status).startswith("2"):
                stated.answers |= _content(spec, response)
        stated.answers |= _header(spec, operation, "accept")
    return found


def shape(path: str) -> str:
    """Return a template without the names of its parameters, which differ between specifications."""
    return re.sub(r"\{[^}]*\}", "{}", path)


def count(shared: Path) -> int:
    return sum(1 for _ in _stated(shared))


def lines(shared: Path) -> list[str]:
    """Return the catalogue as it is shipped: one operation a line, sorted by path and method."""
    rows = [
        (stated.path, method, " ".join(sorted(stated.takes)), " ".join(sorted(stated.answers)))
        for (method, _), stated in operations(shared).items()
    ]
    order = [method.upper() for method in METHODS]
    rows.sort(key=lambda row: (shape(row[0]).lower(), order.index(row[1])))
    return [f"{method}\t{path}\t{takes}\t{answers}".rstrip("\t") for path, method, takes, answers in rows]


def property_names(shared: Path) -> set[str]:
    """Return the name of every property of every schema."""

    def walk(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            properties = value.get("properties")
            if isinstance(properties, dict):
                yield from (name for name in properties if isinstance(name, str))
            for member in value.values():
                yield from walk(member)
        elif isinstance(value, list):
            for item in value:
                yield from walk(item)

    return {name for spec in _specifications(shared) for name in walk(spec)}


def _stated(shared: Path) -> Iterator[tuple[Any, str, str, Any]]:
    for spec in _specifications(shared):
        for path, item in spec["paths"].items():
            for method in METHODS:
                if method in item:
                    yield spec, path, method, item[method]


@functools.cache
def _specifications(shared: Path) -> tuple[Any, ...]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the one in C reads two megabytes in a second
    files = [shared / "reference" / f"pingone-{name}-openapi.yaml" for name in NAMES]
    return tuple(yaml.load(file.read_text(encoding="utf-8"), loader) for file in files)  # noqa: S506 - both are safe


def _resolved(spec: Any, value: Any) -> Any:
    while isinstance(value, dict) and "$ref" in value:
        place = value["$ref"].removeprefix("#/").split("/")
        value = functools.reduce(lambda node, name: node[name.replace("~1", "/")], place, spec)
    return value


def _content(spec: Any, body: Any) -> set[str]:
    return set((_resolved(spec, body) or {}).get("content", {}))


def _header(spec: Any, operation: Any, name: str) -> set[str]:
    """Return the media types that a header parameter lists, or shows as an example: the vendor types stand there."""
    parameters = [_resolved(spec, parameter) for parameter in operation.get("parameters", [])]
    chosen = [one for one in parameters if one["in"] == "header" and one["name"].lower() == name]
    values = [
        value for one in chosen for value in (one.get("example"), *_resolved(spec, one["schema"]).get("enum", []))
    ]
    return {value for value in values if isinstance(value, str) and re.fullmatch(r"[\w.+-]+/[\w.+*-]+", value)}


def files() -> dict[Path, str | None]:
    """Return what the catalogue should hold. Raises CannotBeMade where the specifications are not at hand."""
    if not SHARED.is_dir():
        raise CannotBeMade("The folder `shared`, which holds PingOne's specifications, is not beside this checkout.")
    return {CATALOGUE: "\n".join(lines(SHARED)) + "\n"}
