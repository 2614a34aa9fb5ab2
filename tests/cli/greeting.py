"""The task of the stack that the tests of the command line speak to."""

from __future__ import annotations

from offload import Permanent, Retry, task


@task(priorities=("default", "high"), retry=Retry(max_attempts=1))
def greet(name: str = "you") -> str:
    """Greet somebody, or fail with a text that would change colours on a terminal."""
    if name == "nobody":
        raise Permanent("nobody\tis\nthere \x1b[31m")
    return f"hello {name}"
