"""The guide about events is followed to the letter, and its receiver does what it says.

What is typed there is done: by the program, and in the place of curl by a client that reads its arguments.
"""

from __future__ import annotations

import base64
import json
import re
import shlex
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from string import Template
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook

from pingone_mcp.cli import whole_parser
from pingone_mcp.service.guides import guide
from tests.process.programs import PATIENCE, Running, bare, run, started
from tests.process.test_events import Inbox, receiving
from tests.process.test_serve_command import serving

GUIDE = guide("events")
_WHOLE = 2 * PATIENCE  # until the guide was followed to its end
GONE = ["ivan.becker@example.com", "paula.becker@example.com", "elena.becker@example.com"]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)


def lines(block: str) -> list[list[str]]:
    return [shlex.split(line, comments=True) for line in re.findall(r"^\$ (.*)$", block, re.MULTILINE)]


def test_every_command_of_the_guide_is_one() -> None:
    typed = [words for block in blocks("console") for words in lines(block)]
    assert len(typed) > 15
    for words in typed:
        match words:
            case ["pingone-mcp", *rest]:
                ends = next((at for at, word in enumerate(rest) if word in (">", "&")), len(rest))
                whole_parser().parse_args(rest[:ends])
            case ["curl", *_] | ["chmod", "600", "sandbox.env"] | [_, "python", "receiver.py", "&"]:
                pass
            case _:
                pytest.fail(f"nobody has said that this works: {words}")


@dataclass
class Person:
    """Whoever follows the guide, in a folder of their own: what runs, what was learned, and on which ports."""

    home: Path
    running: ExitStack
    ports: dict[str, str] = field(default_factory=dict[str, str])
    learned: dict[str, str] = field(default_factory=dict[str, str])
    receiver: Running | None = None
    url: str = ""

    @property
    def env(self) -> dict[str, str]:
        return bare(self.home, PINGONE_STATE_DIR=str(self.home / "state"), **self.learned)

    def type(self, words: list[str]) -> None:
        """Do what a line says."""
        match [self._meant(word) for word in words]:
            case ["pingone-mcp", "sandbox", ">", file, "&"]:
                self._begin_sandbox(self.home / file)
            case ["chmod", "600", file]:
                (self.home / file).chmod(0o600)
            case ["pingone-mcp", "serve", "&"]:
                self.url = self.running.enter_context(serving(self.env)).url
                self.ports["8080"] = self.url.rpartition(":")[2]
            case [variable, "python", "receiver.py", "&"]:
                self._begin_receiver(variable)
            case ["pingone-mcp", "connections", "hook", name, "--json", ">", file]:
                env = self.env | {"PINGONE_PUBLIC_URL": self.url}  # only because of the port
                (self.home / file).write_text(run("connections", "hook", name, "--json", env=env).out)
            case ["pingone-mcp", "connections", "list"]:
                self.wait_for(lambda: re.search(r"Z$", self._run("connections", "list"), re.MULTILINE) is not None)
            case ["pingone-mcp", *rest]:
                out = self._run(*rest)
                if key := re.search(r"pmk_\S+", out):
                    self.learned["KEY"] = key[0]
            case ["curl", *rest]:
                self._curl(rest)
            case other:
                pytest.fail(f"nobody has said how this is done: {other}")

    def settle(self) -> int:
        """Wait until no event waits any more; return how many have arrived."""
        self.wait_for(lambda: json.loads(self._run("events", "list", "--state", "waiting", "--json")) == [])
        return len(json.loads(self._run("events", "list", "--state", "delivered", "--json")))

    def _meant(self, word: str) -> str:
        for shown, real in self.ports.items():
            word = word.replace(f":{shown}/", f":{real}/")
        return Template(word).safe_substitute(self.learned)

    def _run(self, *arguments: str) -> str:
        ended = run(*arguments, env=self.env, cwd=self.home)
        assert ended.status == 0, ended
        return ended.out

    def _begin_sandbox(self, file: Path) -> None:
        sandbox = self.running.enter_context(started("sandbox", "--port", "0", env=self.env, patience=_WHOLE))
        card = ""
        while "Ctrl-C" not in card:
            line = sandbox.line()
            assert line, card
            card += line
        file.write_text(card)
        [self.ports["8010"]] = re.findall(r"^PINGONE_AUTH_URL=.*:(\d+)$", card, re.MULTILINE)

    def _begin_receiver(self, variable: str) -> None:
        code, times = re.subn(r'\("127\.0\.0\.1", 9000\)', f'("127.0.0.1", {self.ports["9000"]})', blocks("python")[0])
        assert times == 1
        (self.home / "receiver.py").write_text(code)
        name, _, value = variable.partition("=")
        program = (sys.executable, "receiver.py")
        self.receiver = self.running.enter_context(
            started(env={**self.env, name: value}, cwd=self.home, program=program, patience=_WHOLE)
        )

    def _curl(self, arguments: list[str]) -> None:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}  # as curl does
        method, body, url = "GET", "", ""
        words = iter(arguments)
        for word in words:
            match word:
                case "-H":
                    name, _, value = next(words).partition(": ")
                    headers[name] = value
                case "-d":
                    method, body = "POST", next(words)
                case "-X":
                    method = next(words)
                case _:
                    url = word
        if body.startswith("@"):
            body = (self.home / body[1:]).read_text()
        answer = httpx.request(method, url, headers=headers, content=body, timeout=PATIENCE, trust_env=False)
        assert answer.is_success, answer.text
        self.learned["SECRET"] = answer.json().get("secret", self.learned.get("SECRET", ""))

    @staticmethod
    def wait_for(is_so: Any) -> None:
        until = time.monotonic() + PATIENCE
        while not is_so():
            assert time.monotonic() < until
            time.sleep(0.1)


