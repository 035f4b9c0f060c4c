"""The first answers are learned: a start that has to ask the SDK makes the next one quick, and nothing else does."""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mcp.shared.message import SessionMessage
from mcp.types import JSONRPCError, JSONRPCRequest, JSONRPCResponse

import pingone_mcp
from pingone_mcp.errors import Unconfigured
from pingone_mcp.first_answers import NOTHING, Frozen, Kept, kept, shipped
from pingone_mcp.handshake import FOR_HOSTS
from pingone_mcp.server.rehearsal import rehearse
from pingone_mcp.settings import Settings
from tests.depth import sampled
from tests.process.programs import PROGRAM, ROOT, Ended, Served, bare, in_process, run, started
from tests.process.test_eras import HANDSHAKES
from tests.process.test_handshake import INITIALIZED, LIST, SESSIONS, heard, initialize, line, stateless

PACKAGE = Path(pingone_mcp.__file__).parent
NO_SDK = "sys.modules['mcp'] = None"
NOT_EARLY = "import pingone_mcp.stdio_process as one; one.may_greet = lambda: False"
ASKED = [*SESSIONS["looks, then a handshake"]]


class Machine:
    """A copy of the package for which the shipped answers do not hold, and a home folder."""

    def __init__(self, folder: Path) -> None:
        self.home = folder
        self.package = shutil.copytree(PACKAGE, folder / "pingone_mcp")
        shutil.copytree(ROOT / "prompts", folder / "prompts")
        shipped = self.package / "handshake.json"
        told = json.loads(shipped.read_bytes())
        told["made_with"]["pydantic"] += ".9"
        shipped.write_text(json.dumps(told), encoding="utf-8")

    def program(self, code: str = "") -> tuple[str, ...]:
        return in_process(f"import sys; sys.path[0] = {str(self.home)!r}\n{code}")

    def env(self, **variables: str) -> dict[str, str]:
        return bare(self.home, **variables)

    def files(self) -> list[Path]:
        """Name what was learned; a file that is still being written has an ending."""
        return [file for file in self.home.glob(".cache/pingone-mcp/first-answers/*") if not file.suffix]

    def start(self, *arguments: str, code: str = "", **variables: str) -> list[str]:
        """Start, ask, and go; return the answers. What went before is learned by then."""
        with started(*arguments, env=self.env(**variables), program=self.program(code)) as server:
            said = heard(server, ASKED)
            end = server.rest()
        assert "" not in said, end
        assert (end.status, end.out, end.err) == (0, "", "")
        return said

    def early(self, *arguments: str, **variables: str) -> Ended:
        """Ask a server that never finds the SDK: whatever it answers comes from a file."""
        said = "".join(line(message) for message in ASKED)
        return run(*arguments, env=self.env(**variables), program=self.program(NO_SDK), stdin=said)

    def knows(self, *arguments: str, **variables: str) -> bool:
        end = self.early(*arguments, **variables)
        assert end.out == "" or len(end.out.splitlines()) == sum("id" in message for message in ASKED)
        return end.out != ""


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    machine = Machine(tmp_path_factory.mktemp("learned"))
    machine.start()
    return machine


# --- What is learned


def test_a_start_with_other_versions_asks_the_sdk_and_the_second_does_not(machine: Machine) -> None:
    assert not machine.knows()
    from_sdk = machine.start(code=NOT_EARLY)
    assert machine.files() == [], "one that cannot answer early has nothing to learn for"
    assert machine.start() == from_sdk
    [file] = machine.files()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert machine.early().out.splitlines(keepends=True) == from_sdk
    assert machine.start() == from_sdk
    assert machine.files() == [file]


LONG = [stateless("server/discover"), stateless("tools/list", 2)]


