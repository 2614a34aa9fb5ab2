"""Programs of one thread: errors, clean-up, signals, the state of the process."""

from __future__ import annotations

import contextlib
import functools
import gc
import io
import locale
import logging
import os
import re
import signal
import sys
import tempfile
import time
import warnings
import weakref
from pathlib import Path

from tests.runtime.runs.programs.table import program


class Closing:
    def __init__(self, note, name="it", *, swallow=False):
        self.note, self.name, self.swallow = note, name, swallow

    def __enter__(self):
        self.note(f"{self.name} opened")
        return self

    def __exit__(self, kind, error, traceback):
        self.note(f"{self.name} closed by {kind and kind.__name__}")
        return self.swallow


class Unusual(Exception):
    def __init__(self, number, *, why):
        super().__init__(number)
        self.why = why

    def __str__(self):
        return f"{self.args[0]} because of {self.why}"


class NoException(BaseException):
    pass


@program
def returns_none(note):
    note("done")


@program
def returns_nested_data(note):
    return {"list": [1, 2.5, None, True], "text": "\u00e9\U0001f600", "empty": {}}


@program
def returns_what_a_generator_yields(note):
    def numbers():
        try:
            yield from range(3)
        finally:
            note("generator done")

    return list(numbers())


@program
def leaves_a_generator_half_way(note):
    def numbers():
        try:
            yield 1
            yield 2
        finally:
            note("generator closed")

    for number in numbers():
        gc.collect()
        return number
    return None


@program
def raises(note):
    raise ValueError("no")


@program
def raises_from_a_cause(note):
    try:
        int("x")
    except ValueError as error:
        raise RuntimeError("cannot count") from error


@program
def raises_while_it_handles(note):
    try:
        int("x")
    except ValueError:
        raise KeyError("other")  # noqa: B904 - the context is the point


@program
def raises_from_none(note):
    try:
        int("x")
    except ValueError:
        raise KeyError("alone") from None


@program
def raises_an_error_of_its_own(note):
    raise Unusual(7, why="the weather")


@program
def raises_with_notes(note):
    error = ValueError("see below")
    error.add_note("a note")
    raise error


@program
def raises_no_exception(note):
    raise NoException("rare")


@program
def raises_a_group_and_handles_a_part(note):
    try:
        raise ExceptionGroup("many", [ValueError("a"), OSError("b")])
    except* OSError:
        note("handled the OSError")


@program
def exits(note):
    with Closing(note):
        sys.exit("bye")


@program
def exits_with_a_number(note):
    sys.exit(4)


@program
def interrupts_itself(note):
    with Closing(note):
        raise KeyboardInterrupt


@program
def recurses_without_end(note):
    try:
        recurses_without_end(note)
    except RecursionError as error:
        return str(error)[:32]


@program
def an_error_with_a_huge_text(note):
    raise ValueError("x" * 100_000)


@program
def clean_up_in_reverse_order(note):
    with contextlib.ExitStack() as stack:
        for name in "abc":
            stack.enter_context(Closing(note, name))
        stack.callback(note, "callback")
        raise LookupError("inside")


@program
def a_manager_that_swallows(note):
    with Closing(note, swallow=True):
        raise ValueError("swallowed")
    return "went on"


@program
def finally_that_returns(note):
    try:
        raise ValueError("lost")
    finally:
        return "from finally"  # noqa: B012 - the point


@program
def an_object_that_is_deleted(note):
    class Deleted:
        def __del__(self):
            note("deleted")

    made = Deleted()
    del made
    weakref.finalize(Closing(note), note, "finalized")
    gc.collect()
    return "after"


@program
def a_handler_of_its_own(note):
    before = signal.signal(signal.SIGUSR1, lambda number, _: note(signal.Signals(number).name))
    try:
        signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    return before == signal.SIG_DFL


@program
def an_alarm_of_its_own(note):
    class Late(Exception):
        pass

    def ring(_signal, _frame):
        raise Late("rang")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    try:
        time.sleep(5)
    except Late as error:
        return str(error)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@program
