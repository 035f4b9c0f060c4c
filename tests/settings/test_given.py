"""What somebody has set goes into the configuration of a client, but for the secret and for paths from here."""

from __future__ import annotations

from pathlib import Path

import pytest

from pingone_mcp.errors import Unconfigured
from pingone_mcp.settings.given import given_settings

ID = "3f5f7c1e-8a54-4d0e-9f0a-6c1f2b7d9e10"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in {"ENVIRONMENT_ID": ID, "CLIENT_ID": ID, "CLIENT_SECRET": "hush"}.items():
        monkeypatch.setenv(f"PINGONE_{name}", value)


def test_of_the_secret_there_is_only_the_name() -> None:
    assert dict(given_settings()) == {"environment_id": ID, "client_id": ID, "client_secret": ""}


def test_values_are_as_they_were_written_and_paths_are_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attributes = '{"department": "costCentre"}'
    for name, value in {"REGION": "eu", "ATTRIBUTES": attributes, "ROSTERS": "lists", "AUDIT_FILE": "~/a"}.items():
        monkeypatch.setenv(f"PINGONE_{name}", value)
    given = given_settings()
    assert (given["region"], given["attributes"]) == ("eu", attributes)
    assert (given["rosters"], given["audit_file"]) == (str(tmp_path / "lists"), str(Path.home() / "a"))


def test_what_is_not_enough_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PINGONE_CLIENT_ID")
    with pytest.raises(Unconfigured):
        given_settings()
