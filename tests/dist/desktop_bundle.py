"""The MCPB bundle: its own tool finds it valid, and what it unpacks starts with a bare PATH and answers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from shipping.bundle import make
from tests.dist.main_job import answer_as_a_server, bare
from tests.dist.versions import UV

# What makes and checks bundles; npm runs it out of its own cache.
_TOOL = "@anthropic-ai/mcpb@2.1.2"
_USED = {"environment_id": "", "client_id": "", "client_secret": "", "region": "NA"}


def check_bundle(wheel: Path, folder: Path) -> None:
    """Make the bundle, have it checked, packed and unpacked by its tool, and start what comes out."""
    folder.mkdir()
    bundle = make(wheel, folder)
    assert make(wheel, Path(tempfile.mkdtemp(dir=folder))).read_bytes() == bundle.read_bytes()
    if (npx := shutil.which("npx")) is None:
        print("  there is no npx: the bundle is unpacked as the archive that it is, and not validated")
        shutil.unpack_archive(bundle, folder / "unpacked", "zip")
    else:
        _mcpb(npx, "unpack", str(bundle), str(folder / "unpacked"))
        _mcpb(npx, "validate", str(folder / "unpacked" / "manifest.json"))
        _mcpb(npx, "pack", str(folder / "unpacked"), str(folder / "again.mcpb"))
        print("  valid; packs and unpacks")
    command, env = _as_a_client_reads_it(folder / "unpacked")
    # What a client would fill in for a person; the sandbox needs nothing of it.
    caches = {name: value for name, value in os.environ.items() if name.startswith(("UV_", "SSL_CERT_"))}
    cache = subprocess.run([UV, "cache", "dir"], capture_output=True, text=True, check=True, timeout=60).stdout.strip()
    answer_as_a_server(command, bare(folder / "home", **caches, UV_CACHE_DIR=cache, **env, PINGONE_SANDBOX="1"))
    print("  unpacked and started with a bare PATH, it answers")


def _as_a_client_reads_it(unpacked: Path) -> tuple[list[str], dict[str, str]]:
    """Return the command and variables of a manifest, as a client does: the folder and the answers filled in."""
    manifest = json.loads((unpacked / "manifest.json").read_text(encoding="utf-8"))
    assert set(manifest["user_config"]) == set(_USED)
    text = json.dumps(manifest["server"]["mcp_config"]).replace("${__dirname}", str(unpacked))
    for name, value in _USED.items():
        text = text.replace(f"${{user_config.{name}}}", value)
    assert "${" not in text, text
    config = json.loads(text)
    assert config["command"] == "uv", "which the client brings"
    return [str(UV), *config["args"]], config["env"]


def _mcpb(npx: str, *arguments: str) -> None:
    end = subprocess.run(
        [npx, "--yes", _TOOL, *arguments], capture_output=True, text=True, timeout=300, check=False, stdin=subprocess.DEVNULL
    )
    assert end.returncode == 0, f"mcpb {arguments[0]}: {end.stdout}{end.stderr}"
