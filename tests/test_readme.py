"""The README says what the code does: its tables are written from the code, and checked against it.

After a change: `.venv/bin/python -m tests.test_readme` writes the tables anew.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from pingone_mcp.server.build import all_tools
from pingone_mcp.settings import Settings

README = Path(__file__).resolve().parents[1] / "README.md"


def settings_table() -> list[str]:
    lines = ["| variable | meaning | default |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = SAID.get(name) or _default(field.default)
        lines.append(f"| `PINGONE_{name.upper()}` | {field.description} | {default} |")
    return lines


def tools_table() -> list[str]:
    lines = ["| tool | what it does |", "|---|---|"]
    for tool in all_tools():
        first = re.split(r"(?<=[a-z])[.:] ", tool.description, maxsplit=1)[0].rstrip(".")
        lines.append(f"| `{tool.name}` | {first}. |")
    return lines


SAID = {
    "environment_id": "required",
    "client_id": "required",
    "client_secret": "required",
    "environments": "the one above",
    "populations": "all",
    "api_url": "by region",
    "auth_url": "by region",
    "custom_domain": "none",
    "requests_per_second": "none",
    "sync_minutes": "no syncs in the background",
    "rosters": "none",
    "roles_file": "none",
    "audit_file": "`writes.jsonl` in the platform's user state folder",
    "cache_dir": "the platform's user cache folder",
    "attributes": "the attributes of the same names",
}


def _default(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


TABLES = {"settings": settings_table, "tools": tools_table}


def written(name: str) -> list[str]:
    _, _, rest = README.read_text(encoding="utf-8").partition(f"<!-- {name} -->\n")
    return rest.partition(f"<!-- /{name} -->")[0].strip().splitlines()


@pytest.mark.parametrize("name", TABLES)
def test_the_table_in_the_readme_is_what_the_code_says(name: str) -> None:
    assert written(name) == TABLES[name]()


def write() -> None:
    text = README.read_text(encoding="utf-8")
    for name, table in TABLES.items():
        block = "\n".join([f"<!-- {name} -->", *table(), f"<!-- /{name} -->"])
        before, _, rest = text.partition(f"<!-- {name} -->")
        text = before + block + rest.partition(f"<!-- /{name} -->")[2]
    README.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