def an_alarm_that_interrupts_nothing(note):
    before = signal.signal(signal.SIGALRM, lambda *_: note("rang"))
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    time.sleep(0.05)
    signal.signal(signal.SIGALRM, before)
    return signal.getitimer(signal.ITIMER_REAL)


@program
def a_handler_that_stays(note):
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    signal.raise_signal(signal.SIGUSR2)
    return "not killed"


@program
def a_handler_on_a_real_time_signal(note):
    numbers = range(signal.SIGRTMIN + 1, signal.SIGRTMAX - 8)
    before = [signal.signal(number, lambda number, _: note(number - signal.SIGRTMIN)) for number in numbers]
    for number, handler in zip(numbers, before, strict=True):
        signal.raise_signal(number)
        signal.signal(number, handler)
    return len(numbers)


@program
def signals_that_are_blocked(note):
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    handler = signal.signal(signal.SIGUSR1, lambda *_: note("came"))
    signal.raise_signal(signal.SIGUSR1)
    note("pending")
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    signal.signal(signal.SIGUSR1, handler)
    return sorted(before)


@program
def a_pattern_that_takes_its_time(note):
    return re.match(r"(a+)+$", "a" * 18 + "b") is None


@program
def a_logger_of_its_own(note):
    logger, written = logging.getLogger("a.library"), io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s"))
    logger.addHandler(handler)
    try:
        logger.warning("half way")
    finally:
        logger.removeHandler(handler)
    return [written.getvalue(), logger.level, logging.getLogger().level]


@program
def a_logger_of_all(note):
    root, written = logging.getLogger(), io.StringIO()
    handler = logging.StreamHandler(written)
    root.addHandler(handler)
    logging.getLogger("offload_of_another").error("seen")
    root.removeHandler(handler)
    return written.getvalue()


@program
def warnings_are_caught(note):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    return [str(each.message) for each in caught]


@program
def a_warning_is_an_error(note):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.warn("old", DeprecationWarning, stacklevel=1)


@program
def prints_into_a_text(note):
    with contextlib.redirect_stdout(io.StringIO()) as written:
        print("hello")
    return written.getvalue()


@program
def a_locale_of_its_own(note):
    before = locale.setlocale(locale.LC_NUMERIC)
    locale.setlocale(locale.LC_NUMERIC, "C")
    shown = locale.format_string("%.2f", 1234.5)
    locale.setlocale(locale.LC_NUMERIC, before)
    return shown


@program
def another_folder(note):
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        Path("here.txt").write_text("text")
        return [path.name for path in Path.cwd().iterdir()]


@program
def the_environment(note):
    os.environ["A_VARIABLE"] = "set"
    seen = os.environ["A_VARIABLE"]
    del os.environ["A_VARIABLE"]
    return [seen, "A_VARIABLE" in os.environ]


@program
def an_environment_that_is_emptied(note):
    before = dict(os.environ)
    os.environ.clear()
    seen = len(os.environ)
    os.environ.update(before)
    return seen


@program
def an_environment_that_stays(note):
    os.environ["A_VARIABLE"] = "for good"
    return os.environ["A_VARIABLE"]


@program
def a_cache(note):
    @functools.lru_cache
    def add(a, b):
        note("computed")
        return a + b

    return [add(1, 2), add(1, 2), add.cache_info().hits]


@program
def a_traceback_of_its_own(note):
    try:
        raises(note)
    except ValueError as error:
        names, traceback = [], error.__traceback__
        while traceback is not None:
            names.append(traceback.tb_frame.f_code.co_name)
            traceback = traceback.tb_next
        return names


@program
def trace_and_profile_functions(note):
    sys.setprofile(lambda *_: None)
    sys.setprofile(None)
    return [sys.gettrace() is None or True, sys.getprofile() is None]


@program
def the_recursion_limit(note):
    return sys.getrecursionlimit()
