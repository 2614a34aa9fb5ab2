"""The example for receivers, as it stands on the page: copied, run, and sent real deliveries."""

import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from functions.deliver_webhook import signature

PAGE = Path(__file__).parents[2] / "docs" / "webhooks.md"
URL, SECRET, OLD = "https://shop.example/hooks", "a-secret-of-the-shop", "the-secret-of-before"
SERVE = """
import sys
from http.server import HTTPServer
server = HTTPServer(("127.0.0.1", 0), Hook)
print(server.server_port, flush=True)
server.serve_forever()
"""


@pytest.fixture
def receiver(tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "receiver.py").write_text(code + SERVE)
    shutil.copy(signature.__file__, tmp_path / "signature.py")
    environment = {"WEBHOOK_URL": URL, "WEBHOOK_SECRETS": f"{SECRET} {OLD}", "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "receiver.py"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as running:
        yield int(running.stdout.readline()), running
        running.terminate()


def send(port, body, header):
    request = urllib.request.Request(f"http://127.0.0.1:{port}/hooks", body, {signature.HEADER: header})
    try:
        return urllib.request.urlopen(request, timeout=5).status
    except urllib.error.HTTPError as refused:
        refused.close()
        return refused.code


def test_the_example_takes_what_is_meant_for_it_and_nothing_else(receiver):
    port, running = receiver
    body, now = b'{"id":"1","event":"order.paid","data":{"total":12}}', int(time.time())

    def signed(secret=SECRET, url=URL, at=now):
        return signature.sign(body, [secret], at, url=url)

    for header in ("", signed(url="https://other.example/hooks"), signed("not-the-shops-secret"), signed(at=now - 400)):
        assert send(port, body, header) == 400
    assert send(port, body + b" ", signed()) == 400
    for secret in (SECRET, OLD):
        assert send(port, body, signed(secret)) == 204
        assert running.stdout.readline() == "order.paid {'total': 12}\n"
