"""The bundle for desktop clients: its manifest names what the server has, and asks for what it needs."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

import pytest

from pingone_mcp.server.build import tools_for_models
from pingone_mcp.settings.template import REQUIRED
from shipping.bundle import make, manifest


@pytest.fixture
def bundle(tmp_path: Path) -> zipfile.ZipFile:
    wheel = tmp_path / "pingone_mcp-0-py3-none-any.whl"
    wheel.write_bytes(b"a wheel")
    return zipfile.ZipFile(make(wheel, tmp_path))


def test_it_asks_for_what_is_required_and_keeps_the_secret(bundle: zipfile.ZipFile) -> None:
    asked = json.loads(bundle.read("manifest.json"))["user_config"]
    assert [name for name, about in asked.items() if about["required"]] == list(REQUIRED)
    assert [name for name, about in asked.items() if about["sensitive"]] == ["client_secret"]


def test_every_answer_reaches_the_variable_of_its_setting() -> None:
    server = manifest()["server"]["mcp_config"]
    given = {name: re.fullmatch(r"\$\{user_config\.(\w+)\}", value) for name, value in server["env"].items()}
    assert {name: found and f"PINGONE_{found[1].upper()}" for name, found in given.items()} == {
        name: name for name in given
    }
    assert {found[1] for found in given.values() if found} == set(manifest()["user_config"])
    assert not any("user_config" in argument for argument in server["args"]), "who lists processes reads arguments"


def test_it_names_every_tool() -> None:
    named = {tool["name"]: tool["description"] for tool in manifest()["tools"]}
    assert list(named) == [tool.name for tool in tools_for_models()]
    assert all(named.values())


def test_what_it_starts_is_in_it(bundle: zipfile.ZipFile) -> None:
    said = json.loads(bundle.read("manifest.json"))["server"]
    assert said["entry_point"] in bundle.namelist()
    assert said["mcp_config"]["args"][-1] == said["entry_point"]
    assert 'path = "pingone_mcp-0-py3-none-any.whl"' in bundle.read("pyproject.toml").decode()
    assert "pingone_mcp-0-py3-none-any.whl" in bundle.namelist()
    compile(bundle.read(said["entry_point"]), "main.py", "exec")


def test_the_same_wheel_gives_the_same_bytes(tmp_path: Path) -> None:
    wheel = tmp_path / "pingone_mcp-0-py3-none-any.whl"
    wheel.write_bytes(b"a wheel")
    (tmp_path / "other").mkdir()
    assert make(wheel, tmp_path).read_bytes() == make(wheel, tmp_path / "other").read_bytes()
