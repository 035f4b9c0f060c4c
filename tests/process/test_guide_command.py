"""`pingone-mcp guide`: what messages name can be had from the program itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from pingone_mcp.service.guides import GUIDES
from tests.process.inside import inside
from tests.process.programs import ROOT, bare, run


def test_the_settings_are_the_example_of_a_checkout(tmp_path: Path) -> None:
    end = run("guide", "settings", env=bare(tmp_path))
    assert end.out == (ROOT / ".env.example").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", GUIDES)
def test_a_guide_is_printed_as_it_is_written(tmp_path: Path, name: str) -> None:
    end = inside("guide", name, env=bare(tmp_path))
    assert end.out == (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")


def test_what_is_printed_can_be_filled_in_and_used(tmp_path: Path) -> None:
    text = inside("guide", "settings", env=bare(tmp_path)).out.replace("# PINGONE_SANDBOX=1", "PINGONE_SANDBOX=1")
    file = tmp_path / "my.env"
    file.write_text(text)
    file.chmod(0o600)
    end = inside("call", "list_users", "limit=1", "--env-file", str(file), env=bare(tmp_path))
    assert end.json()["result_count"] == 1


def test_every_setting_of_the_file_has_a_value_that_is_taken(tmp_path: Path) -> None:
    lines = inside("guide", "settings", env=bare(tmp_path)).out.splitlines()
    ids = dict.fromkeys(("ENVIRONMENT_ID", "CLIENT_ID", "CLIENT_SECRET"), "3f5f7c1e-8a54-4d0e-9f0a-6c1f2b7d9e10")
    file = tmp_path / "my.env"
    file.write_text(
        "\n".join(
            [
                *(line.removeprefix("# ") for line in lines if line.startswith("# PINGONE_") and "SANDBOX" not in line),
                *(f"PINGONE_{name}={value}" for name, value in ids.items()),
            ]
        )
    )
    file.chmod(0o600)
    end = inside("client-config", "cursor", "--env-file", str(file), env=bare(tmp_path))
    assert end.status == 0, end
    assert "not configured" not in end.err


def test_a_guide_that_does_not_exist_is_wrong_use(tmp_path: Path) -> None:
    end = inside("guide", "life", env=bare(tmp_path))
    assert end.status == 2
    assert "rosters" in end.sentence()
