"""Starting, watching and ending other programs.

Each child runs in its own process group. The whole group is ended together, so that the children of a child end too.
That is also the case when this program is stopped by Ctrl-C or SIGTERM (see `ending_cleanly`).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from offload.local.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

GRACE = 5.0
"""Seconds that a child has to end after SIGTERM, before SIGKILL ends it."""
_POLL_INTERVAL = 0.02


def birth(pid: int) -> str | None:
    """Return when a process began, as a text of the operating system; None when no process has this pid.

    A zombie counts as no process. Together with the pid, the text identifies a process.
    """
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            # The second field is the program's name in parentheses. The name itself may contain parentheses and blanks.
            fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            return None
        state, threads, started = fields[0], int(fields[17]), fields[19]
        # While a killed program ends, its first thread may be a zombie and other threads may still hold its port.
        return None if state == "X" or (state == "Z" and threads <= 1) else started
    answer = subprocess.run(  # noqa: S603 - a fixed program; the pid is a number
        ["/bin/ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    state, _, started = answer.stdout.strip().partition(" ")
    return None if not state or state.startswith("Z") else started.strip()


def spawn_detached(argv: Sequence[str], env: Mapping[str, str], log: Path) -> int:
    """Start a program that may outlive this one, in its own session and process group.

    Args:
        argv: The program's full path and its arguments.
        env: The program's whole environment.
        log: File to which the program's output is appended.

    Returns:
        The process id, which is also the id of the process group.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return os.posix_spawn(
        argv[0],
        list(argv),
        dict(env),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )


def reap(pid: int) -> None:
    """Remove a finished child of this process from the process table; any other process is left alone."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def wait_gone(pid: int, began: str, timeout: float) -> bool:
    """Wait until a process has ended; returns False when it still exists after `timeout` seconds.

    Args:
        pid: The process id.
        began: The result of `birth` when the process was started.
        timeout: Seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        reap(pid)
        if birth(pid) != began:
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_INTERVAL)


def signal_group(group: int, number: int) -> None:
    """Send a signal to a process group; nothing happens when the group does not exist."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def run(
    argv: Sequence[str], cwd: Path, env: Mapping[str, str], on_line: Callable[[str], None] | None = None
) -> tuple[int, list[str]]:
    """Run a program to its end.

    Args:
        argv: The program and its arguments.
        cwd: The program's working directory.
        env: The program's whole environment.
        on_line: Called with each line that the program prints to stdout or stderr.

    Returns:
        The exit status and the printed lines.
    """
    lines: list[str] = []
    # S603: only programs that `tools` has found are run.
    child = subprocess.Popen(  # noqa: S603
        list(argv),
        cwd=cwd,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    with child:
        try:
            assert child.stdout is not None
            for raw in child.stdout:
                line = raw.rstrip()
                lines.append(line)
                if on_line:
                    on_line(line)
            return child.wait(), lines
        except BaseException:
            signal_group(child.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(GRACE)
            raise
        finally:
            signal_group(child.pid, signal.SIGKILL)


@contextlib.contextmanager
def ending_cleanly() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP in the block into an ordinary exit, so that every `finally` runs and ends its child."""

    def exit_with_signal(number: int, _frame: object) -> NoReturn:
        sys.exit(128 + number)

    saved = {number: signal.signal(number, exit_with_signal) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in saved.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def holding(lock: Path) -> Iterator[None]:
    """Hold a lock file in the block, so that two commands cannot change one engine at the same time.

    Raises:
        LocalError: Another command holds the lock.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LocalError("another `offload local` command is at work on this engine: wait for it") from error
        yield


@contextlib.contextmanager
def waiting_for(lock: Path) -> Iterator[None]:
    """Hold a lock file in the block; while another process holds it, wait until that process has ended its work."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
