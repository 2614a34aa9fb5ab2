"""The examples of docs/testing.md, as a project of their own."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOOP_SCOPE = "asyncio_default_fixture_loop_scope=function"
"""What pytest-asyncio asks every project to choose."""

EXAMPLE = re.compile(r"<!-- example: (\S+) -->\n```python\n(.*?)```", re.DOTALL)


def test_the_examples_pass_as_they_stand(tmp_path):
    examples = EXAMPLE.findall((ROOT / "docs" / "testing.md").read_text(encoding="utf-8"))
    assert len(examples) == 6
    for path, code in examples:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(code, encoding="utf-8")
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("pytest")),
            "-q",
            "-W",
            "error",
            "-p",
            "no:cacheprovider",
            "-o",
            LOOP_SCOPE,
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "1007 passed" in done.stdout, done.stdout[-3000:] + done.stderr
