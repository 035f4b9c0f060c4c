"""`pingone-mcp dashboard` shows the pages to whoever sits at the machine; `serve` has none where it is so wished."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.process.programs import PATIENCE, PIPES, bare, begun, run
from tests.process.test_serve_command import serving


@contextmanager
def dashboard(env: dict[str, str], *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start it; gives the process and the link that it prints."""
    with begun("dashboard", *arguments, env=env, text=True, **PIPES) as process:
        try:
            assert process.stdout is not None
            said = [process.stdout.readline() for _ in range(3)]
            assert "Ctrl-C" in said[0], process.stderr and process.stderr.read()
            yield process, said[2].strip()
        finally:
            process.kill()


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return bare(tmp_path, PINGONE_STATE_DIR=str(tmp_path / "state"), PINGONE_CACHE_DIR=str(tmp_path / "cache"))


def test_without_any_configuration_the_first_page_connects(env: dict[str, str]) -> None:
    with dashboard(env, "--no-browser") as (process, link), httpx.Client(follow_redirects=True, timeout=60) as client:
        assert link.startswith("http://127.0.0.1:")
        page = client.get(link)
        assert page.status_code == 200
        assert "Nothing is connected yet." in page.text
        assert "Add a connection" in page.text
        assert client.get(link).status_code == 403, "it is good once"
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0


def test_it_opens_a_browser_at_the_sample_company(env: dict[str, str], tmp_path: Path) -> None:
    browser, opened = tmp_path / "browser", tmp_path / "opened"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}.part\nmv {opened}.part {opened}\n')
    browser.chmod(0o755)
    told = {
        **env,
        "PINGONE_SANDBOX": "1",
        "BROWSER": f"{browser} %s",
        "PINGONE_PUBLIC_URL": "https://directory.example.com",
        "PINGONE_OAUTH_ISSUER": "https://auth.example.com/as",
        "PINGONE_OIDC_CLIENT_ID": "pages",
    }
    with dashboard(told) as (_, link), httpx.Client(follow_redirects=True, timeout=60) as client:
        assert link.startswith("http://127.0.0.1:"), "it is for this machine, whatever address is set"
        first = client.get(link)
        page = first if first.url.path == "/" else client.get(f"{link.partition('/login')[0]}/")
        assert "Sample company" in page.text
        added = client.get(f"{link.partition('/login')[0]}/connections/add")
        assert "Use the sample company" in added.text
        while not opened.exists():
            client.get(f"{link.partition('/login')[0]}/healthz")
        assert opened.read_text().strip() == link


def test_serve_without_pages_has_none(env: dict[str, str]) -> None:
    key = run("keys", "create", "all", "--scope=directory.read", "--scope=connections.manage", env=env).out.strip()
    with serving(env, "--no-pages") as served, httpx.Client(base_url=served.url, timeout=60) as client:
        headers = {"Authorization": f"Bearer {key}"}
        assert client.get("/", headers=headers).json()["name"] == "pingone-mcp"
        for path in ("/sign-in", "/connect-account?link_token=plt_0", "/assets/pages.css"):
            assert client.get(path).status_code == 404, path
        for path in ("/connections/add", "/c/default/people", "/c/default/link/remove"):
            answer = client.get(path, headers=headers)
            assert (answer.status_code, answer.headers["content-type"]) == (404, "application/json"), path
