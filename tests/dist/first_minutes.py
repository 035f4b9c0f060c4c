"""The first ten minutes of somebody who found the repository, on a bare machine: what README.md shows, typed and read.

Once in a fresh clone, with what `make demo` sets up, and once with the wheel that is installed on the PATH.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.dist.artefacts import ROOT, copied_tree
from tests.dist.main_job import answer_as_a_server
from tests.dist.versions import UV

_LONGEST = 600
# How a machine is told to reach the package registries; nothing else of this one is known there.
_NETWORK = re.compile(r"(?:PIP|UV|SSL|REQUESTS)_\w+|https?_proxy|no_proxy", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class BareMachine:
    """A home with nothing in it, Python, make, and the tools that README.md names; a checkout lies in it."""

    home: Path
    env: Mapping[str, str]

    @property
    def clone(self) -> Path:
        return self.home / "pingone-mcp"

    def types(self, command: str, *, status: int = 0) -> str:
        """Run a line in the checkout as a shell does, and return what is printed."""
        print(f"  $ {command}", flush=True)
        end = subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=self.clone,
            env=dict(self.env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=_LONGEST,
            check=False,
        )
        assert end.returncode == status, f"{command} ended with {end.returncode}:\n{end.stdout}"
        assert "Traceback" not in end.stdout, end.stdout
        return end.stdout


def check_first_minutes(folder: Path) -> None:
    machine = _bare_machine(folder)
    copied_tree(machine.clone)
    getting, setting, connecting = (_shown(f"### {title}") for title in ("Get it", "Give it", "Tell your"))
    _reads(machine.types("make"), "make demo", "make test", "make dist")
    for command in getting:
        said = machine.types(command)
        if command == "make demo":
            _reads(said, "That is the main job.", "client-config", "guide settings")
    in_the_clone = {**machine.env, "PATH": f"{machine.clone}/.venv/bin{os.pathsep}{machine.env['PATH']}"}
    for each in (BareMachine(home=machine.home, env=in_the_clone), machine):
        _set_up(each, setting, connecting)


def _set_up(machine: BareMachine, setting: list[str], connecting: list[str]) -> None:
    """Follow README.md from the first answer, which is a refusal, to a client that asks the server."""
    where = machine.types("command -v pingone-mcp").strip()
    refused = machine.types("pingone-mcp check", status=2)
    _reads(refused, "PINGONE_ENVIRONMENT_ID", "PINGONE_CLIENT_SECRET", "pingone-mcp guide settings", "PINGONE_SANDBOX=1")
    _reads(machine.types("PINGONE_SANDBOX=1 pingone-mcp check"), "This connection works.")
    with _sandbox(where, machine) as settings:
        file = machine.clone / "my.env"
        *making, checking = setting
        for command in making:
            machine.types(command)
        file.write_text(_filled_in(file.read_text(encoding="utf-8"), settings), encoding="utf-8")
        _reads(machine.types(checking), "This connection works.")
        for command in connecting:
            entry = json.loads(machine.types(f"{command} 2>/dev/null"))["mcpServers"]["pingone"]
            assert entry["command"] == where, f"{entry['command']} is not the program that was asked, {where}"
            program = [entry["command"], *entry["args"]]
            answer_as_a_server(program, {"PATH": "/usr/bin:/bin", "HOME": str(machine.home), **entry.get("env", {})})
    print(f"  {where} is set up, and a client that starts it with a bare PATH is answered", flush=True)


@contextmanager
def _sandbox(program: str, machine: BareMachine) -> Iterator[dict[str, str]]:
    """Stand in for PingOne, with what the program itself offers; give the settings that it prints."""
    process = subprocess.Popen(
        [program, "sandbox", "--port", "0", "--size", "120"], env=dict(machine.env), stdout=subprocess.PIPE, encoding="utf-8"
    )
    try:
        assert process.stdout is not None
        settings: dict[str, str] = {}
        while "Ctrl-C" not in (line := process.stdout.readline()):
            assert line, "the sandbox ended"
            if found := re.fullmatch(r"(PINGONE_\w+)=(.*)\n", line):
                settings[found[1]] = found[2]
        yield settings
    finally:
        process.terminate()
        process.communicate(timeout=60)


def _filled_in(text: str, settings: Mapping[str, str]) -> str:
    """Put values into a file of settings where they belong, as a person would."""
    for name, value in settings.items():
        text, times = re.subn(rf"^(?:# )?{name}=.*$", f"{name}={value}", text, flags=re.MULTILINE)
        assert times == 1, f"{name} stands {times} times in the file"
    return text


def _shown(heading: str) -> list[str]:
    """Return the commands of one section of README.md, whose heading begins so."""
    _, _, rest = (ROOT / "README.md").read_text(encoding="utf-8").partition(f"\n{heading}")
    section = re.split(r"^#", rest, maxsplit=1, flags=re.MULTILINE)[0]
    commands = [shlex.join(shlex.split(line, comments=True)) for line in re.findall(r"^ *\$ (.*)$", section, re.MULTILINE)]
    assert commands, heading
    return [_as_typed(command) for command in commands]


def _as_typed(command: str) -> str:
    """Undo the quoting of what the shell is to read: globs, redirections, and `&&`."""
    return re.sub(r"'([*.>&/\w-]+)'", r"\1", command)


def _reads(text: str, *words: str) -> None:
    missing = [word for word in words if word not in text]
    assert not missing, f"{missing} is not said in:\n{text}"


def _bare_machine(folder: Path) -> BareMachine:
    home, tools = folder / "home", folder / "tools"
    home.mkdir(parents=True)
    subprocess.run([UV, "venv", "--quiet", "--no-config", str(tools)], check=True, timeout=_LONGEST)
    subprocess.run(
        [UV, "pip", "install", "--quiet", "--no-config", "--python", str(tools / "bin" / "python"), "pipx", "uv"],
        check=True,
        timeout=_LONGEST,
    )
    on_path = folder / "bin"
    on_path.mkdir()
    for name in ("pipx", "uv", "uvx"):
        (on_path / name).symlink_to(tools / "bin" / name)
    (on_path / "python3").symlink_to(Path(sys.base_prefix) / "bin" / "python3")
    network = {name: value for name, value in os.environ.items() if _NETWORK.fullmatch(name)}
    path = os.pathsep.join((str(home / ".local" / "bin"), str(on_path), "/usr/bin", "/bin"))
    return BareMachine(home=home, env={"PATH": path, "HOME": str(home), "LANG": "C.UTF-8", **network})
