"""People with a link token: they link once, what works only, and get nowhere else."""

from __future__ import annotations

import json
import logging
import re

import pytest

from pingone_mcp.control.linked import LinkedConnection
from pingone_mcp.control.tokens import LINK_TOKEN_LIVES
from pingone_mcp.service.fleet.drafting.drafts import DRAFT_SECONDS
from pingone_mcp.web.pages.linking.guests import OF_SENDER, OF_TOKEN
from tests.web.pages.linking.visitors import Visitor
from tests.web.premises import Heard

_NONCE = re.compile(rb'nonce="[^"]*"')


async def linked(visitor: Visitor) -> list[LinkedConnection]:
    return [one for one in await visitor.face.estate.control.connections.listed() if one.id != visitor.face.acme.id]


async def check(visitor: Visitor, company: str = "beta", invited: str | None = None, **changes: str) -> Heard:
    """Open a link, enter a company, and see what works."""
    await visitor.get(invited or await visitor.invite())
    return await visitor.post(**visitor.values(company, **changes))


async def test_a_link_leads_to_a_connection_and_is_used_up(visitor: Visitor) -> None:
    invited = await visitor.invite(tenant="customer 17", redirect_uri="https://app.example.com/back?from=us")
    await check(visitor, "beta", invited)
    for right in ("users of Workforce", "groups of Workforce", "audit events of Workforce", "It works"):
        assert right in visitor.page
    assert await linked(visitor) == [], "nothing is kept before somebody says so"
    home = visitor.values("beta")["environment_id"]
    done = await visitor.post(name="Beta & Sons", scope="chosen", environments=home)
    assert done.status == 200
    [one] = await linked(visitor)
    assert (one.name, one.tenant, one.status, one.settings["environment_id"]) == (
        "Beta & Sons",
        "customer 17",
        "active",
        home,
    )
    assert "environments" not in one.settings
    secret = (await visitor.face.estate.control.connections.credentials(one.id))["client_secret"]
    assert secret.get_secret_value() == visitor.values("beta")["client_secret"]
    message, target, onward = visitor.outcome()
    assert json.loads(message) == {
        "result": "success",
        "integration": "pingone",
        "integrated_account_id": one.id,
        "is_truto": True,
    }
    assert target == "https://app.example.com"
    assert onward == (
        f"https://app.example.com/back?from=us&result=success&integration=pingone&integrated_account_id={one.id}"
    )
    assert (await visitor.get(invited)).status == 410, "it is good once"


async def test_coming_back_and_sending_again_do_no_harm(visitor: Visitor) -> None:
    await check(visitor)
    page, there = visitor.page, visitor.at
    await visitor.post(name="beta")
    done = visitor.page
    await visitor.get(visitor.at)
    assert _NONCE.sub(b"", visitor.page.encode()) == _NONCE.sub(b"", done.encode()), "reloaded"
    visitor.page = page  # as the button that goes back shows it
    again = await visitor.post(there, name="beta")
    assert (again.status, visitor.outcome()[1]) == (200, "*")
    assert len(await linked(visitor)) == 1


async def test_a_wrong_secret_is_named_and_nothing_is_kept(visitor: Visitor) -> None:
    invited = await visitor.invite()
    await check(visitor, "beta", invited, client_secret="a-wrong-secret-0815")
    assert "does not accept the client id or the client secret. Check Client ID and Client secret" in visitor.page
    assert "the worker application \u203a Overview" in visitor.page
    assert "It does not work yet" in visitor.page
    assert "<button>Connect</button>" not in visitor.page
    await visitor.post(visitor.at)  # nobody is shown this button, and may send it all the same
    assert "It does not work yet" in visitor.page
    assert await linked(visitor) == []
    assert await visitor.face.estate.control.tokens.link(invited.partition("=")[2]) is not None
    await visitor.get(f"{invited}&draft={visitor.at.partition('?')[0].rpartition('/')[2]}")
    assert visitor.values("beta")["client_id"] in visitor.page, "what is no secret need not be entered again"
    assert 'name="client_secret" type="password" value=""' in visitor.page
    assert "a-wrong-secret-0815" not in visitor.everything()


