"""What nobody has confirmed about webhooks is a switch, and the page about it names each."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from pingone_mcp.sandbox.options import Options

PAGE = Path(__file__).resolve().parents[3] / "docs" / "unconfirmed.md"


def test_the_page_about_what_is_assumed_names_every_switch_and_no_other() -> None:
    [_, rest] = PAGE.read_text(encoding="utf-8").split("# What is assumed about webhooks")
    table = [line for line in rest.partition("\n# ")[0].splitlines() if line.startswith("| ")][1:]
    named = {name for line in table for name in re.findall(r"`(\w+)`", line.rpartition(" | ")[2])}
    known = [one.name for one in fields(Options)]
    ours = set(known[known.index("modified_attributes") : known.index("newrelic_member") + 1])
    assert named == ours
