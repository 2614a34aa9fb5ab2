"""Runs inside a bundle: hands batches to its handler and tells what processor time each took.

Started as `python -S -P driver.py MODULE`, so that the bundle is all there is to import. One JSON event a line on
standard input, one JSON answer a line on standard output; what the handler prints goes to the null device.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time


class Context:
    """The Lambda context, as far as the two handlers look at it."""

    function_name = "bench"
    function_version = "$LATEST"
    memory_limit_in_mb = 256
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:bench"
    aws_request_id = "00000000-0000-0000-0000-000000000000"

    def get_remaining_time_in_millis(self) -> int:
        return 600_000


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    handler = importlib.import_module(sys.argv[1]).handler
    for line in sys.stdin:
        event = json.loads(line)
        before = time.process_time()
        response = handler(event, Context())
        cpu = time.process_time() - before
        print(json.dumps({"cpu": cpu, "response": response}), file=answers, flush=True)


main()