@pytest.mark.parametrize(
    "session",
    [*([initialize(version), INITIALIZED, LIST] for version in (*HANDSHAKES, "")), LONG],
    ids=[*HANDSHAKES, "unknown", "stateless"],
)
@sampled(3)
def test_what_was_learned_is_what_the_sdk_says_to_the_byte(learned: Machine, session: list[dict[str, Any]]) -> None:
    with started(env=learned.env(), program=learned.program(NO_SDK)) as server:
        from_file = heard(server, session)
    with started(env=learned.env(), program=learned.program(NOT_EARLY)) as server:
        assert heard(server, session) == from_file
    assert "" not in from_file


def test_who_is_ended_by_a_signal_has_learned_before(machine: Machine) -> None:
    with started(env=machine.env(), program=machine.program()) as server:
        server.greet()
        while not machine.files():
            assert server.answer(server.ask("ping"))["result"] == {}
        server.process.terminate()
        assert server.rest().status == 0
    assert machine.knows()


def test_two_that_learn_at_the_same_time_leave_one_whole_file(machine: Machine) -> None:
    def begun() -> Any:
        return started(env=machine.env(), program=machine.program())

    with begun() as one, begun() as other:
        assert heard(one, ASKED) == heard(other, ASKED)
        assert [one.rest().err, other.rest().err] == ["", ""]
    assert len(machine.files()) == 1
    assert machine.knows()


@pytest.mark.skipif(shipped() is None, reason="other versions than the locked are installed")
def test_the_shipped_answers_are_not_copied(tmp_path: Path) -> None:
    with started(env=bare(tmp_path), program=PROGRAM) as server:
        heard(server, ASKED)
        server.rest()
    assert list(tmp_path.rglob("first-answers/*")) == []


def test_what_the_sdk_says_otherwise_than_the_file_is_learned_anew(machine: Machine) -> None:
    """Nothing that the file is named after has changed, and all the same the server says something else."""
    other = "import pingone_mcp.server.build as build; build.INSTRUCTIONS = 'Other instructions.'"
    machine.start()
    assert "Other instructions." not in machine.early().out
    machine.start(code=other)
    assert "Other instructions." in machine.early().out
    assert len(machine.files()) == 1


# --- For what it holds


def touch(machine: Machine) -> None:
    os.utime(machine.package / "server" / "tools" / "users.py", ns=(1, 1))


def another_version(machine: Machine) -> None:
    (machine.package / "__init__.py").write_text('__version__ = "99.0.0"\n', encoding="utf-8")


@pytest.mark.parametrize("change", [touch, another_version])
def test_when_a_file_of_ours_changes_the_sdk_is_asked(machine: Machine, change: Callable[[Machine], None]) -> None:
    machine.start()
    assert machine.knows()
    change(machine)
    assert not machine.knows()
    machine.start()
    assert machine.knows()


def test_with_other_settings_the_sdk_is_asked_and_learned_from_too(served: Served, tmp_path: Path) -> None:
    machine = Machine(tmp_path / "machine")
    machine.start()
    own = {name: value for name, value in served.variables().items() if name.startswith("PINGONE_")}
    own["PINGONE_CACHE_DIR"] = str(machine.home / ".cache" / "pingone-mcp")
    writes = {**own, "PingOne_Allow_Writes": "1"}
    assert not machine.knows(**writes)
    assert "DELETE" in "".join(machine.start(**writes))
    assert "DELETE" in machine.early(**writes).out
    assert not machine.knows(**own)
    assert "DELETE" not in "".join(machine.start(**own))
    assert "DELETE" not in machine.early(**own).out
    assert machine.knows(**{**own, "PINGONE_CLIENT_SECRET": "another"}), "nothing of a secret is in the name"
    assert not machine.knows(**{**own, "PINGONE_CLIENT_SECRET": ""})


def test_an_env_file_is_one_of_the_settings(machine: Machine) -> None:
    file = machine.home / "my.env"
    file.touch(mode=0o600)
    file.write_text("PINGONE_SANDBOX=1\nPINGONE_ALLOW_WRITES=1\n", encoding="utf-8")
    arguments = ("--env-file", str(file))
    assert "DELETE" in "".join(machine.start(*arguments))
    assert "DELETE" in machine.early(*arguments).out
    assert not machine.knows()
    file.write_text("PINGONE_SANDBOX=1\nPINGONE_ALLOW_WRITES=0\n", encoding="utf-8")
    assert not machine.knows(*arguments)
    assert "DELETE" not in "".join(machine.start(*arguments))
    assert machine.knows(*arguments)