async def test_what_is_granted_meanwhile_is_seen_by_checking_again(visitor: Visitor) -> None:
    sandbox = visitor.face.estate.company("beta").sandbox
    grants = [*sandbox.application.grants]
    sandbox.withdraw()
    await check(visitor)
    assert "It does not work yet" in visitor.page
    assert "the worker application \u203a Roles \u203a Grant roles" in visitor.page
    sandbox.application.grants = grants
    sandbox.revoke_tokens()
    await visitor.post(next(one for one in visitor.actions() if "/again" in one))
    assert "It works" in visitor.page


async def test_what_is_not_needed_is_said_and_keeps_nobody(visitor: Visitor) -> None:
    sandbox = visitor.face.estate.company("beta").sandbox
    [identity] = [one for one in sandbox.application.grants if "Identity" in one.role][:1]
    sandbox.application.grants = [identity]
    await check(visitor)
    assert "is missing; you can go on" in visitor.page
    await visitor.post(name="beta")
    assert len(await linked(visitor)) == 1


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("environment_id", "no-id", "must be an id (a UUID)"),
        ("client_secret", "", "this is missing"),
        ("region", "Mars", "Input should be"),
        ("custom_domain", "https://login.example.com/as", "must be a host name"),
        ("custom_domain", "169.254.169.254", "not the name of a public host"),
        ("custom_domain", "localhost", "not the name of a public host"),
        ("client_id", "a\x00b", "no text that can stand here"),
    ],
)
async def test_what_cannot_be_right_is_said_before_anything_is_sent(
    visitor: Visitor, field: str, value: str, said: str
) -> None:
    asked = visitor.face.estate.company("beta").sandbox.token_requests
    entered = {"client_secret": "not-shown-4711", field: value}
    answer = await check(visitor, **entered)
    assert answer.status == 422
    assert said in visitor.page
    assert "not-shown-4711" not in visitor.everything()
    assert visitor.face.estate.company("beta").sandbox.token_requests == asked


async def test_settings_that_the_form_does_not_have_are_not_taken(visitor: Visitor) -> None:
    await check(visitor, api_url="https://evil.example.com/v1", allow_writes="1", sandbox="1")
    await visitor.post(name="beta", allow_writes="1")
    [one] = await linked(visitor)
    assert not {"api_url", "allow_writes", "sandbox"} & one.settings.keys()


async def test_links_that_are_not_good_all_look_the_same(visitor: Visitor) -> None:
    control = visitor.face.estate.control
    used = await visitor.invite()
    await control.tokens.use_link(used.partition("=")[2])
    removed = await visitor.face.estate.link("gone", tenant="customer")
    orphan = await visitor.invite(connection_id=removed.id)
    await control.connections.remove(removed.id)
    expired = await visitor.invite()
    visitor.face.estate.time.passed += LINK_TOKEN_LIVES.total_seconds()
    known = "/connect-account?link_token=plt_" + "0" * 48
    pages = set()
    for path in (
        used,
        orphan,
        expired,
        known,
        "/connect-account",
        "/connect-account?link_token=%00",
        f"{known}&draft=x",
    ):
        answer = await visitor.get(path)
        pages.add((answer.status, _NONCE.sub(b"", answer.body)))
        assert json.loads(visitor.outcome()[0])["error_type"] == "invalid_token"
    assert len(pages) == 1
    assert pages.pop()[0] == 410


async def test_a_link_opens_nothing_else(visitor: Visitor) -> None:
    token = (await visitor.invite()).partition("=")[2]
    acme = visitor.face.acme.id
    for path in ("/", f"/c/{acme}/people", f"/c/{acme}/link/remove", "/connections/add", "/integrated-account"):
        for headers in ([("Authorization", f"Bearer {token}")], [("Cookie", f"pingone_mcp_80={token}")]):
            answer = await visitor.face.ask("GET", f"{path}?link_token={token}", *headers, key="")
            assert answer.status in (401, 303), path
            assert answer.status == 401 or "/sign-in" in answer.header("location")
            assert "acme" not in answer.body.decode()


async def test_of_two_who_hold_one_link_the_first_wins_and_the_other_hears_it(visitor: Visitor) -> None:
    invited = await visitor.invite()
    other = Visitor(face=visitor.face)
    await check(visitor, "beta", invited)
    await check(other, "gamma", invited)
    await visitor.post(name="beta")
    answer = await other.post(name="gamma")
    assert answer.status == 410
    assert "it was used" in other.page
    assert [one.name for one in await linked(visitor)] == ["beta"]


