"""A path or a link leads below PingOne's API base and into the configured directory, or nothing is sent."""

from __future__ import annotations

from urllib.parse import quote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.directory.native import Operation, ProxyQuestion
from pingone_mcp.directory.scope import Scope
from pingone_mcp.errors import Refused
from pingone_mcp.pingone.proxy import catalogue
from pingone_mcp.pingone.proxy.paths import READS, TOP_LEVEL, ProxyPaths
from tests.hostile import pieces_of_paths
from tests.pingone.recorder import Recorder
from tests.world import World

BASE = "https://api.pingone.com/v1"
HOME = "11111111-1111-4111-8111-aaaaaaaaaaaa"
OTHER = "22222222-2222-4222-8222-bbbbbbbbbbbb"
PEOPLE = "33333333-3333-4333-8333-cccccccccccc"
NARROW = ProxyPaths(BASE, Scope(environments=(HOME,), populations=(PEOPLE,)))
OPEN = ProxyPaths(BASE, Scope())
WHOLE = ProxyPaths(BASE, Scope(environments=(HOME,)))
USERS = f"{BASE}/environments/{HOME}/users"


@pytest.mark.parametrize(
    "path",
    [
        f"/environments/{HOME}",
        f"environments/{HOME}/users",
        f" /environments/{HOME}/users/ ",
        f"/environments/{HOME}/users?limit=5&filter=name.given%20sw%20%22A%22",
        f'/environments/{HOME}/users?filter=username eq "a;b/../c"',
        f"/environments/{HOME.upper()}/users",
        f"/environments/{HOME}/populations",
        "/roles",
        f"/roles/{OTHER}",
    ],
)
def test_a_path_into_the_directory_is_below_the_base(path: str) -> None:
    assert WHOLE.url(path) == f"{BASE}/{path.strip().lstrip('/')}"


def test_where_populations_are_configured_only_paths_below_one_of_them_are_open() -> None:
    inside = f"/environments/{HOME}/populations/{PEOPLE.upper()}"
    assert NARROW.url(inside) == BASE + inside
    for outside in ("users", f"users/{OTHER}", "populations", f"populations/{OTHER}", "activities", "groups"):
        with pytest.raises(Refused):
            NARROW.url(f"/environments/{HOME}/{outside}")


@pytest.mark.parametrize("path", sorted(TOP_LEVEL - {"/organizations"}))
def test_outside_environments_only_what_is_written_down_is_open(path: str) -> None:
    filled = path.replace("{organizationID}", OTHER).replace("{licenseID}", PEOPLE).replace("{roleID}", PEOPLE)
    assert WHOLE.url(filled) == BASE + filled
    for more in ("/environments", "/users", "/x"):
        with pytest.raises(Refused):
            WHOLE.url(filled + more)


def test_what_an_organization_says_goes_beyond_configured_populations() -> None:
    assert NARROW.url("/roles") == f"{BASE}/roles"
    for path in (f"/organizations/{OTHER}", f"/organizations/{OTHER}/licenses"):
        with pytest.raises(Refused) as caught:
            NARROW.url(path)
        assert caught.value.code == "OUTSIDE_CONFIGURATION"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "get", ""])
def test_anything_but_a_read_is_refused_unless_the_connection_allows_writes(method: str) -> None:
    path = f"/environments/{HOME}/users/{OTHER}"
    with pytest.raises(Refused) as caught:
        WHOLE.url(path, method)
    assert caught.value.code == "WRITES_OFF"
    assert ProxyPaths(BASE, Scope(environments=(HOME,)), writes=True).url(path, method) == BASE + path


@pytest.mark.parametrize(
    "path",
    [
        f"/environments/{OTHER}/users",
        f"/environments/{HOME}",
        "/environments",
        f"/organizations/{OTHER}/licenses/{PEOPLE}/name",
        "/roles",
        f"/environments/{HOME}/populations/{OTHER}",
        f"/environments/{HOME}/users/{OTHER}",
    ],
)
def test_a_write_goes_nowhere_that_could_not_be_read_and_changes_no_environment(path: str) -> None:
    with pytest.raises(Refused):
        ProxyPaths(BASE, Scope(environments=(HOME,), populations=(PEOPLE,)), writes=True).url(path, "PUT")


