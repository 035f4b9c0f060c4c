"""The names by which Ping's own tools take the same settings, so that who has set those need not set ours.

Facts: terraform-provider-pingone 1.21 (its documentation and `internal/provider`), pingone-go-client 0.12
(`config/pingone.go`), Ping CLI 1.5 (`pingcli --help`) and 0.8 (its options), and Ping's MCP server.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

from pingone_mcp.settings.parts import TOP_LEVEL_DOMAINS

Reading = Callable[[str], tuple[str, str]]
"""Reads the value of a variable as a setting of ours and its value, as somebody would have written it."""


def _as(setting: str, value: str) -> tuple[str, str]:
    return setting, value


def _domain(value: str) -> tuple[str, str]:
    """Read `.eu`, `eu` or `pingone.eu` as a region; anything else stays what it is, and is refused as one."""
    ending = value.strip().lower().removeprefix("pingone").removeprefix(".")
    regions = (region for region, domain in TOP_LEVEL_DOMAINS.items() if domain == ending)
    return "region", next(regions, value)


def _api_host(value: str) -> tuple[str, str]:
    return "api_url", f"https://{value.strip()}/v1"


def _auth_host(value: str) -> tuple[str, str]:
    """Read the host of the token endpoint: PingOne's own, or a custom domain, whose paths name no environment."""
    host = value.strip()
    return ("auth_url", f"https://{host}") if host.lower().startswith("auth.pingone.") else ("custom_domain", host)


_environment, _id, _secret = (partial(_as, name) for name in ("environment_id", "client_id", "client_secret"))
_region = partial(_as, "region")

OTHER_NAMES: Mapping[str, Reading] = MappingProxyType(
    {
        "PINGONE_REGION_CODE": _region,
        "PINGONE_TOP_LEVEL_DOMAIN": _domain,
        "PINGONE_ROOT_DOMAIN": _domain,
        "PINGONE_CLIENT_CREDENTIALS_CLIENT_ID": _id,
        "PINGONE_CLIENT_CREDENTIALS_CLIENT_SECRET": _secret,
        "PINGONE_API_SERVICE_HOSTNAME": _api_host,
        "PINGONE_API_DOMAIN": _api_host,
        "PINGONE_AUTH_SERVICE_HOSTNAME": _auth_host,
        "PINGCLI_PINGONE_ENVIRONMENT_ID": _environment,
        "PINGCLI_PINGONE_CLIENT_CREDENTIALS_ENVIRONMENT_ID": _environment,
        "PINGCLI_PINGONE_CLIENT_CREDENTIALS_CLIENT_ID": _id,
        "PINGCLI_PINGONE_CLIENT_CREDENTIALS_CLIENT_SECRET": _secret,
        "PINGCLI_PINGONE_REGION_CODE": _region,
        "PINGCLI_PINGONE_ROOT_DOMAIN": _domain,
        "PINGCLI_SERVICE_PINGONE_AUTHENTICATION_CLIENTCREDENTIALS_CLIENTID": _id,
        "PINGCLI_SERVICE_PINGONE_AUTHENTICATION_CLIENTCREDENTIALS_CLIENTSECRET": _secret,
        "PINGCLI_SERVICE_PINGONE_ENDPOINT_ROOTDOMAIN": _domain,
        "PINGCLI_PINGONE_WORKER_ENVIRONMENT_ID": _environment,
        "PINGCLI_PINGONE_WORKER_CLIENT_ID": _id,
        "PINGCLI_PINGONE_WORKER_CLIENT_SECRET": _secret,
    }
)
"""What each variable of theirs is to us, by its name; of several, the first counts."""

UNUSED = (
    "PINGONE_API_ACCESS_TOKEN",
    "PINGONE_AUTHORIZATION_CODE",
    "PINGONE_AUTH_GRANT_TYPE",
    "PINGONE_CLIENT_CREDENTIALS",
    "PINGONE_DEVICE_CODE",
    "PINGONE_LICENSE_ID",
    "PINGONE_MCP_",
    "PINGONE_ORGANIZATION_ID",
    "PINGONE_REDIRECT_URI",
    "PINGONE_STORAGE_",
    "PINGONE_TERRAFORM_",
    "PINGONE_TF_",
)
"""How the variables of theirs begin that mean nothing to us: nobody has mistyped those."""