async def test_what_one_link_has_entered_is_not_found_by_another(visitor: Visitor) -> None:
    await check(visitor)
    draft = visitor.at.partition("?")[0]
    other = Visitor(face=visitor.face)
    invited = await other.invite()
    await other.get(f"{draft}?{invited.partition('?')[2]}")
    assert other.at == invited, "it is led to its own beginning"
    await other.post(f"{draft}?{invited.partition('?')[2]}", name="beta")
    assert await linked(visitor) == []


async def test_what_was_entered_is_forgotten_after_half_an_hour(visitor: Visitor) -> None:
    invited = await visitor.invite()
    await check(visitor, "beta", invited)
    there = visitor.at
    visitor.face.estate.time.passed += DRAFT_SECONDS
    await visitor.get(there)
    assert visitor.at == invited


@pytest.mark.parametrize("csrf", ["", "0" * 64, None])
async def test_a_form_that_was_not_shown_for_this_link_is_refused(visitor: Visitor, csrf: str | None) -> None:
    if csrf is None:
        await visitor.get(await visitor.invite())
    shown = visitor.page
    invited = await visitor.invite()
    await visitor.get(invited)
    if csrf is None:
        visitor.page = shown
        answer = await visitor.post(invited, **visitor.values("beta"))
    else:
        answer = await visitor.post(invited, csrf=csrf, **visitor.values("beta"))
    assert answer.status == 400
    assert "was shown to you" in visitor.page
    assert not visitor.face.estate.company("beta").sandbox.token_requests


async def test_other_sites_send_nothing(visitor: Visitor) -> None:
    await visitor.get(await visitor.invite())
    answer = await visitor.post(origin="https://evil.example.com", **visitor.values("beta"))
    assert answer.status == 403


async def test_the_pages_stand_in_no_frame_and_keep_their_opener(visitor: Visitor) -> None:
    await check(visitor)
    await visitor.post(name="beta")
    for answer in visitor.heard:
        if answer.status == 200:
            policy = answer.header("content-security-policy")
            assert "frame-ancestors 'none'" in policy
            assert "form-action 'self'" in policy
            assert (answer.header("x-frame-options"), answer.header("cache-control")) == ("DENY", "no-store")
            assert "cross-origin-opener-policy" not in answer.text
            assert "set-cookie" not in answer.text


async def test_who_gives_up_says_so_and_may_come_back(visitor: Visitor) -> None:
    invited = await visitor.invite(redirect_uri="https://app.example.com/back")
    await visitor.get(invited.replace("?", "/given-up?"))
    message, target, onward = visitor.outcome()
    assert json.loads(message)["error_type"] == "connection_error"
    assert target == "https://app.example.com"
    assert "error_type=connection_error" in onward
    assert (await visitor.get(invited)).status == 200


async def test_another_integration_is_not_to_be_had_here(visitor: Visitor) -> None:
    invited = await visitor.invite()
    await visitor.get(f"{invited}&integration=hubspot")
    assert json.loads(visitor.outcome()[0])["error_type"] == "invalid_integration"
    for wanted in ("integration=pingone", "integrations=hubspot,pingone", "no_back=true&iframe=true"):
        assert (await visitor.get(f"{invited}&{wanted}")).status == 200
        assert "Connect PingOne" in visitor.page


async def test_the_sample_company_is_there_where_the_server_has_it(visitor: Visitor) -> None:
    await visitor.get(await visitor.invite())
    assert "sample company" not in visitor.page
    answer = await visitor.post(provider="sample")
    assert answer.status == 400
    assert await linked(visitor) == []


async def test_a_link_for_a_connection_keeps_its_id_and_what_is_served(visitor: Visitor) -> None:
    estate = visitor.face.estate
    world = estate.company("beta").sandbox
    beta = await estate.link("beta", tenant="customer", environments="all", allow_writes=True)
    invited = await visitor.invite(connection_id=beta.id)
    await visitor.get(invited)
    assert "Reconnect beta" in visitor.page
    assert world.environment_id in visitor.page
    with estate.another_secret("beta"):
        await visitor.post(**visitor.values("beta", client_secret="another"))
        assert "It works" in visitor.page
        assert 'value="all" checked' in visitor.page
        await visitor.post(scope="chosen", environments="all", name="not asked for")
    [one] = await linked(visitor)
    assert (one.id, one.name, one.settings["environments"], one.settings["allow_writes"]) == (
        beta.id,
        "beta",
        ["all"],
        True,
    )
    assert json.loads(visitor.outcome()[0])["integrated_account_id"] == beta.id
    secret = (await estate.control.connections.credentials(one.id))["client_secret"]
    assert secret.get_secret_value() == "another"