PARTS = ["status", "type", "billOfMaterials"]
SPELLINGS = [
    "{}",
    "{}/",
    "{}//",
    "/{}",
    "{}/products",
    "{};x=1",
    "{}.",
    "{}.json",
    "{}:",
    "{}:x",
    "{}-",
    "{}%20",
    "{}%00",
    "{}%2f",
    "{}%3bx",
    "./{}",
    "x/../{}",
    "%2e/{}",
    "{}?x=1",
    "{}/.",
    "{}~",
    "({})",
]


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("part", PARTS)
def test_no_spelling_of_a_part_of_an_environment_can_be_written(part: str, spelling: str) -> None:
    paths = ProxyPaths(BASE, Scope(environments=(HOME,)), writes=True)
    first = f"%{ord(part[0]):02x}"
    wide = "".join(chr(ord(letter) + 0xFEE0) for letter in part)
    for word in (
        part,
        part.upper(),
        part.capitalize(),
        part.swapcase(),
        first + part[1:],
        first.upper() + part[1:],
        f"%25{first[1:]}{part[1:]}",
        wide,
        quote(wide),
        part.replace("i", "\u0131").replace("y", "\u0443").replace("s", "\u017f"),
        part[:2] + "\u200b" + part[2:],
    ):
        path = f"/environments/{HOME}/{spelling.format(word)}"
        with pytest.raises(Refused) as caught:
            paths.url(path, "PUT")
        assert caught.value.code == "PATH_REFUSED"


@given(st.sampled_from(PARTS), st.data())
def test_capitals_make_no_other_place_of_what_is_written(part: str, data: st.DataObject) -> None:
    word = "".join(data.draw(st.sampled_from([letter.lower(), letter.upper()])) for letter in part)
    with pytest.raises(Refused):
        ProxyPaths(BASE, Scope(environments=(HOME,)), writes=True).url(f"/environments/{HOME}/{word}", "PUT")


@pytest.mark.parametrize(
    "rest",
    [
        f"Users/{OTHER}",
        f"users/{OTHER}/MemberOfGroups",
        f"u%73ers/{OTHER}",
        f"users/%32{OTHER[1:]}",
        f"users/{OTHER}.json",
        f"users/{OTHER}/",
        f"users/{OTHER}//",
        f"users/({OTHER})",
        f"users/{OTHER.upper()}",
        f"users/{OTHER}/password:check",
    ],
)
def test_a_write_is_spelled_as_pingone_spells_it(rest: str) -> None:
    paths = ProxyPaths(BASE, Scope(environments=(HOME,)), writes=True)
    path = f"/environments/{HOME}/{rest}"
    if rest == f"users/{OTHER}/":
        assert paths.url(path, "PUT") == BASE + path
        return
    with pytest.raises(Refused) as caught:
        paths.url(path, "PUT")
    assert caught.value.code == "PATH_REFUSED"


def test_a_word_that_nobody_knows_may_be_written() -> None:
    path = f"/environments/{HOME}/newThings/{OTHER}/status/en-GB"
    assert ProxyPaths(BASE, Scope(environments=(HOME,)), writes=True).url(path, "PUT") == BASE + path


def outcome(operation: Operation, *, writes: bool) -> str:
    """Say what becomes of an operation inside one configured environment, as docs/proxy.md tells it."""
    inside = operation.path.startswith("/environments/{environmentID}/")
    if operation.method not in READS:
        of_environment = operation.path.rpartition("/")[2] in PARTS
        changes = inside and not (of_environment and operation.path.count("/") == 3)
        return ("sent" if changes else "PATH_REFUSED") if writes else "WRITES_OFF"
    if operation.path in ("/environments", "/organizations"):
        return "OUTSIDE_CONFIGURATION"
    return "sent" if inside or operation.path == "/environments/{environmentID}" or operation.path in TOP_LEVEL else "?"


