"""A task whose runs do what a test has written for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from offload import Permanent, RetryLater, Task, current_job

if TYPE_CHECKING:
    from collections.abc import Callable

    from offload.core.durations import Duration


class ScriptedTask(Task[Any, Any]):
    """A task whose runs do what the test says, and return the name that their job was given.

    `work.delay("a")` enqueues a job of that name. Without a script its run does nothing but return `"a"`.

    Attributes:
        runs: Every run so far, in order: the job's name, and the number of the attempt. A test may clear it.
    """

    def __init__(self, **settings: Any) -> None:
        """Take the settings of `@task`."""
        self.runs: list[tuple[str, int]] = []
        self._started: list[str] = []
        self._scripts: list[tuple[Callable[[str], bool], Callable[[], Any]]] = []

        def work(name: str = "") -> str:
            self.runs.append((name, current_job().attempt))
            self._started.append(name)
            for action in [action for is_meant, action in self._scripts if is_meant(name)]:
                action()
            return name

        super().__init__(work, settings)

    @property
    def attempts(self) -> list[int]:
        """The number of the attempt of every run so far."""
        return [attempt for _, attempt in self.runs]

    @property
    def names(self) -> list[str]:
        """The name of the job of every run so far."""
        return [name for name, _ in self.runs]

    def on_every_run(self, action: Callable[[], Any], *, of: str | None = None) -> None:
        """Let every run do something, or every run of the job of that name."""
        self._scripts.append((lambda name: of in (None, name), action))

    def on_run(self, number: int, action: Callable[[], Any], *, of: str | None = None) -> None:
        """Let one run do something: the first is number 1, of all runs or of the job of that name."""

        def is_meant(name: str) -> bool:
            return of in (None, name) and number == (len(self._started) if of is None else self._started.count(of))

        self._scripts.append((is_meant, action))

    def on_first_runs(self, count: int, action: Callable[[], Any], *, of: str | None = None) -> None:
        """Let the first runs do something, of all runs or of the job of that name."""
        for number in range(1, count + 1):
            self.on_run(number, action, of=of)


def fail() -> NoReturn:
    """Fail as a run that may succeed at its next attempt."""
    raise ValueError("boom")


def fail_for_good() -> NoReturn:
    """Fail as a run that no further attempt can help."""
    raise Permanent("no")


def run_again_in(delay: Duration) -> Callable[[], NoReturn]:
    """Return an action that asks for another attempt after a delay."""

    def ask() -> NoReturn:
        raise RetryLater(delay=delay)

    return ask