async def test_only_what_was_offered_can_be_chosen(visitor: Visitor) -> None:
    await check(visitor)
    there, page = visitor.at, visitor.page
    home = visitor.values("beta")["environment_id"]
    offered = re.findall(r'name="environments" value="([^"]+)"', page)
    populations = re.findall(r'name="populations" value="([^"]+)"', page)
    assert home in offered
    assert "all" in offered
    assert len(populations) > 4
    of_home, elsewhere = _populations(page)
    for chosen, said in (
        ({}, "No environment was chosen"),
        ({"environments": visitor.face.acme.id}, "not there"),
        ({"environments": home, "populations": "3f5f7c1e-8a54-4d0e-9f0a-6c1f2b7d9e10"}, "not there"),
        ({"environments": home, "populations": elsewhere[0]}, "of an environment that was not"),
    ):
        visitor.page = page
        await visitor.post(there, scope="chosen", **{"name": "beta", **chosen})
        assert said in visitor.page
        assert await linked(visitor) == []
    visitor.page = page
    await visitor.post(there, scope="chosen", name="beta", environments=home, populations=of_home[:2])
    [one] = await linked(visitor)
    assert (one.settings["environments"], one.settings["populations"]) == ([home], of_home[:2])


def _populations(page: str) -> tuple[list[str], list[str]]:
    """Return the populations of the environment Workforce, and those of others, as the page groups them."""
    found: dict[str, list[str]] = {}
    for legend, fieldset in re.findall(r"<legend>([^<]+)</legend>(.*?)</fieldset>", page, re.DOTALL):
        if ids := re.findall(r'name="populations" value="([^"]+)"', fieldset):
            found[legend] = ids
    return found.pop("Workforce"), [one for ids in found.values() for one in ids]


async def test_a_name_that_is_taken_is_said_and_the_link_stays_good(visitor: Visitor) -> None:
    invited = await visitor.invite(tenant="customer")
    await check(visitor, "beta", invited)
    await visitor.post(name="acme")
    assert "Another connection has this name." in visitor.page
    assert await linked(visitor) == []
    await visitor.post(name="beta")
    assert [one.name for one in await linked(visitor)] == ["beta"]


async def test_what_stops_working_between_check_and_end_is_not_kept(visitor: Visitor) -> None:
    await check(visitor)
    with visitor.face.estate.another_secret("beta"):
        await visitor.post(name="beta")
    assert "It does not work yet" in visitor.page
    assert await linked(visitor) == []


async def test_names_of_tenants_are_text(visitor: Visitor) -> None:
    hostile = '"><script>alert(1)</script>\u202e'
    await visitor.get(await visitor.invite(tenant=hostile))
    assert "<script>alert" not in visitor.page
    assert "&lt;script&gt;alert(1)" in visitor.page
    assert "\u202e" not in visitor.page


async def test_one_link_asks_for_few_checkups_at_a_time(visitor: Visitor) -> None:
    invited = await visitor.invite()
    await visitor.get(invited)
    time, passed = visitor.face.estate.time, visitor.face.estate.time.passed
    statuses = []
    for _ in range(OF_TOKEN + 1):
        time.passed = passed  # `ask` lets time go by
        await visitor.get(invited)
        time.passed = passed
        statuses.append((await visitor.post(invited, **visitor.values("beta"))).status)
    assert statuses == [200] * OF_TOKEN + [429]


async def test_one_sender_asks_so_often_only(visitor: Visitor) -> None:
    time, passed = visitor.face.estate.time, visitor.face.estate.time.passed
    statuses = []
    for _ in range(OF_SENDER + 1):
        time.passed = passed
        statuses.append((await visitor.get("/connect-account?link_token=plt_0")).status)
    assert statuses == [410] * OF_SENDER + [429]


async def test_the_secret_stands_nowhere(visitor: Visitor, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await check(visitor)
    await visitor.post(name="beta")
    secret = visitor.values("beta")["client_secret"]
    assert secret not in visitor.everything()
    assert secret not in caplog.text
