"""The process of the embedded engine: it runs in the background, and later commands find it again.

An `Engine` object does not own the process. It reads the engine's record from a file, so several objects in several
programs can refer to the same engine. The engine writes its state only when it ends on SIGTERM. A killed engine
therefore loses every change since its last normal stop.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import signal
import socket
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from offload.core.clock import SystemClock, iso
from offload.core.durations import text
from offload.local import environment, processes, tools, workarounds
from offload.local import key as keys
from offload.local import record as records
from offload.local.errors import LocalError, NotRunning
from offload.local.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from offload.core.clock import Clock
    from offload.local.layout import Layout

_PROGRAM = Path(__file__).with_name("guard.py")
"""The engine behind its guard; the engine's interpreter runs it."""
_LONGEST_START_MS = 60_000
"""Milliseconds until the engine must answer. It takes 0.6 s, and several seconds on a busy machine."""
_LONGEST_STOP = 30.0
"""Seconds until the engine must have written its state and ended. It takes one or two."""
_PROBE_TIMEOUT = 2.0
_POLL = 0.2
"""Seconds between two looks at an engine that is waited for."""
_SHOWN_LOG_LINES = 15
"""Last lines of the log that an error message shows."""
_LARGEST_LOG = 10_000_000
"""Bytes from which a log is moved away at the next start."""