def test_without_docstrings_something_else_is_learned(machine: Machine) -> None:
    machine.start()
    bare_words = (sys.executable, "-OO", *machine.program()[1:])
    with started(env=machine.env(), program=bare_words) as server:
        said = heard(server, ASKED)
        server.rest()
    assert len(machine.files()) == 2
    again = run(
        env=machine.env(),
        program=(sys.executable, "-OO", *machine.program(NO_SDK)[1:]),
        stdin="".join(map(line, ASKED)),
    )
    assert again.out.splitlines(keepends=True) == said
    assert said != machine.early().out.splitlines(keepends=True)


def site(folder: Path) -> Path:
    """Make a folder in which the packages of the SDK seem to be installed."""
    for name in ("mcp", "mcp_types", "pydantic", "pydantic_core"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").touch()
        (folder / f"{name}-1.0.dist-info").mkdir()
    (folder / "anyio-4.0.dist-info").mkdir()
    return folder


def upgraded(folder: Path) -> None:
    (folder / "anyio-4.0.dist-info").rename(folder / "anyio-4.1.dist-info")


def installed_again(folder: Path) -> None:
    os.utime(folder / "pydantic-1.0.dist-info", ns=(1, 1))


def edited(folder: Path) -> None:
    (folder / "mcp" / "__init__.py").write_text("edited = True\n", encoding="utf-8")


def more_installed(folder: Path) -> None:
    (folder / "logfire-1.0.dist-info").mkdir()


@pytest.mark.parametrize("change", [upgraded, installed_again, edited, more_installed])
def test_what_is_installed_is_in_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None]
) -> None:
    monkeypatch.syspath_prepend(site(tmp_path / "site"))
    before = kept(None)
    assert before is not None
    assert before == kept(None)
    change(tmp_path / "site")
    assert kept(None) != before


def test_where_the_sdk_cannot_be_found_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert kept(None) is None


# --- Where


FOLDERS: dict[str, tuple[dict[str, str], str | None]] = {
    "nothing said": ({}, None),
    "a variable": ({"PINGONE_CACHE_DIR": "/somewhere"}, None),
    "a variable in small letters": ({"pingone_cache_dir": "/somewhere"}, None),
    "an empty variable": ({"PINGONE_CACHE_DIR": ""}, None),
    "the home folder": ({"PINGONE_CACHE_DIR": "~/somewhere"}, None),
    "another cache": ({"XDG_CACHE_HOME": "/elsewhere"}, None),
    "an env file without": ({}, "PINGONE_SANDBOX=1\n"),
    "an env file": ({}, "PINGONE_CACHE_DIR=/a\nexport pingone_cache_dir = '~/b'\n# PINGONE_CACHE_DIR=/c # no\n"),
    "an env file and a variable": ({"PINGONE_CACHE_DIR": "/a"}, "PINGONE_CACHE_DIR=/b\n"),
    "an env file with an empty one": ({}, "PINGONE_CACHE_DIR=\n"),
}


@pytest.mark.parametrize(("variables", "lines"), FOLDERS.values(), ids=FOLDERS)
def test_the_folder_is_the_one_of_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], lines: str | None
) -> None:
    monkeypatch.setenv("PINGONE_SANDBOX", "1")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    file = None if lines is None else tmp_path / "env"
    if file is not None:
        file.write_text(lines or "", encoding="utf-8")
    place = kept(file)
    assert place is not None
    assert place.file.parent == Settings.load(file).cache_folder() / "first-answers"


