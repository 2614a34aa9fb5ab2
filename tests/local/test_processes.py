import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from offload.local import processes
from offload.local.errors import LocalError

PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""

SERVER = """
import socket, threading, time
held = socket.create_server(("127.0.0.1", 0))
ballast = bytearray(100_000_000)  # takes the dying threads a while to give back
for _ in range(60):
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
print(held.getsockname()[1], flush=True)
time.sleep(60)
"""


def test_a_process_is_known_by_its_birth_and_gone_when_reaped():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    born = processes.birth(child.pid)
    assert born
    child.kill()
    assert processes.wait_gone(child.pid, born, 5)
    child.wait()
    assert processes.birth(child.pid) is None


def test_a_killed_server_is_gone_only_when_its_port_is_free():
    for _ in range(5):
        with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True) as child:
            port = int(child.stdout.readline())
            born = processes.birth(child.pid)
            child.kill()
            assert processes.wait_gone(child.pid, born, 5)
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))


def test_run_hands_on_lines_and_the_status(tmp_path):
    heard = []
    program = "import sys; print('one'); print('two', file=sys.stderr); sys.exit(3)"
    status, lines = processes.run([sys.executable, "-u", "-c", program], tmp_path, os.environ, heard.append)
    assert (status, lines) == (3, ["one", "two"])
    assert heard == lines


def test_an_interrupted_run_ends_the_child_and_what_the_child_started(tmp_path):
    pids = []

    def interrupt(line):
        pids.append(int(line))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        processes.run([sys.executable, "-c", PARENT], tmp_path, os.environ, interrupt)
    deadline = time.monotonic() + 5
    while processes.birth(pids[0]) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert processes.birth(pids[0]) is None


def test_a_detached_program_outlives_nobody_here_but_leads_its_own_group(tmp_path):
    log = tmp_path / "log"
    pid = processes.spawn_detached(
        [sys.executable, "-c", "print('hello', flush=True); import time; time.sleep(60)"], {}, log
    )
    try:
        assert os.getpgid(pid) == pid != os.getpgid(0)
        deadline = time.monotonic() + 10
        while not (log.exists() and log.read_text()) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert log.read_text() == "hello\n"
    finally:
        born = processes.birth(pid)
        processes.signal_group(pid, signal.SIGTERM)
        assert processes.wait_gone(pid, born, 5)


def test_sigterm_runs_every_finally():
    program = (
        "import os, signal, time\n"
        "from offload.local.processes import ending_cleanly\n"
        "with ending_cleanly():\n"
        "    try: os.kill(os.getpid(), signal.SIGTERM); time.sleep(10)\n"
        "    finally: print('cleaned up')\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (128 + signal.SIGTERM, "cleaned up\n")


def test_one_command_at_a_time(tmp_path):
    lock = tmp_path / "new" / "lock"
    with processes.holding(lock), pytest.raises(LocalError, match="at work"), processes.holding(lock):
        pass
    with processes.holding(lock):
        pass
