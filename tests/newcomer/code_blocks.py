"""The code blocks of a page of docs/, carried out as a reader would: commands are run, and files are written."""

import os
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

COMMAND_SECONDS = 600.0
_HEADING = re.compile(r"^## (.+)$")
_FENCE = re.compile(r"^```(\w*)$")
# The first line of a block that is a file names it, in the comment of its language.
_FILE = re.compile(r"^(?:#|<!--) (at the end of )?(\S+\.\w+)(?: -->)?$")


class Block(NamedTuple):
    """A block below the last heading of the second level."""

    heading: str
    language: str
    text: str


def read_blocks(page: str) -> list[Block]:
    """Return the blocks of a page in order."""
    blocks, heading, language, lines = [], "", None, []
    for line in page.splitlines():
        if language is not None:
            if line == "```":
                blocks.append(Block(heading, language, "\n".join(lines) + "\n"))
                language = None
            else:
                lines.append(line)
        elif found := _FENCE.match(line):
            language, lines = found[1], []
        elif found := _HEADING.match(line):
            heading = found[1]
    return blocks


class Reader:
    """A person with an empty directory and a terminal, whose environment each command may change."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        self.directory = directory
        self.environment = environment
        self.processes: list[subprocess.Popen[bytes]] = []

    def follow(self, block: Block) -> str:
        """Run a command and return its output, or write a file."""
        if block.language == "shell":
            return self.run(block.text)
        found = _FILE.match(block.text.partition("\n")[0])
        assert found, f"the block under {block.heading!r} does not name its file:\n{block.text}"
        path = self.directory / found[2]
        path.write_text(path.read_text() + "\n" + block.text if found[1] else block.text)
        return ""

    def run(self, command: str) -> str:
        """Run a command to its end. Later commands have its environment, such as that of an activated venv."""
        kept = self.directory.parent / "environment"
        done = subprocess.run(
            ["sh", "-e", "-c", f"{command}\nenv -0 > '{kept}'"],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        pairs = (line.partition("=") for line in kept.read_text().split("\0") if line)
        self.environment = {name: value for name, _, value in pairs if name not in ("_", "PWD", "OLDPWD", "SHLVL")}
        return done.stdout

    def start(self, command: str, log: Path) -> subprocess.Popen[bytes]:
        """Run a command that does not end."""
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["sh", "-c", f"exec {command}"],
                cwd=self.directory,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self.processes.append(process)
        return process

    def leave(self) -> None:
        """End all processes."""
        for process in self.processes:
            process.kill()
            process.wait()


def clean_environment(**variables: str) -> dict[str, str]:
    """Return the environment of a login: none of the variables that lead to this repository or its .venv."""
    kept = ("HOME", "LANG", "LC_ALL", "TMPDIR", "no_proxy", "NO_PROXY", "http_proxy", "https_proxy")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    pip = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "REQUESTS_"))}
    return environment | pip | {"PATH": os.environ["PATH"]} | variables