@pytest.mark.parametrize(
    "lines", ["PINGONE_CACHE_DIR=/a # a comment\n", "PINGONE_CACHE_DIR=${HOME}/a\n", 'PINGONE_CACHE_DIR="/a\\tb"\n']
)
def test_where_only_the_settings_can_tell_the_folder_nothing_is_kept(tmp_path: Path, lines: str) -> None:
    (tmp_path / "env").write_text(lines, encoding="utf-8")
    assert kept(tmp_path / "env") is None


def test_a_home_of_nobody_and_an_env_file_that_is_none_are_left_to_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "env").write_bytes(b"\xff\xfe")
    for file in (tmp_path / "missing", tmp_path / "env", tmp_path):
        assert kept(file) is None
        with pytest.raises(Unconfigured):
            Settings.load(file)
    monkeypatch.setenv("PINGONE_CACHE_DIR", "~nobody-of-this-name/x")
    assert kept(None) is None


@pytest.mark.parametrize("hurdle", ["a file", "no room"])
def test_where_nothing_can_be_written_each_start_asks_the_sdk(machine: Machine, hurdle: str) -> None:
    folder = machine.home / "cache"
    if hurdle == "a file":
        folder.touch()
    else:
        folder = Path("/dev/null/cache")
    machine.start(PINGONE_CACHE_DIR=str(folder))
    assert not machine.knows(PINGONE_CACHE_DIR=str(folder))
    machine.start(PINGONE_CACHE_DIR=str(folder))


# --- Damage


def empty(file: Path) -> None:
    file.write_bytes(b"")


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def changed(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b"list_users", b"lose_users", 1))


def made_up(file: Path) -> None:
    file.write_text('{"results": {}, "otherwise": "x"}', encoding="utf-8")


def readable_by_others(file: Path) -> None:
    file.chmod(0o644)


def writable_by_others(file: Path) -> None:
    file.chmod(0o620)


def a_link(file: Path) -> None:
    file.replace(file.with_name("elsewhere"))
    file.symlink_to("elsewhere")


def a_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file, 0o600)


def endless(file: Path) -> None:
    with file.open("ab") as opened:
        opened.truncate(1_000_000_000)


HARM = [empty, cut, changed, made_up, readable_by_others, writable_by_others, a_link, a_pipe, endless]
SAID = Frozen({"2025-11-25": {"initialize": "{}", "tools/list": '{"tools":["list_users"]}'}}, "2025-11-25")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kept:
    """Name the place of what this very process says first, in a folder of its own."""
    monkeypatch.setenv("PINGONE_CACHE_DIR", str(tmp_path / "cache"))
    place = kept(None)
    assert place is not None
    return place


@pytest.mark.parametrize("harm", HARM)
def test_a_file_that_is_not_as_it_was_written_is_not_used_and_written_anew(
    place: Kept, harm: Callable[[Path], None]
) -> None:
    place.keep(SAID)
    assert place.known() == SAID
    harm(place.file)
    assert place.known() == shipped()
    place.keep(SAID)
    assert place.known() == SAID


