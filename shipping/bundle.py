"""The MCPB bundle: `python -m shipping.bundle` makes `dist/pingone-mcp-VERSION.mcpb` out of the wheel beside it.

A bundle of type `uv`: the desktop client brings uv, and uv brings Python and the packages for the machine it runs on.
So it is small, the same for every system, and needs nothing on the PATH.
Its format: the manifest 0.4 of https://github.com/modelcontextprotocol/mcpb.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from typing import Any

from pingone_mcp import __version__
from pingone_mcp.advice import variable
from pingone_mcp.server.build import tools_for_models
from pingone_mcp.server.prompts import prompt_texts
from pingone_mcp.settings import Settings
from shipping.registry import DESCRIPTION, ROOT, TITLE, written

DIST = ROOT / "dist"
NAME = f"pingone-mcp-{__version__}.mcpb"
_ENTRY = "main.py"
_STARTED = (
    '"""What a desktop client starts."""\n\nimport sys\n\nfrom pingone_mcp.__main__ import main\n\nsys.exit(main())\n'
)
# What the client asks for when the bundle is installed: the title of each, and what it is when it is left empty.
_ASKED = {
    "environment_id": ("Environment id", None),
    "client_id": ("Client id", None),
    "client_secret": ("Client secret", None),
    "region": ("Region", Settings.model_fields["region"].default),
}


def manifest() -> dict[str, Any]:
    """Return manifest.json: how a client starts the server, and what it asks for first."""
    return {
        "manifest_version": "0.4",
        "name": "pingone-mcp",
        "display_name": TITLE,
        "version": __version__,
        "description": DESCRIPTION,
        "author": {"name": "The pingone-mcp authors"},
        "license": "Apache-2.0",
        "keywords": ["pingone", "directory", "identity"],
        "server": {
            "type": "uv",
            "entry_point": _ENTRY,
            "mcp_config": {
                "command": "uv",
                "args": ["run", "--directory", "${__dirname}", "--no-dev", _ENTRY],
                "env": {variable(name): f"${{user_config.{name}}}" for name in _ASKED},
            },
        },
        "compatibility": {"platforms": ["darwin", "win32", "linux"], "runtimes": {"python": ">=3.11"}},
        "user_config": {name: _option(name, *about) for name, about in _ASKED.items()},
        "tools": [{"name": tool.name, "description": _first_sentence(tool.description)} for tool in tools_for_models()],
        "tools_generated": False,
        "prompts_generated": bool(prompt_texts()),
    }


def _option(name: str, title: str, default: str | None) -> dict[str, Any]:
    about = {"type": "string", "title": title, "description": (Settings.model_fields[name].description or "")}
    return {
        **about,
        "sensitive": name == "client_secret",
        "required": default is None,
        **({"default": default} if default else {}),
    }


def _first_sentence(text: str) -> str:
    return text.partition("\n")[0]


def contents(wheel: Path) -> dict[str, bytes]:
    """Return the files of the bundle by name; the program itself is the wheel."""
    project = f"""\
[project]
name = "pingone-mcp-bundle"
version = "{__version__}"
requires-python = ">=3.11"
dependencies = ["pingone-mcp"]

[tool.uv]
package = false

[tool.uv.sources]
pingone-mcp = {{ path = "{wheel.name}" }}
"""
    texts = {"manifest.json": written(manifest()), "pyproject.toml": project, _ENTRY: _STARTED}
    return {
        **{name: text.encode() for name, text in texts.items()},
        wheel.name: wheel.read_bytes(),
        **{name: (ROOT / name).read_bytes() for name in ("LICENSE", "README.md")},
    }


def make(wheel: Path, folder: Path) -> Path:
    """Write the bundle of a wheel into a folder; the same wheel gives the same bytes."""
    bundle = folder / NAME
    with zipfile.ZipFile(bundle, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(contents(wheel).items()):
            about = zipfile.ZipInfo(name, (2020, 2, 2, 0, 0, 0))
            about.external_attr = 0o644 << 16
            archive.writestr(about, content, zipfile.ZIP_DEFLATED)
    return bundle


def main() -> int:
    wheels = sorted(DIST.glob(f"pingone_mcp-{__version__}-*.whl"))
    if len(wheels) != 1:
        print("There is no wheel in dist/: make dist", file=sys.stderr)
        return 1
    print(make(wheels[0], DIST).relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
