"""`make soak`: many requests at once to a preloading web server, each of which enqueues a job and waits for it.

The server is gunicorn, with processes that are forked after the app was loaded, and threads in each. Its jobs run on an
embedded engine, to which this project is deployed first. Every request must get the result of its own job. Prints the
figures, and exits 1 when a request failed or got another's result.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import uuid
from pathlib import Path

from offload.local import environment
from offload.local.deploy import deploy
from offload.local.engine import Engine
from offload.local.layout import Layout
from tests.e2e.conftest import copy_project
from tests.soak.web_server import Answers, ask_at_once, serving


def main(arguments: list[str]) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--requests", type=int, default=2000, help="requests at once [default: %(default)s]")
    parser.add_argument("--rounds", type=int, default=1, help="how often [default: %(default)s]")
    parser.add_argument("--workers", type=int, default=4, help="processes of the server [default: %(default)s]")
    parser.add_argument("--threads", type=int, default=32, help="threads of each [default: %(default)s]")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        engine = Engine(Layout.find(copy_project(Path(folder))))
        began = time.monotonic()
        engine.start()
        try:
            deploy(engine)
            print(f"deployed in {time.monotonic() - began:.0f} s", flush=True)
            for name in environment.interfering():
                os.environ.pop(name, None)
            os.environ.update(engine.env())
            return max(_round(Path(folder), number, given) for number in range(given.rounds))
        finally:
            engine.stop()


def _round(folder: Path, number: int, given: argparse.Namespace) -> int:
    log = folder / f"server-{number}.log"
    with serving(log, workers=given.workers, threads=given.threads) as port:
        answers = ask_at_once(port, [uuid.uuid4().hex for _ in range(given.requests)])
    print(answers.describe(), flush=True)
    for token, what in [*answers.wrong, *answers.failed][:10]:
        print(f"  {token}: {what}")
    if _is_good(answers, given):
        return 0
    print(log.read_text()[-5000:], file=sys.stderr)
    return 1


def _is_good(answers: Answers, given: argparse.Namespace) -> bool:
    complete = len(answers.seconds) == given.requests and len(answers.processes) == given.workers
    return complete and not answers.wrong and not answers.failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
