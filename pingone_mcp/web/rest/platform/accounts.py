"""`/integrated-account`: the connections that a caller reaches, in the words of Truto's public contract."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from pingone_mcp.control.announcing.rows import METHOD, shown_account
from pingone_mcp.directory.rows import timestamp
from pingone_mcp.service.callers import Permission
from pingone_mcp.service.fleet.accounts import (
    AccountChange,
    CallerAccounts,
    LinkInvitation,
    needed_for,
)
from pingone_mcp.service.fleet.linking import LinkRequest
from pingone_mcp.settings.linked import CALLERS_SETTINGS
from pingone_mcp.web.rest.content import GivenBody
from pingone_mcp.web.rest.operation import Asking, RestAnswer, RestOperation
from pingone_mcp.web.rest.parameters import Parameter
from pingone_mcp.web.rest.platform.lists import (
    DONE,
    PAGES,
    REMOVED,
    TEXT,
    TEXT_OR_NULL,
    TIME,
    TIME_OR_NULL,
    YES_NO,
    described,
    list_asked,
    platform_list,
    platform_listed,
)

MOST_REMOVED = 100
"""How many connections one request removes."""
_TENANT = Parameter(name="tenant_id", about="Only the connections of this customer.")

Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
AccountId = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
Settings = Annotated[
    dict[str, JsonValue],
    Field(
        description="Settings of the connection by their names: " + ", ".join(sorted(CALLERS_SETTINGS)) + ".",
        examples=[{"environment_id": "3f5f7c1e-8a54-4d0e-9f0a-6c1f2b7d9e10", "region": "EU", "client_id": "…"}],
    ),
]
Elsewhere = Annotated[
    Literal["wnam", "enam", "apac", "eu"] | None,
    Field(description="Where Truto keeps an account; without effect here."),
]


class NewAccount(GivenBody):
    """A connection that is to be linked, once its check-up says that it works."""

    context: Settings = Field(repr=False)
    name: Name | None = None
    tenant_id: Name | None = Field(
        None, description="The customer it belongs to; that of the credential, if it has one."
    )
    environment_integration_id: Literal["pingone"] = "pingone"
    authentication_method: Literal["oauth2_client_credentials"] = METHOD
    region: Elsewhere = None

    def needs(self) -> frozenset[Permission]:
        return needed_for(self.context)


class ChangedAccount(GivenBody):
    """What is changed of a connection. Settings that are not named stay, and new ones count once they work."""

    context: Settings | None = Field(None, repr=False)
    name: Name | None = None
    is_paused: bool | None = None

    def needs(self) -> frozenset[Permission]:
        return needed_for(self.context or {})


class NewCredentials(GivenBody):
    """As whom PingOne is asked from now on; all else of the connection stays."""

    client_id: str
    client_secret: str = Field(repr=False)


class CredentialsOnly(GivenBody):
    """Nothing but the credentials of a connection, which count once they work."""

    context: NewCredentials


class AccountsToRemove(GivenBody):
    """Which connections are removed: all of them, or, where one is not reached, none."""

    ids: Annotated[list[AccountId], Field(min_length=1, max_length=MOST_REMOVED)]


class TokenFor(GivenBody):
    """Whose token is wanted."""

    integrated_account_id: AccountId
    scopes: list[Permission] | None = Field(None, description="What it may do; without them, what the caller may.")

    def needs(self) -> frozenset[Permission]:
        return frozenset(self.scopes or ())


class CheckedAgain(GivenBody):
    """Which connection is checked."""

    id: AccountId


class LinkTokenFor(GivenBody):
    """Whom a link token is for: a customer, or one with a connection, which gets new credentials."""

    tenant_id: Name | None = None
    integrated_account_id: AccountId | None = None
    redirect_uri: str | None = Field(
        None,
        max_length=2_000,
        pattern=r"^(https://[A-Za-z0-9.-]+|http://(localhost|127\.0\.0\.1|\[::1\]))(:[0-9]{1,5})?([/?][!-~]*)?$",
        description="Where the page leads when it is done: https, or http on the reader's own machine.",
    )
    region: Elsewhere = None
    scopes: list[str] | None = Field(
        None, description="Of OAuth, where an account is authorized so; without effect here."
    )
    environment_unified_model_id: list[str] | str | None = Field(
        None, description="Of Truto's installation; without effect here."
    )
    unified_model_id: str | None = Field(None, description="The same, as an SDK sends it; without effect here.")
    context: Annotated[dict[str, JsonValue], Field(max_length=0)] | None = Field(
        None, description="Empty: settings are entered on the page, or given with POST /integrated-account."
    )
    persist_previous_context: bool | None = Field(None, description="What is not entered anew always stays, here.")


ACCOUNT = described(
    {
        "id": TEXT,
        "name": TEXT,
        "tenant_id": TEXT_OR_NULL,
        "environment_id": TEXT,
        "environment_integration_id": TEXT,
        "status": {"enum": ["connecting", "active", "needs_reauth", "validation_error", "post_install_error"]},
        "last_error": TEXT_OR_NULL,
        "is_paused": YES_NO,
        "is_sandbox": YES_NO,
        "authentication_method": TEXT,
        "region": TEXT_OR_NULL,
        "context": {"type": "object"},
        "object_store_context_fields": {"type": "array"},
        "integration": described({"id": TEXT, "name": TEXT, "label": TEXT, "category": TEXT}),
        "last_sync_at": TIME_OR_NULL,
        "next_sync_at": TIME_OR_NULL,
        "created_at": TIME,
        "updated_at": TIME,
    }
)


class AccountHandlers:
    """What answers, over the use cases."""

    def __init__(self, accounts: CallerAccounts) -> None:
        self._accounts = accounts

    async def list(self, asking: Asking) -> RestAnswer:
        asked = list_asked(asking, {"tenant": asking.query.texts.get(_TENANT.name)})
        return platform_list(asking, await self._accounts.listed(asked), shown_account)

    async def get(self, asking: Asking) -> RestAnswer:
        return RestAnswer(body=shown_account(await self._accounts.find(asking.caller, asking.path.get("id"))))

    async def create(self, asking: Asking) -> RestAnswer:
        new = asking.given(NewAccount)
        request = LinkRequest(values=new.context, name=new.name, tenant=new.tenant_id)
        return RestAnswer(body=shown_account(await self._accounts.connect(asking.caller, request)))

    async def change(self, asking: Asking) -> RestAnswer:
        given = asking.given(ChangedAccount)
        linked = await self._accounts.find(asking.caller, asking.path.get("id"))
        change = AccountChange(name=given.name, is_paused=given.is_paused, values=given.context)
        return RestAnswer(body=shown_account(await self._accounts.change(asking.caller, linked.id, change)))

    async def remove(self, asking: Asking) -> RestAnswer:
        removed = await self._accounts.remove(asking.caller, asking.path["id"])
        return RestAnswer(body={"id": removed.id})

    async def change_credentials(self, asking: Asking) -> RestAnswer:
        given = asking.given(CredentialsOnly)
        change = AccountChange(values=given.context.model_dump())
        return RestAnswer(body=shown_account(await self._accounts.change(asking.caller, asking.path["id"], change)))

    async def remove_several(self, asking: Asking) -> RestAnswer:
        await self._accounts.remove_several(asking.caller, asking.given(AccountsToRemove).ids)
        return RestAnswer(body={"success": True})

    async def check(self, asking: Asking) -> RestAnswer:
        await self._accounts.check(asking.caller, asking.given(CheckedAgain).id)
        return RestAnswer(body={"success": True})

    async def token(self, asking: Asking) -> RestAnswer:
        given = asking.given(TokenFor)
        text, token = await self._accounts.account_token(asking.caller, given.integrated_account_id, given.scopes)
        return RestAnswer(
            body={
                "integrated_account_token": text.get_secret_value(),
                "scopes": sorted(token.permissions),
                "expires_at": timestamp(token.expires_at),
            }
        )

    async def link_token(self, asking: Asking) -> RestAnswer:
        given = asking.given(LinkTokenFor)
        invitation = LinkInvitation(
            tenant=given.tenant_id, connection=given.integrated_account_id, redirect_uri=given.redirect_uri
        )
        text = await self._accounts.link_token(asking.caller, invitation)
        return RestAnswer(body={"link_token": text.get_secret_value()})


def account_operations(accounts: CallerAccounts) -> tuple[RestOperation, ...]:
    """Return the operations of connections and of link tokens."""
    does = AccountHandlers(accounts)
    root, one, me = "/integrated-account", "/integrated-account/{id}", "/integrated-account/me"
    about = {"id": "The id of the connection."}
    manages = partial(RestOperation, tag="integrated_accounts", of_connection=False, permission="connections.manage")
    looks = partial(RestOperation, tag="integrated_accounts", of_connection=False, permission=None)
    return (
        looks(
            name="listIntegratedAccounts",
            path=root,
            summary="List the connections that the credential reaches, the oldest first.",
            parameters=(*PAGES, _TENANT),
            answer=does.list,
            answers=platform_listed(ACCOUNT),
        ),
        manages(
            name="createIntegratedAccount",
            method="POST",
            path=root,
            summary="Link a connection: each right is checked live, and nothing is kept of one that does not work.",
            takes=NewAccount,
            answer=does.create,
            answers=ACCOUNT,
        ),
        looks(
            name="getMyIntegratedAccount",
            path=me,
            summary="Get the only connection that the credential reaches.",
            for_account_tokens=True,
            answer=does.get,
            answers=ACCOUNT,
        ),
        manages(
            name="updateMyIntegratedAccount",
            method="PATCH",
            path=me,
            summary="Change the only connection that the credential reaches.",
            for_account_tokens=True,
            takes=ChangedAccount,
            answer=does.change,
            answers=ACCOUNT,
        ),
        looks(
            name="createIntegratedAccountToken",
            method="POST",
            path=f"{root}/token",
            summary="Give a token that is good for one connection, for fifteen minutes.",
            takes=TokenFor,
            answer=does.token,
            answers=described(
                {"integrated_account_token": TEXT, "scopes": {"type": "array", "items": TEXT}, "expires_at": TIME}
            ),
        ),
        manages(
            name="refreshIntegratedAccountCredentials",
            method="POST",
            path=f"{root}/refresh-credentials",
            summary="Check again whether a connection works, and note it as its status.",
            takes=CheckedAgain,
            answer=does.check,
            answers=DONE,
        ),
        manages(
            name="deleteIntegratedAccounts",
            method="POST",
            path=f"{root}/bulk-delete",
            summary="Remove several connections: all of them, or, where one is not reached, none.",
            takes=AccountsToRemove,
            answer=does.remove_several,
            answers=DONE,
        ),
        manages(
            name="updateIntegratedAccountCredentials",
            method="PATCH",
            path=f"{one}/credentials",
            summary="Give a connection other credentials, and change nothing else.",
            about_path=about,
            takes=CredentialsOnly,
            answer=does.change_credentials,
            answers=ACCOUNT,
        ),
        looks(
            name="getIntegratedAccount",
            path=one,
            summary="Get one connection.",
            about_path=about,
            answer=does.get,
            answers=ACCOUNT,
        ),
        manages(
            name="updateIntegratedAccount",
            method="PATCH",
            path=one,
            summary="Rename, pause or resume a connection, or give it other settings or credentials.",
            about_path=about,
            takes=ChangedAccount,
            answer=does.change,
            answers=ACCOUNT,
        ),
        manages(
            name="deleteIntegratedAccount",
            method="DELETE",
            path=one,
            summary="Remove a connection with its credentials, its local copy, its exports and its tokens.",
            about_path=about,
            answer=does.remove,
            answers=REMOVED,
        ),
        RestOperation(
            name="createLinkToken",
            method="POST",
            path="/link-token",
            tag="link_tokens",
            of_connection=False,
            permission="connections.manage",
            summary="Give a token for the page on which a customer connects, once within seven days.",
            takes=LinkTokenFor,
            answer=does.link_token,
            answers=described({"link_token": TEXT}),
        ),
    )
