from __future__ import annotations

import functools
import gzip
import json
import math
import subprocess
import sys
from email.utils import parsedate_to_datetime
from typing import Literal

import anyio
import httpx
import pytest

from pingone_mcp.sandbox.app import Sandbox, running
from pingone_mcp.sandbox.faults import KINDS, Fault, FaultKind
from pingone_mcp.sandbox.options import Options
from tests.sandbox.entrance import NOW, enter, token, walk

pytestmark = pytest.mark.anyio


async def test_a_rate_limit_in_seconds(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    sandbox.faults.add("rate_limited_seconds", seconds=7)
    answer = await client.get("/users")
    detail = answer.json()["details"][0]
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
    assert (answer.json()["code"], detail["code"]) == ("REQUEST_LIMITED", "LIMIT_EXCEEDED")
    assert detail["innerError"] == {"retryAfter": "2026-06-15T12:00:07.000Z"}
    assert (await client.get("/users")).status_code == 200


async def test_a_rate_limit_as_a_date(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    sandbox.faults.add("rate_limited_date", seconds=90)
    answer = await client.get("/users")
    assert answer.status_code == 429
    assert (parsedate_to_datetime(answer.headers["retry-after"]) - NOW).total_seconds() == 90


async def test_servers_that_fail(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    for kind in ("unavailable_503", "bad_gateway_html", "server_error"):
        sandbox.faults.add(kind, nth=1)
        answer = await client.get("/users")
        sandbox.faults.clear()
        if kind == "bad_gateway_html":
            assert (answer.status_code, answer.headers["content-type"]) == (502, "text/html; charset=utf-8")
            assert answer.text.startswith("<html>")
        else:
            status = {"unavailable_503": 503, "server_error": 500}[kind]
            assert (answer.status_code, len(answer.json()["id"])) == (status, 36)
        assert ("retry-after" in answer.headers) == (kind == "unavailable_503")


async def test_a_refused_write_was_not_carried_out(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    body = {"username": "kim", "email": "kim@example.com"}
    for kind in ("rate_limited_seconds", "unavailable_503", "server_error"):
        sandbox.faults.add(kind, method="POST", path="/users$")
        assert (await client.post("/users", json=body)).status_code >= 429
    assert sandbox.state().position_of_username("kim") is None


async def test_a_body_cut_short_is_a_whole_answer_but_not_json(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    whole = (await client.get("/users")).content
    sandbox.faults.add("truncated_body")
    answer = await client.get("/users")
    assert (answer.status_code, len(answer.content)) == (200, len(whole) // 2)
    with pytest.raises(ValueError, match=r"."):
        answer.json()


class Naps(list[float]):
    async def nap(self, seconds: float) -> None:
        self.append(seconds)


async def test_a_slow_answer_waits_with_the_sleep_it_was_given() -> None:
    naps = Naps()
    sandbox = Sandbox(size=10, now=NOW, options=Options(latency=0.5), sleep=naps.nap)
    async with enter(sandbox) as client:
        sandbox.faults.add("slow", seconds=30)
        assert (await client.get("/users", timeout=31)).status_code == 200
    assert naps == [0.5, 30.5]


async def test_an_answer_that_is_slower_than_the_client_waits_never_comes() -> None:
    naps = Naps()
    sandbox = Sandbox(size=10, now=NOW, sleep=naps.nap)
    async with enter(sandbox) as client:
        sandbox.faults.add("slow", seconds=7_200)
        with pytest.raises(httpx.ReadTimeout):
            await client.get("/users", timeout=httpx.Timeout(1, read=20))
        assert (await client.get("/users")).status_code == 200
    assert naps == [20]


async def test_what_was_asked_for_is_done_though_nobody_waits_for_the_answer(
    sandbox: Sandbox, client: httpx.AsyncClient
) -> None:
    [one, *_] = sandbox.users()
    sandbox.faults.add("slow", seconds=60)
    with pytest.raises(httpx.ReadTimeout):
        await client.delete(f"/users/{one['id']}")
    assert sandbox.user(None, one["id"]) is None
    assert sandbox.requests[-1].status == 204


async def test_an_answer_is_slow_by_the_clock_of_the_sandbox_unless_somebody_wants_to_wait(
    sandbox: Sandbox, client: httpx.AsyncClient
) -> None:
    """The answer of a day takes no time of the machine; those that are under way together are slow together."""
    sandbox.faults.add("slow", seconds=86_400, times=None)
    before = sandbox.clock.now()
    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(functools.partial(client.get, "/users", timeout=None))
    assert sandbox.clock.now() - before == 86_400_000


async def test_a_drip_takes_its_time_for_every_piece() -> None:
    naps = Naps()
    sandbox = Sandbox(size=10, now=NOW, sleep=naps.nap)
    async with enter(sandbox) as client:
        whole = (await client.get("/users?limit=1")).content
        sandbox.faults.add("drip", seconds=2, amount=100)
        assert (await client.get("/users?limit=1")).content == whole
        assert naps == [2] * math.ceil(len(whole) / 100)
        sandbox.faults.add("drip", seconds=21)
        with pytest.raises(httpx.ReadTimeout):
            await client.get("/users", timeout=httpx.Timeout(1, read=20))
        assert naps[-1] == 20


async def test_a_drip_ends_when_nobody_is_there_any_more(sandbox: Sandbox) -> None:
    pieces, asked = 0, anyio.Event()

    async def nap(seconds: float) -> None:
        nonlocal pieces
        pieces += 1
        asked.set()
        await anyio.sleep(0.005)

    sandbox.sleep = nap
    async with running(sandbox) as base, httpx.AsyncClient(base_url=base) as client:
        client.headers["authorization"] = f"Bearer {await token(client, sandbox)}"
        sandbox.faults.add("drip")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.get, f"/v1/environments/{sandbox.environment_id}/users")
            await asked.wait()
            tasks.cancel_scope.cancel()
        await anyio.sleep(0.05)  # until the server has heard of it
        taken = pieces
        await anyio.sleep(0.05)
        assert pieces == taken


async def test_a_body_that_is_shorter_than_it_says_is_a_broken_connection(
    sandbox: Sandbox, client: httpx.AsyncClient
) -> None:
    sandbox.faults.add("false_length")
    with pytest.raises(httpx.RemoteProtocolError):
        await client.get("/users")
    assert sandbox.requests[-1].status == 200
    async with running(sandbox) as base, httpx.AsyncClient(base_url=base, headers=client.headers) as other:
        sandbox.faults.add("false_length")
        with pytest.raises(httpx.RemoteProtocolError):
            await other.get(f"/v1/environments/{sandbox.environment_id}/users")


async def test_answers_that_harm_their_reader(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    sandbox.faults.add("gzip_bomb")
    async with client.stream("GET", "/users") as answer:
        packed = b"".join([chunk async for chunk in answer.aiter_raw()])
    assert (answer.headers["content-encoding"], len(packed) < 100_000) == ("gzip", True)
    assert len(gzip.decompress(packed)) == 64 * 1024 * 1024
    sandbox.faults.add("huge_array")
    assert len((await client.get("/users")).json()) == 2_000_000
    sandbox.faults.add("crowded_page")
    assert len((await client.get("/users?limit=5")).json()["_embedded"]["users"]) == 6_005
    sandbox.faults.add("cookie_flood")
    flood = await client.get("/users?limit=5")
    assert sum(map(len, flood.headers.get_list("set-cookie"))) > 18_000
    await client.get("/users?limit=5")
    assert len(sandbox.requests[-1].headers["cookie"]) > 18_000, "a client that keeps cookies sends them back"


async def test_a_dropped_connection(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    sandbox.faults.add("dropped_connection")
    with pytest.raises(httpx.RemoteProtocolError):
        await client.get("/users")
    assert (await client.get("/users")).status_code == 200


async def test_a_revoked_token_stays_revoked_and_a_new_one_works(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    sandbox.faults.add("token_revoked", nth=2)
    statuses = [(await client.get("/users")).status_code for _ in range(3)]
    assert statuses == [200, 401, 401]
    client.headers["authorization"] = f"Bearer {await token(client, sandbox)}"
    assert (await client.get("/users")).status_code == 200


async def test_a_short_page_hides_nobody(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    sandbox.faults.add("short_page", amount=3, nth=2)
    sizes, following = [], "/users?limit=50"
    while following:
        page = (await client.get(following)).json()
        sizes.append(page["size"])
        following = page["_links"].get("next", {}).get("href")
    assert sizes == [50, 3, 50, 17]


async def test_a_page_that_loses_its_link_keeps_its_rows_and_its_count(
    sandbox: Sandbox, client: httpx.AsyncClient
) -> None:
    honest = (await client.get("/users?limit=50")).json()
    sandbox.faults.add("lost_next", nth=1)
    page = (await client.get("/users?limit=50")).json()
    assert page["_links"].keys() == {"self"}
    assert page | {"_links": honest["_links"]} == honest
    sandbox.faults.add("lost_next", path="cursor=")
    assert len(await walk(client, "/users?limit=50")) == 100, "the second page is the last"
    sandbox.faults.add("lost_next", path="/groups")
    assert len(await walk(client, "/groups?limit=3", "groups")) == 3
    span = 'filter=recordedAt ge "2026-06-10T00:00:00Z" and recordedAt le "2026-06-15T00:00:00Z"'
    sandbox.faults.add("lost_next", path="/activities")
    assert len(await walk(client, f"/activities?limit=2&{span}", "activities")) == 2


@pytest.mark.parametrize("amount", [0, 3])
async def test_a_list_that_ends_too_early_and_counts_so_too(
    sandbox: Sandbox, client: httpx.AsyncClient, amount: int
) -> None:
    group = max(sandbox.state().groups.values(), key=lambda one: len(sandbox.state().children(one.id)))
    members = f'/users?limit=20&filter=memberOfGroups[id eq "{group.id}"]'
    whole = await walk(client, members)
    assert len(whole) > 20
    sandbox.faults.add("short_list", path=f"memberOfGroups.*{group.id}", amount=amount)
    page = (await client.get(members)).json()
    assert ("next" in page["_links"], page["_embedded"]["users"]) == (False, whole[:amount])
    assert (page["count"], page["size"]) == (amount, amount)
    assert await walk(client, members) == whole, "it happens once"
    sandbox.faults.add("short_list", path="cursor=", amount=amount)
    assert await walk(client, members) == whole[: 20 + amount]
    sandbox.faults.add("short_list", path="/groups", amount=amount, times=None)
    groups = (await client.get("/groups")).json()
    assert (groups["count"], groups["size"]) == (amount, amount)
    assert len(sandbox.state().groups) > 3


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("bad_request", 400, "INVALID_DATA"),
        ("forbidden", 403, "ACCESS_FAILED"),
        ("not_found", 404, "NOT_FOUND"),
    ],
)
async def test_one_thing_can_fail_for_good(
    sandbox: Sandbox, client: httpx.AsyncClient, kind: FaultKind, status: int, code: str
) -> None:
    one, other, *_ = sandbox.state().groups
    paths = ["/groups/{}", '/users?filter=memberOfGroups[id eq "{}"]', '/groups?filter=memberOfGroups[id eq "{}"]']
    sandbox.faults.add(kind, path=one, times=None)
    for path in paths * 2:
        answer = await client.get(path.format(one))
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert (await client.get(path.format(other))).status_code == 200
    assert one in {row["id"] for row in await walk(client, "/groups", "groups")}


async def test_a_wrong_count(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    sandbox.faults.add("wrong_count", amount=-20)
    assert (await client.get("/users")).json()["count"] == 100
    sandbox.faults.add("wrong_count", amount=5, path="/groups")
    assert (await client.get("/groups")).json()["count"] == len(sandbox.state().groups) + 5


async def test_a_wrong_date(client: httpx.AsyncClient, sandbox: Sandbox) -> None:
    sandbox.faults.add("wrong_date", seconds=3_600.0)
    wrong, right = [parsedate_to_datetime((await client.get("/users")).headers["date"]) for _ in range(2)]
    assert (wrong - right).total_seconds() == 3_600


async def test_a_count_left_out(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    sandbox.faults.add("missing_count", times=2)
    page = (await client.get("/users?limit=5")).json()
    assert ("count" in page, page["size"]) == (False, 5)
    assert "id" in (await client.get(f"/users/{page['_embedded']['users'][0]['id']}")).json()
    sandbox.faults.add("missing_count")
    sandbox.faults.add("bad_gateway_html")
    assert (await client.get("/users")).status_code == 502


async def test_a_filter_or_a_cursor_is_refused_where_there_is_one(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    sandbox.faults.add("filter_refused", nth=2)
    sandbox.faults.add("cursor_refused")
    page = await client.get("/users?limit=5&filter=enabled eq true")
    assert (await client.get("/users?limit=5")).status_code == 200
    codes = []
    for address in ("/users?filter=enabled eq true", page.json()["_links"]["next"]["href"]):
        answer = await client.get(address)
        codes.append((answer.status_code, answer.json()["code"], answer.json()["details"][0]["code"]))
    assert codes == [(400, "INVALID_DATA", "INVALID_FILTER"), (400, "INVALID_DATA", "INVALID_PARAMETER")]
    assert (await client.get(page.json()["_links"]["next"]["href"])).status_code == 200


@pytest.mark.parametrize(("option", "served"), [("never", (1, 1)), ("skipped", (1, 0)), ("repeated", (2, 2))])
async def test_who_is_moved_during_a_walk_comes_once_never_or_twice(
    option: Literal["never", "skipped", "repeated"], served: tuple[int, int]
) -> None:
    sandbox = Sandbox(size=120, now=NOW, options=Options(moved_users_change_place=option))
    everybody = [user["id"] for user in sandbox.users()]
    behind, ahead = everybody[3], everybody[77]
    for moved in (behind, ahead):
        sandbox.faults.add("user_moved", path="/users", nth=2, user_id=moved)
    async with enter(sandbox) as client:
        rows = [row["id"] for row in await walk(client, "/users?limit=25")]
        assert (rows.count(behind), rows.count(ahead)) == served
        assert [row for row in dict.fromkeys(rows) if row != ahead] == [row for row in everybody if row != ahead]
        sandbox.faults.clear()
        again = [row["id"] for row in await walk(client, "/users?limit=25")]
        assert again == everybody, "a walk that begins behind the move meets everybody once"


async def test_a_walk_in_which_everybody_moves_comes_to_an_end() -> None:
    sandbox = Sandbox(size=60, now=NOW, options=Options(moved_users_change_place="repeated"))
    sandbox.faults.add("user_moved", path="/users", times=None)
    async with enter(sandbox) as client:
        rows = [row["id"] for row in await walk(client, "/users?limit=1")]
    assert rows == [user["id"] for user in sandbox.users()] * 2


async def test_somebody_is_deleted_just_after_the_page_was_made(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    sandbox.faults.add("user_deleted", nth=1)
    page = (await client.get("/users?limit=5")).json()
    anchor = page["_embedded"]["users"][-1]["id"]
    assert page["count"] == 120
    assert (await client.get(f"/users/{anchor}")).status_code == 404
    rest = await walk(client, page["_links"]["next"]["href"])
    assert len(rest) == 115
    assert sandbox.state().events[-1].action == "USER.DELETED"


async def test_somebody_named_is_moved_between_populations(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    everybody = list(sandbox.users())
    sandbox.faults.add("user_moved", user_id=everybody[-1]["id"])
    sandbox.faults.add("user_moved", nth=2)
    for _ in range(2):
        await client.get("/users?limit=5")
    for moved in (everybody[-1], everybody[0]):
        now = sandbox.user(None, moved["id"])
        assert now is not None
        assert now["population"] != moved["population"]
        assert now["updatedAt"] > moved["updatedAt"]


async def test_somebody_is_created_during_the_walk(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    sandbox.faults.add("user_created", nth=2)
    rows = await walk(client, "/users?limit=50")
    assert len(rows) == 121
    assert rows[-1]["username"].startswith("newcomer.")


async def test_next_links_that_lead_astray(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    honest = httpx.URL((await client.get("/users?limit=5")).json()["_links"]["next"]["href"])
    links = {}
    for kind in ("foreign_next", "foreign_path_next", "repeated_next"):
        sandbox.faults.add(kind)
        links[kind] = httpx.URL((await client.get("/users?limit=5")).json()["_links"]["next"]["href"])
    assert links["foreign_next"].host == "elsewhere.example.net"
    assert links["foreign_next"].path == honest.path
    assert links["foreign_path_next"].host == honest.host
    assert sandbox.company.environments[1].id in links["foreign_path_next"].path
    assert str(links["repeated_next"]) == f"{client.base_url}users?limit=5"


@pytest.mark.parametrize(
    ("when", "hit"),
    [
        ({}, [0]),
        ({"times": 2}, [0, 1]),
        ({"times": None}, [0, 1, 2, 3, 4, 5]),
        ({"nth": 3}, [2]),
        ({"nth": 3, "times": None}, [2]),
        ({"every": 2, "times": None}, [1, 3, 5]),
        ({"every": 2, "times": 2}, [1, 3]),
        ({"path": r"/groups", "nth": 2}, [3]),
        ({"path": r"limit=2$"}, [2]),
        ({"method": "DELETE"}, []),
    ],
)
async def test_a_plan_says_which_requests(
    sandbox: Sandbox, client: httpx.AsyncClient, when: dict[str, int | str | None], hit: list[int]
) -> None:
    sandbox.faults.add(Fault("server_error", **when))  # type: ignore[arg-type]  # a table of keyword arguments
    addresses = ["/users", "/groups", "/users?limit=2", "/groups", "/users", "/users"]
    statuses = [(await client.get(address)).status_code for address in addresses]
    assert [at for at, status in enumerate(statuses) if status == 500] == hit
    assert [bool(one.faults) for one in list(sandbox.requests)[1:]] == [status == 500 for status in statuses]


async def test_the_token_endpoint_can_fail_too(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    sandbox.faults.add("unavailable_503", path="/as/token")
    assert (await client.get("/users")).status_code == 200
    answer = await client.post(f"https://api.example.net/{sandbox.environment_id}/as/token")
    assert answer.status_code == 503


async def test_requests_above_the_rate_are_limited() -> None:
    sandbox = Sandbox(size=10, now=NOW, options=Options(requests_per_second=3))
    async with enter(sandbox) as client:
        statuses = [(await client.get("/users?limit=1")).status_code for _ in range(5)]
        assert statuses == [200, 200, 200, 429, 429]
        sandbox.clock.advance(1)
        assert (await client.get("/users?limit=1")).status_code == 200


async def test_too_many_header_bytes_are_refused(client: httpx.AsyncClient) -> None:
    many = " or ".join(f'username eq "user{number:04}@example.com"' for number in range(200))
    assert (await client.get("/users", params={"filter": many})).status_code == 431
    few = " or ".join(f'username eq "user{number:04}@example.com"' for number in range(60))
    assert (await client.get("/users", params={"filter": few})).status_code == 200


def test_an_unknown_fault_is_refused_with_the_list() -> None:
    with pytest.raises(ValueError, match="rate_limited_seconds"):
        Fault("coffee_spilled")  # type: ignore[arg-type]


async def test_every_answer_tells_the_time_of_the_sandbox(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    sandbox.faults.add("server_error", path="/groups")
    sandbox.clock.advance(90.9)
    for address in ("/users", "/groups", "/nothing", f"https://api.example.net/{sandbox.environment_id}/as/token"):
        answer = await client.get(address)
        assert (parsedate_to_datetime(answer.headers["date"]) - NOW).total_seconds() == 90, address


# --------------------------------------------------------------------------------------------------- over a socket


async def test_everything_works_over_a_socket_too(sandbox: Sandbox) -> None:
    async with running(sandbox) as base, httpx.AsyncClient(base_url=base) as client:
        card = (await client.get("/sandbox")).json()
        assert (card["environment_id"], card["client_id"]) == (sandbox.environment_id, sandbox.client_id)
        client.headers["authorization"] = f"Bearer {await token(client, sandbox)}"
        users = f"/v1/environments/{sandbox.environment_id}/users"
        page = (await client.get(f"{users}?limit=50")).json()
        assert page["_links"]["next"]["href"].startswith(f"{base}/v1/environments/")
        assert len(await walk(client, f"{users}?limit=50")) == 120
        head = await client.head(f"{users}?limit=50")
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers.get_list("date") == ["Mon, 15 Jun 2026 12:00:00 GMT"]
        assert int(head.headers["content-length"]) > 1_000

        faults = [{"kind": "dropped_connection"}, {"kind": "truncated_body", "nth": 2}]
        planned = await client.post("/sandbox/faults", json=faults)
        assert planned.status_code == 201
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(users)
        with pytest.raises(json.JSONDecodeError):
            (await client.get(users)).json()
        assert [one["happened"] for one in (await client.get("/sandbox/faults")).json()["faults"]] == [1, 1]
        assert (await client.get(users)).status_code == 200


async def test_a_taken_port_is_told(sandbox: Sandbox) -> None:
    async with running(sandbox) as base:
        with pytest.raises(OSError, match="in use"):
            async with running(Sandbox(size=1), port=httpx.URL(base).port or 0):
                pass


def test_it_can_be_served_by_a_process_of_its_own() -> None:
    program = (
        "from pingone_mcp.sandbox.app import Sandbox, serve\n"
        "serve(Sandbox(size=5), port=0, started=lambda address: print(address, flush=True))"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            assert httpx.get(f"{address}/sandbox", timeout=30).json()["company"] == "Alder and Finch"
        finally:
            process.terminate()


@pytest.mark.parametrize("kind", KINDS)
async def test_every_fault_can_be_planned_over_http(
    sandbox: Sandbox, client: httpx.AsyncClient, kind: FaultKind
) -> None:
    host = "https://api.example.net/sandbox/faults"
    assert (await client.post(host, json={"kind": kind, "nth": 2, "seconds": 0})).status_code == 201
    assert sandbox.faults.listing()[0]["kind"] == kind
    assert (await client.delete(host)).status_code == 204
    assert (await client.get(host)).json() == {"faults": []}


async def test_the_back_door_shows_and_steers(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    host = "https://api.example.net/sandbox"
    await client.get("/users?limit=1", headers={"user-agent": "probe/1"})
    log = (await client.get(f"{host}/log")).json()
    assert (log["token_requests"], len(log["requests"])) == (1, 2)
    assert log["requests"][1] | {"at": 0, "headers": {}} == {
        "method": "GET",
        "path": f"/v1/environments/{sandbox.environment_id}/users",
        "query": "limit=1",
        "headers": {},
        "status": 200,
        "at": 0,
        "faults": [],
    }
    assert log["requests"][1]["headers"]["user-agent"] == "probe/1"
    assert (await client.delete(f"{host}/log")).status_code == 204
    assert (await client.post(f"{host}/faults", json={"kind": "nonsense"})).status_code == 400
    assert (await client.post(f"{host}/faults", json={"when": "now"})).status_code == 400
    grants = [{"role": "Identity Data Read Only", "scope": "ENVIRONMENT", "scope_id": sandbox.environment_id}]
    assert (await client.put(f"{host}/grants", json=grants)).status_code == 200
    assert (await client.post("/users", json={})).status_code == 403
    assert (await client.put(f"{host}/grants", json=[{"role": "King"}])).status_code == 400
    assert (await client.post(f"{host}/clock", json={"advance": 60})).json()["now"].startswith("2026-06-15T12:01")
    assert (await client.post(f"{host}/revocation")).status_code == 204
    assert (await client.get("/users?limit=1")).status_code == 401


async def test_many_callers_at_once_are_all_served(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    sizes: list[int] = []

    async def ask() -> None:
        sizes.append((await client.get("/users?limit=20")).json()["size"])

    async with anyio.create_task_group() as tasks:
        for _ in range(30):
            tasks.start_soon(ask)
    assert sizes == [20] * 30
