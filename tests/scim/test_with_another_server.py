"""A SCIM server that others have made is read whole over HTTP, by place and by cursor."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest

from pingone_mcp.clock import Clock
from pingone_mcp.errors import Refused
from pingone_mcp.http.outward.targets import Targets
from pingone_mcp.http.routes import trusted_certificates
from pingone_mcp.scim.answers import GetJson, ScimAnswer
from pingone_mcp.scim.bearer import bearer_get
from pingone_mcp.scim.failures import ScimFailed
from pingone_mcp.scim.reader import ScimList, read_users
from pingone_mcp.settings.targets import TargetRules
from tests.depth import sampled

if TYPE_CHECKING:
    from scim2_server.memory import InMemoryStorage

TOKEN = "token-of-the-roster"
BY_PLACE: dict[str, Any] = {}
BY_CURSOR = {
    "pagination": {
        "cursor": True,
        "index": True,
        "defaultPaginationMethod": "cursor",
        "defaultPageSize": 50,
        "maxPageSize": 100,
    }
}
HERE = TargetRules(with_loopback=True)


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the library
        """Say nothing."""


@dataclass
class Other:
    """The other server: its users, and the queries that came."""

    base: str
    storage: InMemoryStorage
    kind: Any
    user: Any
    asked: list[str] = field(default_factory=list[str])

    def add(self, name: str) -> str:
        made = self.storage.create(self.kind, self.user.model_validate({"userName": name}))
        return str(made.id)

    def ids(self) -> set[str]:
        return {str(one.id) for one in self.storage.resources}


@contextmanager
def another(config: Mapping[str, Any], users: int) -> Iterator[Other]:
    """Run scim2-server on a port of this machine, with users who were made yesterday."""
    pytest.importorskip("scim2_server", reason="scim2-server, which `make demo` installs for the tests, is not there")
    from scim2_models import ScimProvider, ServiceProviderConfig
    from scim2_server import utils
    from scim2_server.memory import InMemoryStorage
    from scim2_server.service import ScimService
    from scim2_server.testserver.application import BearerTokenApplication

    said = utils.load_default_service_provider_config().model_dump() | dict(config)
    provider = ScimProvider.from_discovery(
        utils.load_default_schemas().values(),
        utils.load_default_resource_types().values(),
        config=ServiceProviderConfig.model_validate(said),
    )
    yesterday = datetime.now(UTC) - timedelta(days=1)
    storage = InMemoryStorage(clock=lambda: yesterday)
    app = BearerTokenApplication(storage, provider, ScimService(provider, secret="s" * 32), [TOKEN])
    asked: list[str] = []

    def noting(environ: dict[str, Any], start: Any) -> Any:
        asked.append(environ["QUERY_STRING"])
        return app(environ, start)

    with make_server("127.0.0.1", 0, noting, handler_class=_Silent) as server:
        [kind] = [one for one in provider.resource_types if one.name == "User"]
        other = Other(f"http://127.0.0.1:{server.server_port}/v2", storage, kind, provider.model_for(kind), asked)
        for number in range(users):
            other.add(f"user{number}")
        storage.clock = lambda: datetime.now(UTC)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield other
        finally:
            server.shutdown()
            thread.join()


@asynccontextmanager
async def reaching(base: str, token: str | None = TOKEN, rules: TargetRules = HERE) -> AsyncIterator[GetJson]:
    targets = Targets(rules, trusted_certificates(), Clock())
    try:
        yield bearer_get(targets.get, base, token)
    finally:
        await targets.aclose()


async def read(base: str, **options: Any) -> ScimList:
    async with reaching(base, **options) as get:
        return await read_users(get, base)


@pytest.mark.parametrize("users", [0, 1, 250, 1_200])
@pytest.mark.parametrize("config", [BY_PLACE, BY_CURSOR], ids=["by place", "by cursor"])
@sampled(3)
async def test_all_users_of_another_server_are_read(config: dict[str, Any], users: int) -> None:
    with another(config, users) as other:
        found = await read(other.base)
    assert ({str(one["id"]) for one in found.users}, found.total) == (other.ids(), users)
    assert (found.is_whole, found.reason) == (True, None)
    walked = [one for one in other.asked if one and "filter" not in one]
    assert len(walked) == max(1, -(-users // (100 if config else 200)))
    assert all(("cursor=" in one) is bool(config) for one in walked)


async def test_users_who_come_and_go_at_another_server_hide_nobody() -> None:
    with another(BY_PLACE, 600) as other:
        throughout, gone = other.ids(), list[str]()
        async with reaching(other.base) as get:

            async def moving(url: str, params: Mapping[str, str]) -> ScimAnswer:
                answer = await get(url, params)
                if params.get("startIndex") == "1" and not gone:
                    gone.append(min(throughout))
                    other.storage.delete(other.kind, gone[0])
                    other.add("newcomer")
                return answer

            found = await read_users(moving, other.base)
    assert found.is_whole
    assert throughout - set(gone) <= {str(one["id"]) for one in found.users}
    assert len([one for one in other.asked if one.startswith("startIndex=201")]) == 3


async def test_another_server_refuses_a_wrong_token() -> None:
    with another(BY_PLACE, 1) as other:
        with pytest.raises(ScimFailed, match="did not accept the token"):
            await read(other.base, token="wrong")
        with pytest.raises(ScimFailed, match="did not accept the token"):
            await read(other.base, token=None)


async def test_another_server_on_this_machine_is_not_asked_where_others_may_name_it() -> None:
    with another(BY_PLACE, 1) as other:
        with pytest.raises(Refused, match="no public address"):
            await read(other.base, rules=TargetRules())
        assert other.asked == []
