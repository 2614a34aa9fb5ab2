"""One invocation of a worker in a process of its own: `python invocation.py SECONDS < EVENT` prints what came of it."""

from __future__ import annotations

import contextlib
import io
import json
import sys
import time


class Context:
    aws_request_id = "request"
    function_name = "probe"
    memory_limit_in_mb = 256

    def __init__(self, seconds: float) -> None:
        self.until = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return int((self.until - time.monotonic()) * 1000)


def main() -> None:
    event = json.load(sys.stdin)
    logged = io.StringIO()
    with contextlib.redirect_stdout(logged):
        from offload.runtime.entry import handler

        context = Context(float(sys.argv[1]))
        response = handler(event, context)
        left = context.get_remaining_time_in_millis()
    loaded = sorted({"boto3", "botocore.session"} & set(sys.modules))
    lines = [json.loads(line) for line in logged.getvalue().splitlines() if line.startswith("{")]
    print(json.dumps({"response": response, "left_ms": left, "loaded": loaded, "logged": lines}))


main()
