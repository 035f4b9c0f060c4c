"""The view: one HTML document that stands alone, with our own style and script in it and nothing from elsewhere."""

from __future__ import annotations

import functools
from importlib import resources

from mcp.server.apps import Apps, ResourceCsp

URI = "ui://pingone/directory"
_NOWHERE: list[str] = []


@functools.cache
def document() -> str:
    """Return the document."""
    folder = resources.files("pingone_mcp") / "server" / "apps" / "assets"
    page, style, script = ((folder / f"view.{ending}").read_text(encoding="utf-8") for ending in ("html", "css", "js"))
    return page.replace("/* style */", style).replace("/* script */", script)


def directory_app() -> Apps:
    """Return the extension that offers the view; its tools are offered as all others are."""
    apps = Apps()
    apps.add_html_resource(
        URI,
        document(),
        name="directory_browser",
        title="Directory browser",
        description="People of the directory to look through, beside the conversation, in clients that show MCP Apps.",
        csp=ResourceCsp(
            connect_domains=_NOWHERE, resource_domains=_NOWHERE, frame_domains=_NOWHERE, base_uri_domains=_NOWHERE
        ),
        prefers_border=True,
    )
    return apps
