"""Where to connect, as whom, and what is served: all that this provider needs to know."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from pingone_mcp.current_connection import DEFAULT
from pingone_mcp.directory.scope import Scope
from pingone_mcp.settings.addresses import proxy_on_the_way
from pingone_mcp.settings.parts import TOP_LEVEL_DOMAINS, ConnectionSettings, Credentials, Endpoints, Pace


class Proxies(NamedTuple):
    """The URLs of the HTTP proxies on the way to the API and to the token endpoint; either may hold a password."""

    api: str | None = None
    auth: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """One worker application and the environments it serves; `id` is its name among the connections of a process."""

    id: str = DEFAULT
    credentials: Credentials
    endpoints: Endpoints
    cache_dir: Path
    scope: Scope = field(default_factory=Scope)
    pace: Pace = field(default_factory=Pace)
    attributes: Mapping[str, str] = field(default_factory=dict[str, str])
    proxies: Proxies = field(default_factory=Proxies, repr=False)
    allow_writes: bool = False

    @property
    def api_base(self) -> str:
        """The URL that every path of the API is below; it ends with `/v1`, without a trailing slash."""
        return self.endpoints.api_url or f"https://api.pingone.{TOP_LEVEL_DOMAINS[self.endpoints.region]}/v1"

    @property
    def token_url(self) -> str:
        """The URL of the token endpoint; on a custom domain it names no environment (PingOne, "Custom domains")."""
        path = "" if self.endpoints.custom_domain else f"/{self.credentials.environment_id}"
        return f"{_auth_base(self.endpoints)}{path}/as/token"

    @property
    def own_name(self) -> tuple[str, ...]:
        """What tells the files of this connection from those of others; nothing for the one that was always there."""
        return () if self.id == DEFAULT else (self.id,)

    @property
    def key(self) -> str:
        """What this shows of which directory to whom, as a name of files. No two connections of a process have one."""
        application, environments = self.credentials, self.scope.environments
        parts = [
            self.endpoints.region,
            self.api_base,
            application.environment_id,
            application.client_id,
            None if environments is None else sorted(environments),
            sorted(self.scope.populations),
            *self.own_name,
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def connection_of(settings: ConnectionSettings, identity: str = DEFAULT) -> Connection:
    """Return the connection that settings describe. Raises Unconfigured for a proxy or a folder that cannot be."""
    credentials, endpoints = settings.part(Credentials), settings.part(Endpoints)
    made = Connection(
        id=identity,
        credentials=credentials,
        endpoints=endpoints,
        cache_dir=settings.cache_folder(),
        scope=settings.scope(credentials.environment_id),
        pace=settings.part(Pace),
        attributes=settings.attributes,
        allow_writes=settings.allow_writes,
    )
    proxies = Proxies(api=proxy_on_the_way(made.api_base), auth=proxy_on_the_way(_auth_base(endpoints)))
    return replace(made, proxies=proxies)


def _auth_base(endpoints: Endpoints) -> str:
    host = endpoints.custom_domain or f"auth.pingone.{TOP_LEVEL_DOMAINS[endpoints.region]}"
    return endpoints.auth_url or f"https://{host}"
