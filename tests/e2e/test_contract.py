"""The adapters' contract, held against the engine the stack is deployed on."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_engine_keeps_the_contract(stack, monkeypatch):
    monkeypatch.setenv("OFFLOAD_CONTRACT_ENDPOINT", stack.engine.endpoint)
    monkeypatch.setenv("OFFLOAD_CONTRACT_ACCESS_KEY", stack.engine.env()["AWS_ACCESS_KEY_ID"])
    monkeypatch.setenv("OFFLOAD_CONTRACT_SECRET_KEY", stack.engine.env()["AWS_SECRET_ACCESS_KEY"])
    command = [sys.executable, "-m", "pytest", "tests/contract", "-m", "engine", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) >= 40, "the contract has parameters for the engine"
