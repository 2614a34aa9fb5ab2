"""Other programs: started, watched, and never left behind.

A child runs in a process group of its own and is ended as a group, so that what it started ends with it, also when
this program is told to stop by Ctrl-C or SIGTERM (see `ending_cleanly`).
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
"""Seconds a child has to end when asked politely."""
_POLL = 0.02


def birth(pid: int) -> str | None:
    """Tell when a process began, in the operating system's words; None when there is none (or it is a zombie)."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            # The second field is the program's name in parentheses, which may itself hold spaces and parentheses.
            fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            return None
        state, threads, started = fields[0], int(fields[17]), fields[19]
        # A killed program's first thread may be a zombie while the others still hold its files and its port.
        return None if state == "X" or (state == "Z" and threads <= 1) else started
    shown = subprocess.run(  # noqa: S603 - a fixed program; the pid is a number
        ["/bin/ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    state, _, started = shown.stdout.strip().partition(" ")
    return None if not state or state.startswith("Z") else started.strip()


def spawn_detached(argv: Sequence[str], env: Mapping[str, str], log: Path) -> int:
    """Start a program that outlives this one, in a session and process group of its own.

    Args:
        argv: The program's full path and its arguments.
        env: Its whole environment.
        log: Receives what it prints, after what is there already.

    Returns:
        Its process id, which is also its group's.
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
    """Let go of a finished child of ours; nothing happens when it runs, or is not ours."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def wait_gone(pid: int, began: str, patience: float) -> bool:
    """Wait until a process is gone; False when it is still there after `patience` seconds."""
    deadline = time.monotonic() + patience
    while True:
        reap(pid)
        if birth(pid) != began:
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL)


def signal_group(group: int, number: int) -> None:
    """Send a signal to a process group; a group that is gone is no error."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def run(
    argv: Sequence[str], cwd: Path, env: Mapping[str, str], on_line: Callable[[str], None] | None = None
) -> tuple[int, list[str]]:
    """Run a program to its end.

    Args:
        argv: The program and its arguments.
        cwd: Where it runs.
        env: Its whole environment.
        on_line: Called with each line it prints, on either stream.

    Returns:
        Its exit status and the lines it printed.
    """
    lines: list[str] = []
    # S603: programs of this project, found by `tools`.
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
    """Turn SIGTERM and SIGHUP into an ordinary exit, so that every `finally` runs and no child is left."""

    def leave(number: int, _frame: object) -> NoReturn:
        sys.exit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def holding(lock: Path) -> Iterator[None]:
    """Hold a lock file, so that two commands do not change one engine at the same time.

    Raises:
        LocalError: Another command holds it.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LocalError("another `offload local` command is at work on this engine: wait for it") from error
        yield
