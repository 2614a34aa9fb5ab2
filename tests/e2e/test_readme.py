"""The commands that the README gives for a stack on this machine work as they stand there."""

from __future__ import annotations

import re
import shlex

import pytest

from tests.e2e.conftest import ROOT

SECTION = (ROOT / "README.md").read_text().partition("## On this machine")[2].partition("\n## ")[0]
COMMANDS = [
    shlex.split(line, comments=True)[1:] for line in re.findall(r"^\.venv/bin/(offload .*)$", SECTION, re.MULTILINE)
]
PLAIN = [command for command in COMMANDS if command[0] != "local" and "JOB_ID" not in command]


def test_the_readme_has_commands():
    assert {command[0] for command in PLAIN} >= {"enqueue", "jobs", "dlq"}


@pytest.mark.parametrize("command", PLAIN, ids=" ".join)
def test_a_command_of_the_readme_works(stack, command):
    done = stack.offload(*command)
    assert done.returncode == 0, done.stdout + done.stderr
