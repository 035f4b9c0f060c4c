"""Which permission a message of MCP needs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.server.build import all_tools
from pingone_mcp.web.authentication.scopes import needed_permissions

READ, SYNC, WRITE = {"directory.read"}, {"directory.sync"}, {"directory.write"}


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": arguments}}


@pytest.mark.parametrize(
    ("message", "needed"),
    [
        ({"jsonrpc": "2.0", "id": 1, "method": "initialize"}, READ),
        ({"method": "tools/list"}, READ),
        ({"method": "resources/read", "params": {"uri": "directory://users/1"}}, READ),
        (call("list_users"), READ),
        (call("sync_directory"), SYNC),
        (call("proxy_request", path="/environments"), READ),
        (call("proxy_request", path="/x", method="HEAD"), READ),
        (call("proxy_request", path="/x", method=""), READ),
        (call("proxy_request", path="/x", method="POST"), WRITE),
        (call("proxy_request", path="/x", method="delete"), WRITE),
        (call("proxy_request", path="/x", method=["GET"]), WRITE),
        (call("proxy_request", path="/x", method="get"), WRITE),
        ({"method": "tools/call", "params": {"name": "proxy_request"}}, READ),
        ({"method": "tools/call", "params": {"name": "proxy_request", "arguments": '{"method": "POST"}'}}, WRITE),
        ({"method": "tools/call", "params": ["sync_directory"]}, READ),
        ({"method": "prompts/get", "params": {"name": "sync_directory"}}, READ),
        ([call("sync_directory"), call("proxy_request", method="PUT")], READ | SYNC | WRITE),
        ([[call("sync_directory")]], READ),
        (None, READ),
        ("tools/call", READ),
    ],
)
def test_a_call_needs_what_its_tool_does(message: Any, needed: set[str]) -> None:
    assert needed_permissions(message) == needed


def test_every_tool_that_does_more_than_read_is_known() -> None:
    """A tool that may change something and is not named here would be open to all who may read."""
    tools = {tool.name: tool.annotations for tool in all_tools(allow_writes=True)}
    assert {name for name, hints in tools.items() if hints is None or not hints.read_only_hint} == {"proxy_request"}
    assert "sync_directory" in tools


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.sampled_from(["tools/call", "proxy_request", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["method", "params", "name", "arguments"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(JSON)
def test_whatever_comes_needs_something(message: Any) -> None:
    assert needed_permissions(message)