def test_a_file_that_was_written_for_something_else_is_not_used(place: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    place.keep(SAID)
    monkeypatch.setenv("PINGONE_REGION", "EU")
    other = kept(None)
    assert other is not None
    place.file.replace(other.file)
    assert other.known() == shipped()


def test_a_file_of_another_user_is_not_used(place: Kept) -> None:
    place.keep(SAID)
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    os.chown(place.file, 12_345, 12_345)
    assert place.known() == shipped()


def test_a_server_with_a_damaged_file_asks_the_sdk(machine: Machine) -> None:
    said = machine.start()
    [file] = machine.files()
    changed(file)
    assert not machine.knows()
    assert machine.start() == said
    assert machine.knows()


def test_a_folder_in_the_place_of_the_file_costs_the_speed_and_nothing_else(machine: Machine) -> None:
    said = machine.start()
    [file] = machine.files()
    file.unlink()
    file.mkdir()
    assert machine.start() == said
    assert not machine.knows()


def test_only_so_many_files_are_kept(place: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        monkeypatch.setenv("PINGONE_REGION", str(number))
        another = kept(None)
        assert another is not None
        another.keep(SAID)
        assert another.known() == SAID
    assert len(list(place.file.parent.iterdir())) == 16


def test_what_changes_while_the_server_runs_is_not_learned_under_the_old_name(
    place: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PINGONE_REGION", "EU")
    place.keep(SAID)
    assert not place.file.parent.exists()


def test_what_is_not_always_the_same_is_not_guessed_either(place: Kept) -> None:
    place.keep(SAID)
    place.keep(NOTHING)
    assert place.known() is None


# --- Whom to learn from


class Moody:
    """A server that answers as it is told to: by method and client."""

    def __init__(self, answer: Callable[[JSONRPCRequest], dict[str, Any] | None]) -> None:
        self._answer = answer

    def create_initialization_options(self) -> None:
        return None

    async def run(self, asked: Any, say: Any, _options: None) -> None:
        async with asked, say:
            await self._answer_all(asked, say)

    async def _answer_all(self, asked: Any, say: Any) -> None:
        async for frame in asked:
            request = frame.message
            if isinstance(request, JSONRPCRequest):
                result = self._answer(request)
                if result is None:
                    error = {"code": -32600, "message": "no"}
                    answer: Any = JSONRPCError.model_validate({"jsonrpc": "2.0", "id": request.id, "error": error})
                else:
                    answer = JSONRPCResponse(jsonrpc="2.0", id=request.id, result=result)
                await say.send(SessionMessage(answer))


def always(request: JSONRPCRequest) -> dict[str, Any]:
    version = (request.params or {}).get("protocolVersion", "")
    return {"method": request.method, "protocolVersion": version or HANDSHAKES[-1]}


async def rehearsed(answer: Callable[[JSONRPCRequest], dict[str, Any] | None]) -> Frozen:
    server: Any = Moody(answer)
    return await rehearse(server)


async def test_a_server_that_says_the_same_to_everybody_is_learned_from() -> None:
    said = await rehearsed(always)
    assert said.otherwise == HANDSHAKES[-1]
    assert json.loads(said.results[HANDSHAKES[0]]["initialize"])["protocolVersion"] == HANDSHAKES[0]


@pytest.mark.parametrize("method", ["initialize", "tools/list", "server/discover"])
async def test_one_that_says_it_by_client_or_refuses_is_not(method: str) -> None:
    def by_client(request: JSONRPCRequest) -> dict[str, Any]:
        more = {"you": str(request.params)} if request.method == method else {}
        return always(request) | more

    def by_mood(request: JSONRPCRequest) -> dict[str, Any]:
        moods.append(request.method)
        return always(request) | ({"mood": len(moods)} if request.method == method else {})

    moods: list[str] = []
    for answer in (by_mood, lambda request: None if request.method == method else always(request)):
        assert await rehearsed(answer) == NOTHING
    if method != "tools/list":
        assert await rehearsed(by_client) == NOTHING


async def test_hosts_may_be_told_of_other_tools_and_of_nothing_else() -> None:
    def by_host(method: str) -> Callable[[JSONRPCRequest], dict[str, Any]]:
        opened: list[str] = [""]

        def answer(request: JSONRPCRequest) -> dict[str, Any]:
            if request.method == "initialize" or "_meta" in (request.params or {}):
                opened[0] = str(request.params)
            is_host = "mcp-app" in opened[0]
            return always(request) | ({"host": True} if is_host and request.method == method else {})

        return answer

    for method in ("initialize", "server/discover"):
        assert await rehearsed(by_host(method)) == NOTHING
    said = await rehearsed(by_host("tools/list"))
    for answers in said.results.values():
        assert "host" not in answers["tools/list"]
        assert json.loads(answers[FOR_HOSTS])["host"] is True


async def test_one_that_ends_without_a_word_is_not() -> None:
    class Gone(Moody):
        async def run(self, asked: Any, say: Any, _options: None) -> None:
            async with asked, say:
                await asked.receive()

    server: Any = Gone(always)
    assert await rehearse(server) == NOTHING