@pytest.fixture
def person(tmp_path: Path) -> Iterator[Person]:
    with ExitStack() as stack, socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
        free.close()
        yield Person(tmp_path, stack, ports={"9000": port})


def test_whoever_is_disabled_locked_or_removed_is_suspended_once(person: Person) -> None:
    _, follow, happens = map(lines, blocks("console"))
    with receiving() as inbox:
        for words in follow:
            person.type(words)
        secret = subscribe(person, inbox)
        assert person.receiver is not None
        for words, who in zip(happens, GONE, strict=False):
            person.type(words)
            assert who in words[-1]
            assert person.receiver.line() == f"Suspended: {who}\n"
        disabled, locked = (inbox.next("record:updated") for _ in range(2))
        inbox.next("record:deleted")
        arrived = person.settle()
        for words in happens[len(GONE) :]:
            person.type(words)
        assert person.settle() == arrived, "all of it has come again"
        forged = httpx.post(f"http://127.0.0.1:{person.ports['9000']}/events", content=locked[1], trust_env=False)
        assert forged.status_code == 401
        person.receiver.process.terminate()
        assert person.receiver.rest().out == "", "nobody is suspended twice"
    event = json.loads(disabled[1])
    check_shown(json.loads(blocks("json")[0]), event)
    assert json.loads(locked[1])["payload"]["change"] == "user.locked"
    check_signature(*disabled, secret)


def subscribe(person: Person, inbox: Inbox) -> str:
    """Have everything sent to another receiver too, and return its secret."""
    key = {"Authorization": f"Bearer {person.learned['KEY']}"}
    made = httpx.post(f"{person.url}/webhook", json={"target_url": inbox.url}, headers=key, timeout=PATIENCE)
    return str(made.raise_for_status().json()["secret"])


def check_shown(shown: Any, real: Any) -> None:
    """Fail unless a real event is what the guide shows, of a row at least what it shows; ids and times are others."""
    real["payload"]["records"] = [
        {name: row[name] for name in part}
        for part, row in zip(shown["payload"]["records"], real["payload"]["records"], strict=True)
    ]
    assert alike(real) == alike(shown)
    for facts in (real, shown):
        assert facts["payload"]["evidence"]["at"] == facts["created_at"]


def alike(value: Any) -> Any:
    """Return what is the same at any time: made-up ids and times by their shape."""
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "a time", json.dumps(value, sort_keys=True))
    return json.loads(re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "an id", text))


def check_signature(headers: dict[str, str], body: bytes, secret: str) -> None:
    """Fail unless the guide's three lines tell a genuine event from another."""
    for given, is_so in ((body, True), (body + b" ", False)):
        names: dict[str, Any] = {"headers": httpx.Headers(headers), "body": given, "secret": secret}
        exec(blocks("python")[1], names)  # noqa: S102 - what the guide says
        assert names["is_genuine"] is is_so


def test_what_is_sent_again_late_suspends_nobody_who_has_come_back(person: Person) -> None:
    secret = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
    person.type([f"WEBHOOK_SECRET={secret}", "python", "receiver.py", "&"])
    webhook = Webhook(secret)

    def send(identity: str, change: str, at: str, resource: str = "user-directory/users") -> int:
        records = [{"id": "p", "username": "ivan"}] if resource.endswith("users") else [{"group": {"id": "g"}}]
        payload = {"resource": resource, "change": change, "records": records}
        body = json.dumps({"id": identity, "event": "record:updated", "payload": payload, "created_at": at})
        now = datetime.now(UTC)
        headers = {
            "webhook-id": identity,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": webhook.sign(identity, now, body),
        }
        url = f"http://127.0.0.1:{person.ports['9000']}/events"
        return httpx.post(url, content=body, headers=headers, trust_env=False, timeout=PATIENCE).status_code

    assert person.receiver is not None
    person.wait_for(lambda: _listens(person.ports["9000"]))
    assert send("back", "user.reactivated", "2026-11-27T10:00:00.000Z") == 204
    assert send("late", "user.deactivated", "2026-11-27T09:00:00.000Z") == 204
    assert send("group", "group.added", "2026-11-27T10:30:00.000Z", "user-directory/memberships") == 204
    assert send("again", "user.deactivated", "2026-11-27T11:00:00.000Z") == 204
    assert send("again", "user.deactivated", "2026-11-27T11:00:00.000Z") == 204
    person.receiver.process.terminate()
    assert person.receiver.rest().out == "Suspended: ivan\n", "once, and by the last of them"


def _listens(port: str) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", int(port))) == 0
