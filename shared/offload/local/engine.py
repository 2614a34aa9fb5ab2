"""The embedded engine's own process: started in the background, found again by later commands, ended with its children.

An `Engine` holds no process of its own: it is a handle over what `record` remembers, so that any number of them, in
any number of programs, speak of the same engine. The engine writes its state when it ends on SIGTERM, and only then:
what a killed engine knew since its last normal stop is lost, as documented for `kill`.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import signal
import socket
from dataclasses import replace
from typing import TYPE_CHECKING

from offload.core.clock import SystemClock, iso
from offload.local import environment, mends, processes, tools
from offload.local import record as records
from offload.local.errors import LocalError, NotRunning
from offload.local.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from offload.core.clock import Clock
    from offload.local.layout import Layout

_START_PATIENCE = 60_000
"""Milliseconds until the engine must answer: it takes 0.6 s, and several on a machine that is busy."""
_STOP_PATIENCE = 30.0
"""Seconds to write its state. It takes one or two."""
_PROBE_TIMEOUT = 2.0
_LAST_WORDS = 15
_LARGEST_LOG = 10_000_000


class Engine:
    """One local engine.

    Attributes:
        layout: Where it keeps its files.
    """

    def __init__(self, layout: Layout, *, progress: Progress | None = None, clock: Clock | None = None) -> None:
        """Speak of the engine that keeps its files in `layout`, whether it runs or not."""
        self.layout = layout
        self._progress = progress or Progress()
        self._clock = clock or SystemClock()

    @property
    def record(self) -> records.Record | None:
        """What is remembered of it; None when it was never started, or its state was deleted."""
        return records.read(self.layout.record)

    @property
    def port(self) -> int:
        """The port it listens on.

        Raises:
            NotRunning: It does not run.
        """
        return self._running().port

    @property
    def endpoint(self) -> str:
        """Its address, for `AWS_ENDPOINT_URL`.

        Raises:
            NotRunning: It does not run.
        """
        return environment.endpoint(self.port)

    def env(self) -> dict[str, str]:
        """Return what a program needs in its environment to speak to this engine.

        Raises:
            NotRunning: It does not run.
        """
        known = self._running()
        return environment.for_clients(known.port, known.stack)

    def is_running(self) -> bool:
        """Tell whether its process is there; a pid that another program got since does not count."""
        known = self.record
        return bool(known and known.pid and known.birth and processes.birth(known.pid) == known.birth)

    def is_healthy(self) -> bool:
        """Tell whether it runs and answers."""
        return self.is_running() and _answers(self.port)

    def start(self, port: int | None = None) -> bool:
        """Start it in the background, unless it runs already, and wait until it answers.

        Args:
            port: The port it must listen on. Otherwise the one it had before when that is free, else any free one.

        Returns:
            False when it ran already.

        Raises:
            LocalError: The port is taken, the installation fails, or the engine does not come up.
        """
        known = self.record
        if self.is_running():
            assert known is not None
            if port not in (None, known.port):
                raise LocalError(f"the engine runs on port {known.port} already: `offload local down` first")
            if _answers(known.port):
                return False
            self.stop()
        python = tools.engine(self.layout, self._progress)
        chosen = _choose_port(port, known.port if known else None)
        if known and known.port != chosen:
            mends.move_port(self.layout.services, known.port, chosen)
        self._prepare()
        argv = [str(python), "-m", "ministack"]
        with self._progress.step("starting the engine"):
            pid = processes.spawn_detached(argv, environment.for_engine(self.layout, chosen), self.layout.log)
            fresh = records.Record(
                port=chosen,
                pid=pid,
                birth=processes.birth(pid),
                since=iso(self._clock.now()),
                stack=known.stack if known else None,
            )
            records.write(self.layout.record, fresh)
            try:
                self._await_answer(chosen)
            except BaseException:
                self.kill()
                raise
        return True

    def stop(self) -> bool:
        """End it and every function it runs; its state is kept.

        Returns:
            False when it did not run.

        Raises:
            LocalError: It had to be killed, so that what happened since its last start is lost.
        """
        known = self.record
        if not known or not self.is_running():
            self._forget()
            return False
        assert known.pid is not None
        assert known.birth is not None
        processes.signal_group(known.pid, signal.SIGTERM)
        if processes.wait_gone(known.pid, known.birth, _STOP_PATIENCE):
            processes.signal_group(known.pid, signal.SIGKILL)  # functions that did not heed the first signal
            self._forget()
            return True
        self.kill()
        raise LocalError(f"the engine did not end within {_STOP_PATIENCE:.0f} s and was killed: see {self.layout.log}")

    def kill(self) -> None:
        """End it at once, as a crash would: it goes back to what it knew at its last normal stop."""
        known = self.record
        if known and known.pid and known.birth and self.is_running():
            processes.signal_group(known.pid, signal.SIGKILL)
            processes.wait_gone(known.pid, known.birth, _STOP_PATIENCE)
        self._forget()

    def delete(self) -> None:
        """Remove everything it keeps.

        Raises:
            LocalError: It runs.
        """
        if self.is_running():
            raise LocalError("the engine runs: stop it before its state is removed")
        shutil.rmtree(self.layout.state, ignore_errors=True)

    def remember_stack(self, stack: str) -> None:
        """Remember the stack deployed last."""
        records.write(self.layout.record, replace(self._running(), stack=stack))

    def _running(self) -> records.Record:
        known = self.record
        if known is None or not self.is_running():
            raise NotRunning("no local engine is running: start one with `offload local up`")
        return known

    def _forget(self) -> None:
        known = self.record
        if known and known.pid:
            processes.reap(known.pid)
            records.write(self.layout.record, replace(known, pid=None, birth=None, since=None))

    def _prepare(self) -> None:
        """Make the folders; clear what a killed engine left behind."""
        shutil.rmtree(self.layout.scratch, ignore_errors=True)
        for folder in (self.layout.scratch, self.layout.services, self.layout.objects):
            folder.mkdir(parents=True, exist_ok=True)
        self.layout.state.chmod(0o700)
        with contextlib.suppress(FileNotFoundError):
            if self.layout.log.stat().st_size > _LARGEST_LOG:
                self.layout.log.replace(self.layout.log.with_suffix(".old"))

    def _await_answer(self, port: int) -> None:
        deadline = self._clock.now() + _START_PATIENCE
        while not _answers(port):
            if not self.is_running():
                raise LocalError(f"the engine ended while starting. It said:\n{self._last_words()}")
            if self._clock.now() > deadline:
                raise LocalError(f"the engine did not answer within {_START_PATIENCE // 1000} s: see {self.layout.log}")
            self._clock.sleep(0.05)

    def _last_words(self) -> str:
        lines = self.layout.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(f"    {line}" for line in lines[-_LAST_WORDS:])


@contextlib.contextmanager
def running(engine: Engine, port: int | None = None) -> Iterator[Engine]:
    """Start an engine for as long as the block runs, however it ends."""
    engine.start(port)
    try:
        yield engine
    finally:
        engine.stop()


def _answers(port: int) -> bool:
    """Ask the engine whether it is ready; no proxy stands between."""
    connection = http.client.HTTPConnection(environment.LOOPBACK, port, timeout=_PROBE_TIMEOUT)
    try:
        connection.request("GET", "/_ministack/ready")
        response = connection.getresponse()
        return bool(json.loads(response.read()).get("status") == "completed")
    except (OSError, http.client.HTTPException, ValueError, AttributeError):
        return False
    finally:
        connection.close()


def _choose_port(wanted: int | None, before: int | None) -> int:
    if wanted is not None:
        if not _is_free(wanted):
            raise LocalError(f"port {wanted} is in use: choose another with --port, or leave it out")
        return wanted
    if before is not None and _is_free(before):
        return before
    with socket.socket() as probe:
        probe.bind((environment.LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: a port whose last connections are still being forgotten counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((environment.LOOPBACK, port))
        except OSError:
            return False
    return True
