"""Everything that serves, checks, measures or tests puts a connection together in one place."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from pingone_mcp.current_connection import DEFAULT
from pingone_mcp.directory.native import ProxyQuestion
from pingone_mcp.directory.provider import UserQuestion
from pingone_mcp.errors import Refused
from pingone_mcp.sandbox.app import running
from pingone_mcp.settings.parts import ConnectionSettings
from pingone_mcp.wiring import PROVIDERS, checking, open_backend, open_pingone
from tests.contract.dictionary.company import sample
from tests.contract.dictionary.opening import opening
from tests.sandbox.webhooks.receiver import Receiver, body_of, listening, until
from tests.world import World

PACKAGE = Path(__file__).resolve().parents[1] / "pingone_mcp"
OF_CALLERS = "service/fleet/cursors.py"  # lists over all connections: their cursors belong to a caller
MADE_HERE = {"Backend", "Replica", "Journal", "WriteRules", "Exports", "Rosters", "CursorSeal", "Queries"}


def made(path: Path) -> set[str]:
    """Return what a module makes of the things that belong to a connection."""
    calls = (node.func for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call))
    return {call.id for call in calls if isinstance(call, ast.Name)} & MADE_HERE


def test_one_module_puts_connections_together() -> None:
    makers = {path.relative_to(PACKAGE).as_posix(): made(path) for path in PACKAGE.rglob("*.py") if made(path)}
    assert makers == {"wiring/__init__.py": MADE_HERE, "wiring/serving.py": {"Queries"}, OF_CALLERS: {"CursorSeal"}}


@pytest.mark.parametrize("name", PROVIDERS)
async def test_every_provider_of_the_table_answers_and_is_copied(name: str, world: World, tmp_path: Path) -> None:
    """The sample company needs no settings; PingOne is reached here as it always is: over the network."""
    async with running(world.sandbox) as here:
        settings = world.settings(api_url=f"{here}/v1", auth_url=here)
        if name == "sample":
            settings = ConnectionSettings(sandbox=True, cache_dir=tmp_path)
        async with open_backend(settings, PROVIDERS[name]) as backend:
            assert len((await backend.directory.users(UserQuestion(), page_size=3)).items) == 3
            await backend.replica.sync("full", report=lambda *_: None)
            assert (await backend.copy.users(UserQuestion(), page_size=3)).total == 500


async def test_the_sample_company_sends_webhooks_from_where_it_is_embedded(tmp_path: Path) -> None:
    receiver, settings = Receiver(), ConnectionSettings(sandbox=True, cache_dir=tmp_path, allow_writes=True)
    async with listening(receiver) as url, open_backend(settings) as backend:
        assert backend.native is not None
        [user] = (await backend.directory.users(UserQuestion(), page_size=1)).items
        root = f"/environments/{user.organizations[0].id}"
        asked = {"httpEndpoint": {"url": url}}
        await backend.native.send(ProxyQuestion(method="POST", path=f"{root}/subscriptions", body=body_of(**asked)))
        await backend.native.send(
            ProxyQuestion(method="PUT", path=f"{root}/users/{user.id}/enabled", body={"enabled": False})
        )
        await until(receiver, 1)
    assert receiver.requests[0].rows()[0]["resources"][0]["id"] == user.id


async def test_files_of_two_scopes_are_two(world: World) -> None:
    population = world.sandbox.company.environments[0].populations[0].id
    async with world.backend() as everybody, world.backend(populations=(population,)) as some:
        assert everybody.replica.store.path != some.replica.store.path
        assert everybody.exports != some.exports


ONE = {"environment_id": str(UUID(int=1)), "client_id": str(UUID(int=2)), "client_secret": "made up", "region": "EU"}


async def opened(identity: str = DEFAULT, **changes: Any) -> tuple[str, bytes]:
    """Return what names the files of a connection, and what its cursors are sealed with."""
    async with open_pingone(ConnectionSettings(**ONE | changes), identity) as provider:
        return provider.key, provider.seal


@pytest.mark.parametrize(
    "other",
    [
        {"region": "NA"},
        {"api_url": "https://api.example.com/v1"},
        {"environment_id": str(UUID(int=3))},
        {"client_id": str(UUID(int=4))},
        {"identity": "another"},
    ],
    ids=lambda other: next(iter(other)),
)
async def test_neither_files_nor_cursors_are_shared_with_another_connection(other: dict[str, Any]) -> None:
    (key, seal), (another_key, another_seal) = await opened(), await opened(**other)
    assert key != another_key
    assert seal != another_seal


@pytest.mark.parametrize("scope", [{"environments": ("all",)}, {"populations": (str(UUID(int=5)),)}], ids=str)
async def test_another_scope_has_other_files_and_finds_older_cursors_stale(scope: dict[str, Any]) -> None:
    (key, seal), (another_key, another_seal) = await opened(), await opened(**scope)
    assert key != another_key
    assert seal == another_seal


async def test_the_sample_company_is_checked_without_any_settings(tmp_path: Path) -> None:
    async with checking(ConnectionSettings(sandbox=True, cache_dir=tmp_path)) as steps:
        assert {one.step: one.ok async for one in steps}["token"]


async def test_the_check_up_is_the_provider_s_own(world: World, tmp_path: Path) -> None:
    settings = ConnectionSettings(sandbox=True, cache_dir=tmp_path)
    with pytest.raises(Refused, match="has no check-up"):
        async with checking(settings, opening(sample())):
            pass
    assert not world.sandbox.requests
    async with running(world.sandbox) as here, checking(world.settings(api_url=f"{here}/v1", auth_url=here)) as steps:
        assert {one.step: one.ok async for one in steps}["token"]
    assert world.sandbox.requests


@pytest.mark.parametrize(
    ("host", "public_url", "behind_proxy", "allowed"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080", False, True),
        ("localhost", "http://localhost:8080", False, True),
        ("127.0.0.1", "http://127.0.0.1:8080", True, False),
        ("127.0.0.1", "https://directory.example.com", False, False),
        ("192.0.2.1", "https://directory.example.com", False, False),
        ("192.0.2.1", "http://127.0.0.1:8080", False, False),
    ],
)
def test_events_go_to_this_machine_only_where_nobody_else_names_targets(
    host: str, public_url: str, behind_proxy: bool, allowed: bool
) -> None:
    from pingone_mcp.settings.serving import Serving
    from pingone_mcp.web.address import PublicAddress
    from pingone_mcp.wiring.serving import ServeOptions, target_rules

    options = ServeOptions(host=host, behind_proxy=behind_proxy)
    rules = target_rules(Serving(webhook_hosts=("hooks.corp",)), options, PublicAddress(public_url))
    assert rules.allow_url("http://127.0.0.1:9000/") is allowed
    assert rules.allow_url("https://hooks.corp/")


BY_OIDC = {"oauth_issuer": "https://auth.example.com/as", "oidc_client_id": "pages"}


@pytest.mark.parametrize(
    ("settings", "options", "public_url", "expected"),
    [
        ({}, {}, "http://127.0.0.1:8080", True),
        ({"oauth_issuer": "https://auth.example.com/as"}, {}, "http://127.0.0.1:8080", True),
        (BY_OIDC, {}, "http://127.0.0.1:8080", False),
        ({}, {"behind_proxy": True}, "http://127.0.0.1:8080", False),
        ({}, {}, "https://directory.example.com", False),
        ({}, {"host": "192.0.2.1"}, "http://127.0.0.1:8080", False),
        ({}, {"with_pages": False}, "http://127.0.0.1:8080", False),
    ],
)
def test_a_link_signs_in_only_where_nobody_else_comes_and_no_other_sign_in_is_set(
    settings: dict[str, Any], options: dict[str, Any], public_url: str, expected: bool
) -> None:
    from pingone_mcp.settings.serving import Serving
    from pingone_mcp.web.address import PublicAddress
    from pingone_mcp.wiring.serving import ServeOptions, has_link

    assert has_link(Serving(**settings), ServeOptions(**options), PublicAddress(public_url)) is expected
