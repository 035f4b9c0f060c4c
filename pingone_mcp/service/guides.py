"""The guides that come with the program: what a message names, whoever reads it can have, however it was installed."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pingone_mcp.shipped_files import shipped_folder

GUIDES: Mapping[str, str] = MappingProxyType(
    {
        "roles": "how to write the rules of map_roles",
        "rosters": "what the user list of an application may look like",
        "http": "who may call `serve`, and what MCP and the REST API answer",
        "events": "suspend accounts of an application when somebody is disabled, locked or removed",
        "operations": "running `serve`: what it keeps, proxies, backups, key rotation, upgrades",
        "network": "proxies, certificates, and what to do where PingOne cannot be reached",
        "proxy": "what proxy_request lets through, and how writes are confirmed",
    }
)
"""What each guide is about, by its name."""


def guide(name: str) -> str:
    """Return the text of a guide, one of `GUIDES`, in Markdown."""
    return (shipped_folder("docs") / f"{name}.md").read_text("utf-8")