@pytest.mark.parametrize("writes", [False, True])
async def test_every_operation_there_is_is_sent_as_written_or_refused_by_a_named_rule(
    world: World, writes: bool
) -> None:
    recorder = Recorder(world)
    home = world.sandbox.environment_id
    told: dict[tuple[str, str], str] = {}
    async with world.directory(transport=recorder, allow_writes=writes) as directory:
        for operation in catalogue.operations():
            parts = [OTHER if part.startswith("{") else part for part in operation.path.split("/")]
            path = "/".join(parts).replace(f"/environments/{OTHER}", f"/environments/{home}")
            recorder.requests.clear()
            try:
                await directory.native.send(ProxyQuestion(method=operation.method, path=path))
            except Refused as refusal:
                assert recorder.requests == []
                told[operation.method, operation.path] = str(refusal.code)
            else:
                (sent,) = recorder.requests
                assert (sent.method, sent.url.raw_path.decode()) == (operation.method, f"/v1{path}")
                told[operation.method, operation.path] = "sent"
    expected = {(one.method, one.path): outcome(one, writes=writes) for one in catalogue.operations()}
    assert told == expected
    assert list(told.values()).count("sent") == (438 if writes else 202)


ATTACKS = [
    "",
    "/",
    "//evil.test/environments",
    "///evil.test",
    "http://evil.test/",
    "http:\\\\evil.test",
    "https:/\\evil.test",
    "\\\\evil.test",
    f"{BASE}/environments/{HOME}/users",
    f"@evil.test/environments/{HOME}",
    f"/environments/{HOME}/../{OTHER}/users",
    f"/environments/{HOME}/..",
    f"/environments/{HOME}/./users",
    f"/environments/{HOME}/%2e%2e/{OTHER}",
    f"/environments/{HOME}/%2E./{OTHER}",
    f"/environments/{HOME}%2f..%2f{OTHER}",
    f"/environments/{HOME}/%252e%252e/{OTHER}",
    f"/environments/{HOME}/users%2f{OTHER}",
    f"/environments/{HOME}//users",
    f"/environments/{HOME}/..;/{OTHER}",
    f"/environments/{HOME};x=1/users",
    f"/environments/{HOME}/users#fragment",
    f"/environments/{HOME}/users%00",
    f"/environments/{HOME}/users\x00",
    f"/environments/{HOME}/users\r\nHost: evil.test",
    f"/environments/{HOME}/\uff0e\uff0e/{OTHER}",
    f"/environments/{HOME}/\u2024\u2024/{OTHER}",
    f"/environments/{HOME}/us\u200bers",
    f"/environments/{OTHER}/users",
    "/environments/me/users",
    "/environments/%2A/users",
    "/organizations",
    "/v1/environments",
    "/../v2/environments",
    f"/environments/{HOME}/users?q={'x' * 7_000}",
]


@pytest.mark.parametrize("path", ATTACKS)
@pytest.mark.parametrize("paths", [NARROW, WHOLE])
def test_a_path_to_anywhere_else_is_refused(path: str, paths: ProxyPaths) -> None:
    with pytest.raises(Refused) as caught:
        paths.url(path)
    assert "othing was requested" in str(caught.value)
    assert "evil" not in str(caught.value)


@pytest.mark.parametrize(
    "path", ["/environments", f"/environments/{HOME}/populations/{OTHER}", f"/environments/{OTHER}"]
)
def test_what_is_not_configured_is_refused_and_configuring_it_opens_it(path: str) -> None:
    with pytest.raises(Refused):
        NARROW.url(path)
    assert OPEN.url(path) == BASE + path


PIECES = pieces_of_paths(HOME, OTHER)


@given(st.one_of(PIECES, PIECES.map(lambda rest: f"/environments/{HOME}/{rest}")), st.booleans())
def test_a_url_is_below_the_base_in_every_reading(path: str, everything: bool) -> None:
    try:
        url = (OPEN if everything else WHOLE).url(path)
    except Refused:
        return
    assert url.startswith(f"{BASE}/")
    sent = httpx.URL(url)
    assert (sent.scheme, sent.host, sent.port, sent.userinfo) == ("https", "api.pingone.com", None, b"")
    assert sent.path.startswith(("/v1/environments", "/v1/roles", "/v1/organizations"))
    assert ".." not in sent.path.split("/")
    if not everything and sent.path.startswith("/v1/environments"):
        assert sent.path.lower().startswith(f"/v1/environments/{HOME}")


@pytest.mark.parametrize("name", ["", "x", HOME[:-1], f"{HOME}/users", f"{HOME}\n", "../users"])
def test_an_environment_is_named_by_its_id(name: str) -> None:
    with pytest.raises(Refused):
        Scope().check_environment(name)
