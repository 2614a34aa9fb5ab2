from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from offload import Client
from offload.cli.main import run
from tests.cli.greeting import greet


@dataclass
class Done:
    """What a call of the program left behind: its exit code and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def is_one_line_of_error(self):
        """Whether an error was told in one line on stderr, with nothing on stdout."""
        return self.out == "" and len(self.err.strip().splitlines()) == 1 and "Traceback" not in self.err

    @property
    def json(self):
        """What was printed with `--json`."""
        return json.loads(self.out)

    @property
    def rows(self):
        """The tab-separated lines below the heading, as dicts."""
        heading, *lines = self.out.splitlines()
        return [dict(zip(heading.split("\t"), line.split("\t"), strict=True)) for line in lines]


@pytest.fixture
def offload(capsys, monkeypatch):
    """Call it with arguments; `offload.world = pipeline` says what it speaks to."""

    def call(*arguments):
        capsys.readouterr()
        code = 0
        try:
            run(list(arguments))
        except SystemExit as left:
            code = left.code if isinstance(left.code, int) else (0 if left.code is None else 1)
        told = capsys.readouterr()
        return Done(code, told.out, told.err)

    def connect(stack):
        call.stacks.append(stack)
        return call.world.client

    call.stacks = []
    monkeypatch.setattr(Client, "from_stack", staticmethod(connect))
    monkeypatch.delenv("OFFLOAD_STACK", raising=False)
    return call


@pytest.fixture
def world(deploy, offload):
    """The stack that the program speaks to."""
    offload.world = deploy(greet)
    return offload.world
