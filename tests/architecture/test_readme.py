"""The README's example is a plain function too; that it deploys and runs is shown end to end."""

from __future__ import annotations

import re
from pathlib import Path

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_the_first_example_is_a_plain_callable():
    (code,) = re.findall(r"<!-- example: functions/greet/handler.py -->\n```python\n(.*?)```", README, re.DOTALL)
    module: dict[str, object] = {"__name__": "functions.greet.handler"}
    exec(code, module)
    greet = module["greet"]
    assert callable(greet)
    assert greet("Ada", times=2) == "Hello Ada! Hello Ada! "
