"""The first answers come from a file, and nobody can tell: beside every one stands what the SDK says.

After a change of the tools, the instructions, the version or the SDK: `make generated` writes the file anew.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import pytest

import pingone_mcp
from pingone_mcp.first_answers import Frozen, shipped
from pingone_mcp.handshake import FOR_HOSTS, HOST, REPLAYED, Session
from tests.depth import sampled
from tests.process.programs import PATIENCE, PROGRAM, ROOT, Running, Served, bare, in_process, run, started
from tests.process.test_eras import CLIENT, HANDSHAKES, STATELESS, envelope
from tests.server.test_surface import tools as tools_today
from tests.unmade import CannotBeMade

FILE = Path(pingone_mcp.__file__).with_name("handshake.json")
# Whoever hears an answer from this one has heard the SDK.
FROM_SDK = in_process("import pingone_mcp.stdio_process as one; one.may_greet = lambda: False")
# Whoever hears an answer from this one has heard the file.
WITHOUT_SDK = in_process("import sys; sys.modules['mcp'] = None")

Message = dict[str, Any]


def knowing(env: dict[str, str]) -> dict[str, str]:
    """Return an environment in which the first answers are known: with other than the locked versions, as learned."""
    if shipped() is None:
        assert run(env=env, program=PROGRAM).status == 0
    return env


INITIALIZED: Message = {"jsonrpc": "2.0", "method": "notifications/initialized"}
LIST: Message = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
PING: Message = {"jsonrpc": "2.0", "id": "last", "method": "ping"}


def initialize(version: str = HANDSHAKES[-1], number: Any = 1, **changes: Any) -> Message:
    params = {"protocolVersion": version, "capabilities": {}, "clientInfo": CLIENT} | changes
    return {"jsonrpc": "2.0", "id": number, "method": "initialize", "params": params}


def stateless(method: str, number: Any = 1, **changes: Any) -> Message:
    meta = envelope() | {f"io.modelcontextprotocol/{name}": value for name, value in changes.items()}
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": {"_meta": meta}}


def write(server: Running, text: str) -> None:
    assert server.process.stdin is not None
    server.process.stdin.write(text)
    server.process.stdin.flush()


def line(message: Message) -> str:
    return json.dumps(message) + "\n"


# --- The file


def frozen(home: Path) -> str:
    """Ask the SDK what the file should hold."""
    results: dict[str, dict[str, str]] = {}

    def result(server: Running, message: Message) -> str:
        server.tell(**message)
        before, _, text = server.line().rstrip("\n").partition(',"result":')
        assert before == f'{{"jsonrpc":"2.0","id":{message["id"]}'
        return text.removesuffix("}")

    for version in HANDSHAKES:
        with started(env=bare(home), program=FROM_SDK) as server:
            results[version] = {"initialize": result(server, initialize(version))}
            server.tell(**INITIALIZED)
            results[version]["tools/list"] = result(server, LIST)
        with started(env=bare(home), program=FROM_SDK) as server:
            result(server, initialize(version, capabilities={"extensions": HOST}))
            server.tell(**INITIALIZED)
            results[version][FOR_HOSTS] = result(server, LIST)
    with started(env=bare(home), program=FROM_SDK) as server:
        results[STATELESS] = {method: result(server, stateless(method)) for method in ("server/discover", "tools/list")}
        as_host = stateless("tools/list", clientCapabilities={"extensions": HOST})
        results[STATELESS][FOR_HOSTS] = result(server, as_host)
    with started(env=bare(home), program=FROM_SDK) as server:
        otherwise = json.loads(result(server, initialize("")))["protocolVersion"]
    told = {
        "pingone_mcp": pingone_mcp.__version__,
        "made_with": made_with(),
        "otherwise": otherwise,
        "results": results,
    }
    return json.dumps(told, ensure_ascii=False, indent=1) + "\n"


def made_with() -> dict[str, str]:
    packages = ("mcp", "mcp_types", "pydantic", "pydantic_core")
    return {package: importlib.metadata.version(package.replace("_", "-")) for package in packages}


def locked() -> dict[str, str]:
    pins = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / "requirements-dev.txt").read_text("utf-8"), re.MULTILINE))
    return {package: pins[package.replace("_", "-")] for package in made_with()}


def files() -> dict[Path, str | None]:
    """Return what the file should hold. Raises CannotBeMade with other packages than the locked."""
    if made_with() != locked():
        raise CannotBeMade("Other versions than the locked are installed, and may say it in other words.")
    with TemporaryDirectory() as home:
        return {FILE: frozen(Path(home))}


def test_the_file_was_made_with_the_locked_versions() -> None:
    assert json.loads(FILE.read_bytes())["made_with"] == locked(), f"{FILE.name} is stale: run `make generated`"


@pytest.fixture(scope="module")
def of_today() -> None:
    """Skip where the tools have changed since the file was made: tests/test_generated.py says so, and what to run."""
    text = json.loads(FILE.read_bytes())["results"][HANDSHAKES[-1]]["tools/list"]
    members = ("name", "title", "description", "inputSchema", "outputSchema")
    frozen_tools, tools = (
        [{name: tool.get(name) for name in members} for tool in told]
        for told in (json.loads(text)["tools"], anyio.run(tools_today))
    )
    if frozen_tools != tools:
        pytest.skip(f"{FILE.name} is stale: run `make generated`")


# --- What it answers

ABLE = {
    "roots": {"listChanged": True},
    "sampling": {"context": {}, "tools": {}},
    "elicitation": {"form": {}, "url": {}},
    "tasks": {"list": {}, "cancel": {}, "requests": {"sampling": {"createMessage": {}}}},
    "extensions": {"io.modelcontextprotocol/ui": {"mimeTypes": ["text/html;profile=mcp-app"]}},
    "experimental": {"x": {"deep": [1, None, "two"]}},
}
# Known as an extension, but what a view is made of is none of what it shows.
ALMOST = {"io.modelcontextprotocol/ui": {"mimeTypes": ["text/html", 7, None]}}
DESCRIBED = {"name": "a", "version": "", "title": "A", "websiteUrl": "not a url", "description": "d"}

IDS = (0, 1, 999_999_999_999_999, "", "1", "a b", "{}/\x7e")

SESSIONS: dict[str, list[Message]] = {
    **{f"handshake {version}": [initialize(version), INITIALIZED, LIST] for version in HANDSHAKES},
    **{
        f"unknown version {version!r}": [initialize(version), INITIALIZED, LIST]
        for version in ("", STATELESS, "tools/list")
    },
    "ids": [
        *(stateless("server/discover", number) for number in IDS),
        initialize(number="a b"),
        *(LIST | {"id": number} for number in IDS),
    ],
    "stateless": [stateless("server/discover"), stateless("tools/list", 2), stateless("server/discover", "x")],
    "a host": [initialize(capabilities={"extensions": HOST}), INITIALIZED, LIST, LIST],
    "stateless, in turn a host and none": [
        stateless("server/discover"),
        *(stateless("tools/list", clientCapabilities=able) for able in ({"extensions": HOST}, {}, ABLE, {})),
    ],
    "no host": [initialize(capabilities={"extensions": ALMOST}), INITIALIZED, LIST],
    "stateless without a look": [stateless("tools/list"), stateless("tools/list", 2)],
    "looks, then a handshake": [stateless("server/discover", 0), stateless("server/discover"), initialize(), LIST],
    "a client that can much": [initialize(capabilities=ABLE, clientInfo=DESCRIBED), INITIALIZED, LIST],
    "a stateless client that can much": [
        stateless("server/discover", clientCapabilities=ABLE, clientInfo=DESCRIBED),
        stateless("tools/list", clientCapabilities=ABLE, clientInfo=DESCRIBED),
    ],
    "empty params": [initialize(), INITIALIZED, LIST | {"params": {}}, LIST],
}


def heard(server: Running, messages: list[Message]) -> list[str]:
    """Say one message after the other; return the line that answers each request."""
    lines: list[str] = []
    for message in messages:
        server.tell(**message)
        if "id" in message:
            lines.append(server.line())
    return lines


@pytest.mark.usefixtures("of_today")
@pytest.mark.parametrize("session", SESSIONS.values(), ids=SESSIONS)
@sampled(5)
def test_a_first_answer_is_the_one_of_the_sdk_to_the_byte(tmp_path: Path, session: list[Message]) -> None:
    with started(env=knowing(bare(tmp_path)), program=WITHOUT_SDK) as server:
        from_file = heard(server, session)
    with started(env=bare(tmp_path), program=FROM_SDK) as server:
        from_sdk = heard(server, session)
    assert "" not in from_file
    assert from_file == from_sdk


# --- What it leaves to the SDK

BEFORE: list[Message] = [initialize(), INITIALIZED]
NESTED: Any = {}
for _ in range(150):
    NESTED = {"x": NESTED}

# What came before, and the line.
DOUBTS: dict[str, tuple[list[Message], str]] = {
    "a list before the handshake": ([], line(LIST)),
    "a list with a cursor": (BEFORE, line(LIST | {"params": {"cursor": "x"}})),
    "a list with a progress token": (BEFORE, line(LIST | {"params": {"_meta": {"progressToken": 1}}})),
    "a list with null for params": (BEFORE, line(LIST | {"params": None})),
    "a list with a list for params": (BEFORE, line(LIST | {"params": []})),
    "a list with more to it": (BEFORE, line(LIST | {"more": 1})),
    "a list that says no version": (BEFORE, '{"id":2,"method":"tools/list"}\n'),
    "a stateless list in a session": (BEFORE, line(stateless("tools/list"))),
    "a look around in a session": (BEFORE, line(stateless("server/discover"))),
    "a second handshake": (BEFORE, line(initialize(HANDSHAKES[0]))),
    "a second notification": (BEFORE, line(INITIALIZED)),
    "a notification before the handshake": ([], line(INITIALIZED)),
    "a notification with params": ([initialize()], line(INITIALIZED | {"params": {}})),
    "a list that wants no answer": (BEFORE, '{"jsonrpc":"2.0","method":"tools/list"}\n'),
    "an answer": (BEFORE, '{"jsonrpc":"2.0","id":7,"result":{}}\n'),
    "another method": (BEFORE, line(PING | {"id": 2, "method": "resources/templates/list"})),
    "an id that is null": (BEFORE, line(LIST | {"id": None})),
    "an id that is a boolean": (BEFORE, line(LIST | {"id": True})),
    "an id that is a fraction": (BEFORE, line(LIST | {"id": 1.0})),
    "an id below zero": (BEFORE, line(LIST | {"id": -1})),
    "an id that is huge": (BEFORE, line(LIST | {"id": 10**15})),
    "an id that is long": (BEFORE, line(LIST | {"id": "9" * 70_000})),
    "an id with a quote": (BEFORE, line(LIST | {"id": 'a"b'})),
    "an id beyond ASCII": (BEFORE, json.dumps(LIST | {"id": "é"}, ensure_ascii=False) + "\n"),
    "half an emoji": (BEFORE, line(LIST | {"id": "\ud83d"})),
    "a byte order mark": (BEFORE, "\ufeff" + line(LIST)),
    "a blank line": (BEFORE, "\n"),
    "spaces": (BEFORE, "  \n"),
    "no JSON": (BEFORE, "hello\n"),
    "half JSON": (BEFORE, '{"jsonrpc":"2.0",\n'),
    "a batch": (BEFORE, json.dumps([LIST]) + "\n"),
    "a tab": (BEFORE, '{"jsonrpc":"2.0",\t"id":2,"method":"tools/list"}\n'),
    "a carriage return inside": (BEFORE, '{"jsonrpc":"2.0","id":2,\r"method":"tools/list"}\n'),
    "a handshake without a client": ([], line(initialize(clientInfo=None))),
    "a handshake of a client without a version": ([], line(initialize(clientInfo={"name": "x"}))),
    "a handshake with a number for a title": ([], line(initialize(clientInfo=CLIENT | {"title": 1}))),
    "a handshake with icons": ([], line(initialize(clientInfo=CLIENT | {"icons": [{"src": "https://x"}]}))),
    "a handshake with a number for a version": ([], line(initialize(protocolVersion=1))),
    "a handshake with _meta": ([], line(initialize(_meta={"progressToken": 1}))),
    "a handshake without capabilities": ([], line(initialize(capabilities=None))),
    "a handshake with a wrong capability": ([], line(initialize(capabilities={"roots": {"listChanged": "?"}}))),
    "a handshake with another wrong capability": ([], line(initialize(capabilities={"roots": {"listChanged": {}}}))),
    "a handshake with a flag for a capability": ([], line(initialize(capabilities={"sampling": True}))),
    "a handshake with a wrong extension": ([], line(initialize(capabilities={"experimental": {"x": 1}}))),
    "a handshake that is nested deeply": ([], line(initialize(capabilities={"x": NESTED}))),
    "a look around without an envelope": ([], line(LIST | {"method": "server/discover"})),
    "a look around as in later years": ([], line(stateless("server/discover", protocolVersion="2099-01-01"))),
    "a look around without a client": ([], line(stateless("server/discover", clientInfo=None))),
    "a look around with a wrong capability": ([], line(stateless("server/discover", clientCapabilities={"roots": 1}))),
    "a stateless list with a progress token": (
        [],
        line({**LIST, "params": {"_meta": envelope() | {"progressToken": 1}}}),
    ),
    "a stateless list with a cursor": ([], line({**LIST, "params": {"_meta": envelope(), "cursor": "x"}})),
    "a plain list in the stateless era": ([stateless("tools/list")], line(LIST)),
    "a handshake in the stateless era": ([stateless("tools/list")], line(initialize(number=3))),
}


@pytest.mark.parametrize(("before", "doubtful"), DOUBTS.values(), ids=DOUBTS)
def test_what_is_unusual_is_left_to_the_sdk(tmp_path: Path, before: list[Message], doubtful: str) -> None:
    with started(env=knowing(bare(tmp_path)), program=WITHOUT_SDK) as server:
        assert "" not in heard(server, before)
        end = server.rest(doubtful)
    assert (end.status, end.out) == (1, "")
    assert "No module named 'mcp.server'" in end.err


PROMPTS: Message = {"jsonrpc": "2.0", "id": 5, "method": "prompts/list"}
CALL = {"name": "get_user", "arguments": {"user": "nobody@example.com"}}

GOES_ON: dict[str, list[Message]] = {
    **{
        f"a session of {version}": [
            initialize(version),
            INITIALIZED,
            LIST,
            {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": CALL},
            PROMPTS,
            {"jsonrpc": "2.0", "id": 1, "method": "resources/list"},
        ]
        for version in HANDSHAKES
    },
    "an unconfirmed session": [initialize(), PING, PROMPTS, LIST],
    "a list with a cursor": [*BEFORE, LIST | {"params": {"cursor": "x"}}, LIST, PROMPTS],
    "a stateless list in a session": [*BEFORE, stateless("tools/list"), LIST, PROMPTS],
    "a look around in a session": [*BEFORE, stateless("server/discover"), PROMPTS],
    "a second handshake": [*BEFORE, initialize(HANDSHAKES[0], 2), PROMPTS],
    "a handshake in the stateless era": [stateless("tools/list"), initialize(), stateless("prompts/list"), PROMPTS],
    "a plain list in the stateless era": [stateless("tools/list"), LIST, stateless("tools/list")],
    "a plain list after a look around": [stateless("server/discover"), LIST, initialize(), LIST],
    "a list before the handshake": [LIST, initialize(), LIST],
    "a handshake after one that was wrong": [initialize(clientInfo=None), initialize(), INITIALIZED, LIST],
    "a handshake after a look around as in later years": [
        stateless("server/discover", protocolVersion="2099-01-01"),
        initialize(),
        INITIALIZED,
        LIST,
        PROMPTS,
    ],
}


# --- After the handover


@pytest.mark.usefixtures("of_today")
@pytest.mark.parametrize("session", GOES_ON.values(), ids=GOES_ON)
@sampled(5)
def test_the_sdk_goes_on_as_if_it_had_heard_all(served: Served, session: list[Message]) -> None:
    with started(env=knowing(served.variables()), program=PROGRAM) as server:
        said = heard(server, session)
        end = server.rest()
    with started(env=served.variables(), program=FROM_SDK) as server:
        from_sdk = heard(server, session)
    assert "" not in said
    assert said == from_sdk
    assert (end.status, end.out, end.err) == (0, "", ""), "nothing is answered twice"
    assert REPLAYED not in "".join(said)


def test_the_sdk_hears_the_handshake_again_and_that_it_was_confirmed() -> None:
    told = json.loads(FILE.read_bytes())
    session = Session(Frozen(told["results"], told["otherwise"]))
    for message in (stateless("server/discover"), initialize(capabilities=ABLE), INITIALIZED, LIST):
        assert session.answer(line(message).encode()) is not None
    again = [json.loads(text) for text in session.replay.splitlines()]
    assert again == [initialize(number=REPLAYED, capabilities=ABLE), INITIALIZED]


def test_everything_sent_in_one_breath_is_answered_once_and_in_order(tmp_path: Path) -> None:
    with started(env=knowing(bare(tmp_path)), program=PROGRAM) as server:
        messages = [stateless("server/discover", 0), initialize(), INITIALIZED, LIST, PING | {"id": 3}]
        write(server, "".join(line(message) for message in messages))
        answered = [json.loads(server.line())["id"] for _ in range(4)]
        end = server.rest()
    assert answered == [0, 1, 2, 3]
    assert (end.status, end.out, end.err) == (0, "", "")


def test_a_line_that_comes_in_pieces_is_one_line(tmp_path: Path) -> None:
    with started(env=knowing(bare(tmp_path)), program=PROGRAM) as server:
        for message in (initialize(), LIST, PING):
            text = line(message)
            for start in range(0, len(text), 7):
                write(server, text[start : start + 7])
            assert json.loads(server.line())["id"] == message["id"]
        write(server, line(INITIALIZED) + line(LIST) + line(PING)[:9])
        assert json.loads(server.line())["id"] == LIST["id"]
        write(server, line(PING)[9:])
        assert json.loads(server.line())["id"] == PING["id"]


# --- Where it does not apply


def assert_left_to_the_sdk(env: dict[str, str], *arguments: str, program: Sequence[str] = WITHOUT_SDK) -> None:
    # Without the SDK the process ends by itself, maybe before anybody has said a word to it.
    end = run(*arguments, env=env, program=program, stdin=line(initialize()))
    assert (end.status, end.out) == (1, "")


def without_file(package: Path) -> None:
    (package / "handshake.json").unlink()


def no_json(package: Path) -> None:
    (package / "handshake.json").write_bytes(b"\xff{")


def another_shape(package: Path) -> None:
    (package / "handshake.json").write_text("[]", encoding="utf-8")


def another_version(package: Path) -> None:
    (package / "__init__.py").write_text('__version__ = "0.0.0"\n', encoding="utf-8")


def made_with_another(name: str) -> Callable[[Path], None]:
    def change(package: Path) -> None:
        file = package / "handshake.json"
        told = json.loads(file.read_bytes())
        told["made_with"][name] += "9"
        file.write_text(json.dumps(told), encoding="utf-8")

    return change


CHANGES = {
    "no file": without_file,
    "no JSON": no_json,
    "another shape": another_shape,
    "another version of ours": another_version,
    **{f"another {name}": made_with_another(name) for name in ("mcp", "mcp_types", "pydantic", "pydantic_core")},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_file_that_was_made_for_something_else_is_not_used(tmp_path: Path, change: Callable[[Path], None]) -> None:
    package = shutil.copytree(FILE.parent, tmp_path / "pingone_mcp")
    file = package / "handshake.json"
    file.write_text(json.dumps(json.loads(file.read_bytes()) | {"made_with": made_with()}), encoding="utf-8")
    program = in_process(f"import sys; sys.path[0] = {str(tmp_path)!r}; sys.modules['mcp'] = None")
    with started(env=bare(tmp_path), program=program) as server:
        assert "" not in heard(server, [initialize()]), "a copy is used as long as nothing has changed"
    change(package)
    assert_left_to_the_sdk(bare(tmp_path), program=program)


@pytest.mark.parametrize("name", ["PINGONE_ALLOW_WRITES", "pingone_allow_writes", "PingOne_Allow_Writes"])
def test_where_writes_may_be_offered_the_sdk_says_which_tools_there_are(served: Served, name: str) -> None:
    assert_left_to_the_sdk(served.variables(**{name: "1"}))
    with started(env=served.variables(**{name: "1"}), program=PROGRAM) as server:
        server.greet()
        tools = {tool["name"]: tool for tool in server.answer(server.ask("tools/list"))["result"]["tools"]}
    assert "DELETE" in json.dumps(tools["proxy_request"])


def test_an_empty_switch_is_none(tmp_path: Path) -> None:
    with started(env=knowing(bare(tmp_path, PINGONE_ALLOW_WRITES="")), program=WITHOUT_SDK) as server:
        assert heard(server, [initialize()]) != [""]


def test_with_an_env_file_the_sdk_answers(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("PINGONE_ALLOW_WRITES=1\nPINGONE_SANDBOX=1\n", encoding="utf-8")
    arguments = ("--env-file", str(tmp_path / "env"))
    assert_left_to_the_sdk(bare(tmp_path), *arguments)
    with started(*arguments, env=bare(tmp_path), program=PROGRAM) as server:
        server.greet()
        assert "DELETE" in json.dumps(server.answer(server.ask("tools/list")))


def test_without_docstrings_the_sdk_answers(tmp_path: Path) -> None:
    assert_left_to_the_sdk(bare(tmp_path), program=(sys.executable, "-OO", *WITHOUT_SDK[1:]))


# --- Ends


@pytest.mark.parametrize(
    "begun", ["", "{", line(initialize()), line(initialize()) + "{", line(stateless("tools/list"))]
)
def test_a_client_that_leaves_early_leaves_a_server_that_ends_well(tmp_path: Path, begun: str) -> None:
    with started(env=knowing(bare(tmp_path)), program=PROGRAM) as server:
        write(server, begun)
        end = server.rest()
    assert (end.status, end.err) == (0, "")
    assert len(end.out.splitlines()) == (1 if begun.endswith("\n") else begun.count("\n"))


def test_a_client_that_no_longer_listens_ends_the_server(tmp_path: Path) -> None:
    with started(env=knowing(bare(tmp_path)), program=PROGRAM) as server:
        assert server.process.stdout is not None
        server.process.stdout.close()
        server.tell(**initialize())
        end = server.rest()
    assert (end.status, end.err) == (0, "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "terminate"])
def test_a_signal_between_the_first_answers_ends_the_server(tmp_path: Path, number: signal.Signals) -> None:
    with started(env=knowing(bare(tmp_path)), program=PROGRAM) as server:
        heard(server, [initialize()])
        server.process.send_signal(number)
        server.process.wait(PATIENCE)
        end = server.rest()
    assert (end.status, end.out, end.err) == (0, "", "")


def test_the_installed_command_needs_no_sdk_for_them_either(tmp_path: Path) -> None:
    code = "import runpy, sys; sys.modules['mcp'] = None; del sys.argv[0]; runpy.run_path(sys.argv[0], run_name='__main__')"
    command = str(Path(PROGRAM[0]).with_name("pingone-mcp"))
    with started(command, env=knowing(bare(tmp_path)), program=(sys.executable, "-c", code)) as server:
        assert "" not in heard(server, [initialize(), INITIALIZED, LIST])