class Engine:
    """One local engine.

    Attributes:
        layout: The paths of the engine's files.
    """

    def __init__(self, layout: Layout, *, progress: Progress | None = None, clock: Clock | None = None) -> None:
        """Refer to the engine that keeps its files in `layout`; the engine need not run."""
        self.layout = layout
        self._progress = progress or Progress()
        self._clock = clock or SystemClock()

    @property
    def record(self) -> records.Record | None:
        """The engine's record; None when the engine was never started, or its state was deleted."""
        return records.read(self.layout.record)

    @property
    def port(self) -> int:
        """The port that the engine listens on.

        Raises:
            NotRunning: The engine does not run.
        """
        return self._running_record().port

    @property
    def endpoint(self) -> str:
        """The engine's address, for `AWS_ENDPOINT_URL`.

        Raises:
            NotRunning: The engine does not run.
        """
        return environment.endpoint(self.port)

    def env(self) -> dict[str, str]:
        """Return the environment variables with which a program uses this engine.

        Raises:
            NotRunning: The engine does not run.
            LocalError: The engine's key cannot be read.
        """
        record = self._running_record()
        return environment.for_clients(record.port, keys.read(self.layout.key), record.stack)

    def is_running(self) -> bool:
        """Return True when the engine's process exists; a later process with the same pid does not count."""
        record = self.record
        return bool(record and record.pid and record.birth and processes.birth(record.pid) == record.birth)

    def is_healthy(self) -> bool:
        """Return True when the engine runs and answers."""
        return self.is_running() and _answers(self.port)

    def start(self, port: int | None = None) -> bool:
        """Start the engine in the background, unless it runs already, and wait until it answers.

        Args:
            port: The port to listen on. None means the port that the engine used before if it is free, else any free
                port.

        Returns:
            False when the engine was running already.

        Raises:
            LocalError: The port is in use, the installation fails, or the engine does not start.
        """
        record = self.record
        if self.is_running():
            assert record is not None
            if port not in (None, record.port):
                raise LocalError(f"the engine runs on port {record.port} already: `offload local down` first")
            if _answers(record.port):
                return False
            self.stop()
        python = tools.engine(self.layout, self._progress)
        chosen = _choose_port(port, record.port if record else None)
        if record and record.port != chosen:
            workarounds.move_port(self.layout.services, record.port, chosen)
        self._prepare_folders()
        # With -P, no module beside the program hides one of the engine's.
        argv = [str(python), "-P", str(_PROGRAM)]
        variables = environment.for_engine(self.layout, chosen, keys.make(self.layout.key))
        with self._progress.step("starting the engine"):
            pid = processes.spawn_detached(argv, variables, self.layout.log)
            started = records.Record(
                port=chosen,
                pid=pid,
                birth=processes.birth(pid),
                since=iso(self._clock.now()),
                stack=record.stack if record else None,
                # A record with a process that is gone is that of a killed engine, which has lost its state.
                deployed=bool(record and record.deployed and record.pid is None),
            )
            records.write(self.layout.record, started)
            try:
                self._await_answer(chosen)
            except BaseException:
                self.kill()
                raise
        return True

    def stop(self) -> bool:
        """End the engine and every function that it runs; the engine's state is kept.

        Returns:
            False when the engine did not run.

        Raises:
            LocalError: The engine did not end by itself and was killed, so every change since its start is lost.
        """
        record = self.record
        if not record or not self.is_running():
            self._forget_process(keeps_state=False)
            return False
        assert record.pid is not None
        assert record.birth is not None
        processes.signal_group(record.pid, signal.SIGTERM)
        if processes.wait_gone(record.pid, record.birth, _LONGEST_STOP):
            processes.signal_group(record.pid, signal.SIGKILL)  # for functions that ignored SIGTERM
            self._forget_process(keeps_state=True)
            return True
        self.kill()
        raise LocalError(f"the engine did not end within {_LONGEST_STOP:.0f} s and was killed: see {self.layout.log}")

    def kill(self) -> None:
        """End the engine at once, as a crash would. Every change since its last normal stop is lost."""
        record = self.record
        if record and record.pid and record.birth and self.is_running():
            processes.signal_group(record.pid, signal.SIGKILL)
            processes.wait_gone(record.pid, record.birth, _LONGEST_STOP)
        self._forget_process(keeps_state=False)

    def delete(self) -> None:
        """Remove all files of the engine.

        Raises:
            LocalError: The engine runs.
        """
        if self.is_running():
            raise LocalError("the engine runs: stop it before its state is removed")
        shutil.rmtree(self.layout.state, ignore_errors=True)

    def is_deployed(self) -> bool:
        """Return True when the engine runs and its last deployment has ended well."""
        record = self.record
        return bool(record and record.deployed) and self.is_running()

    def await_deployed(self, longest: float) -> None:
        """Wait until the engine answers and a stack is deployed, also while the engine does not run yet.

        Args:
            longest: Seconds after which the wait is given up.

        Raises:
            LocalError: It took longer.
        """
        deadline = self._clock.now() + longest * 1000
        while not (self.is_deployed() and self.is_healthy()):
            if self._clock.now() >= deadline:
                what = "no stack is deployed" if self.is_running() else "no local engine is running"
                raise LocalError(f"{what} after {text(longest)}: look at what `offload local up` says")
            self._clock.sleep(_POLL)

    def begin_deployment(self) -> None:
        """Note in the engine's record that a deployment has begun."""
        records.write(self.layout.record, replace(self._running_record(), deployed=False))

    def end_deployment(self, stack: str) -> None:
        """Note in the engine's record that the deployment of a stack has ended well."""
        records.write(self.layout.record, replace(self._running_record(), stack=stack, deployed=True))

    def _running_record(self) -> records.Record:
        record = self.record
        if record is None or not self.is_running():
            raise NotRunning("no local engine is running: start one with `offload local up`")
        return record

    def _forget_process(self, *, keeps_state: bool) -> None:
        record = self.record
        if record and record.pid:
            processes.reap(record.pid)
            deployed = record.deployed and keeps_state
            records.write(self.layout.record, replace(record, pid=None, birth=None, since=None, deployed=deployed))

    def _prepare_folders(self) -> None:
        """Create the folders, remove temporary files of the last run, and move a large log away."""
        shutil.rmtree(self.layout.scratch, ignore_errors=True)
        for folder in (self.layout.scratch, self.layout.services, self.layout.objects):
            folder.mkdir(parents=True, exist_ok=True)
        self.layout.state.chmod(0o700)
        with contextlib.suppress(FileNotFoundError):
            if self.layout.log.stat().st_size > _LARGEST_LOG:
                self.layout.log.replace(self.layout.log.with_suffix(".old"))

    def _await_answer(self, port: int) -> None:
        deadline = self._clock.now() + _LONGEST_START_MS
        while not _answers(port):
            if not self.is_running():
                raise LocalError(f"the engine ended while starting. The end of its log:\n{self._end_of_log()}")
            if self._clock.now() > deadline:
                seconds = _LONGEST_START_MS // 1000
                raise LocalError(f"the engine did not answer within {seconds} s: see {self.layout.log}")
            self._clock.sleep(0.05)

    def _end_of_log(self) -> str:
        lines = self.layout.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(f"    {line}" for line in lines[-_SHOWN_LOG_LINES:])


@contextlib.contextmanager
def running(engine: Engine, port: int | None = None) -> Iterator[Engine]:
    """Start an engine, run the block, and stop the engine even when the block raises an error."""
    engine.start(port)
    try:
        yield engine
    finally:
        engine.stop()


def _answers(port: int) -> bool:
    """Return True when the engine is ready. The request goes directly to the engine and through no proxy."""
    connection = http.client.HTTPConnection(environment.LOOPBACK, port, timeout=_PROBE_TIMEOUT)
    try:
        connection.request("GET", "/_ministack/ready")
        response = connection.getresponse()
        return bool(json.loads(response.read()).get("status") == "completed")
    except (OSError, http.client.HTTPException, ValueError, AttributeError):
        return False
    finally:
        connection.close()


def _choose_port(wanted: int | None, last: int | None) -> int:
    if wanted is not None:
        if not _is_free(wanted):
            raise LocalError(f"port {wanted} is in use: choose another with --port, or leave it out")
        return wanted
    if last is not None and _is_free(last):
        return last
    with socket.socket() as probe:
        probe.bind((environment.LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # Servers set this option too. A port counts as free although the kernel still keeps its closed connections.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((environment.LOOPBACK, port))
        except OSError:
            return False
    return True
