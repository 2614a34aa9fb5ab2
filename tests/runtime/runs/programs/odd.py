"""Programs that a job runner may well break: odd errors, what is left open, what belongs to the whole process."""

from __future__ import annotations

import asyncio
import contextlib
import decimal
import gc
import logging
import logging.config
import multiprocessing
import os
import random
import signal
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextvars import ContextVar
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.runtime.runs.programs.table import program

LONG = 30
NAME: ContextVar[str] = ContextVar("name", default="none")
KEPT = []


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("no text")


class Unpicklable(Exception):
    def __reduce__(self):
        raise TypeError("not to be pickled")


class Listed(logging.Handler):
    def emit(self, record):
        KEPT.append(record.getMessage())


def cube(number):
    return number**3


# Errors


@program
def an_error_without_a_text(note):
    raise Unprintable


@program
def an_error_that_cannot_be_pickled(note):
    raise Unpicklable("kept as it is")


@program
def an_error_with_half_a_character(note):
    raise ValueError("half \udce9 of it")


@program
def an_error_that_is_its_own_cause(note):
    error, other = ValueError("one"), KeyError("two")
    error.__cause__, other.__cause__ = other, error
    raise error


@program
def an_error_of_a_stopped_iterator(note):
    return next(iter(()))


@program
async def an_error_of_a_stopped_iterator_in_a_coroutine(note):
    return next(iter(()))


@program
async def an_error_of_a_stopped_async_iterator(note):
    raise StopAsyncIteration("over")


@program
def an_error_of_a_closed_generator(note):
    raise GeneratorExit("closed")


@program
def a_cancel_without_a_loop(note):
    raise asyncio.CancelledError("by hand")


@program
async def an_interrupt_in_a_coroutine(note):
    try:
        raise KeyboardInterrupt("by hand")
    finally:
        note("cleaned up")


@program
def a_group_with_an_exit_in_it(note):
    raise BaseExceptionGroup("many", [SystemExit(4), ValueError("a"), ExceptionGroup("few", [OSError("b")])])


@program
def an_exit_in_a_thread(note):
    before = threading.excepthook
    threading.excepthook = lambda arguments: note(repr(arguments.exc_value))
    try:
        thread = threading.Thread(target=sys.exit, args=(3,))
        thread.start()
        thread.join()
    finally:
        threading.excepthook = before
    return "went on"


@program
def an_error_of_an_object_that_is_deleted(note):
    class Broken:
        def __del__(self):
            raise LookupError("at its end")

    before = sys.unraisablehook
    sys.unraisablehook = lambda arguments: note(repr(arguments.exc_value))
    try:
        Broken()
    finally:
        sys.unraisablehook = before
    return "went on"


class Lying(Exception):
    __class__ = int
    __hash__ = None

    def __eq__(self, other):
        raise RuntimeError("not to be compared")


@program
def an_error_that_lies(note):
    raise Lying("about itself")


@program
def an_error_that_is_raised_twice(note):
    error = ValueError("again")
    for _ in range(2):
        try:
            raise error
        except ValueError as same:
            note(same is error)
    raise error.with_traceback(None)


@program
def an_exit_with_a_text(note):
    sys.exit("bad arguments")


@program
def an_error_in_clean_up(note):
    try:
        raise ValueError("inside")
    finally:
        KEPT.clear()
        KEPT[0]


# Event loops


@program
async def an_interrupt_by_its_signal(note):
    try:
        signal.raise_signal(signal.SIGINT)
        await asyncio.sleep(LONG)
    except asyncio.CancelledError:
        note("cancelled by the interrupt")
        raise


@program
async def a_cancel_that_comes_too_late(note):
    asyncio.current_task().cancel()
    return "done already"


@program
async def a_cancel_that_is_raised(note):
    raise asyncio.CancelledError("by hand")


@program
async def a_loop_that_is_stopped(note):
    asyncio.get_running_loop().stop()
    try:
        await asyncio.sleep(0)
        await asyncio.sleep(0.01)
    except asyncio.CancelledError:
        note("cancelled")
        raise
    return "went on"


@program
async def a_loop_that_is_closed(note):
    asyncio.get_running_loop().close()


@program
async def a_cancel_that_is_resisted(note):
    async def stubborn():
        for turn in range(3):
            try:
                await asyncio.sleep(LONG)
            except asyncio.CancelledError:
                note(f"resisted {turn}")
                if turn:
                    raise

    task = asyncio.create_task(stubborn())
    for _ in range(3):
        await asyncio.sleep(0)
        task.cancel()
    return [type(each).__name__ for each in await asyncio.gather(task, return_exceptions=True)]


@program
async def a_lock_across_tasks_that_fail(note):
    lock, condition = asyncio.Lock(), asyncio.Condition()

    async def holds():
        async with lock:
            await asyncio.sleep(0.001)
            raise ValueError("while it holds the lock")

    task = asyncio.create_task(holds())
    await asyncio.sleep(0)
    async with lock:
        note(str(task.exception()))
    async with condition:
        condition.notify_all()
    return lock.locked()


@program
async def a_loop_in_debug_mode(note):
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = LONG
    return await loop.create_task(asyncio.sleep(0, loop.get_debug()))


@program
async def an_exit_stack_with_callbacks_of_both_kinds(note):
    async def asynchronous(name):
        await asyncio.sleep(0)
        note(name)

    async def fails():
        await asyncio.sleep(0)
        raise KeyError("on the way out")

    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(asynchronous, "last")
        stack.callback(note, "third")
        stack.push_async_callback(fails)
        stack.push_async_callback(asynchronous, "first")
        raise ValueError("inside")


@program
async def an_outer_timeout_that_is_first(note):
    try:
        async with asyncio.timeout(0.01) as outer:
            try:
                async with asyncio.timeout(LONG) as inner:
                    await asyncio.sleep(LONG)
            except TimeoutError:
                note("inner")
            finally:
                note(["inner", inner.expired()])
    except TimeoutError:
        return ["outer", outer.expired(), asyncio.current_task().cancelling()]


@program
async def a_timeout_that_is_moved(note):
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as limit:
        limit.reschedule(loop.time() + LONG)
        await asyncio.sleep(0.001)
        limit.reschedule(None)
    return limit.expired()


@program
async def a_group_with_errors_of_many_kinds(note):
    async def fails(error):
        raise error

    async def fails_when_cancelled():
        try:
            await asyncio.sleep(LONG)
        finally:
            raise OSError("while it is cancelled")

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(fails_when_cancelled())
            await asyncio.sleep(0)
            group.create_task(fails(ValueError("a")))
            group.create_task(fails(KeyError("b")))
    except* KeyError:
        note("handled the KeyError")


@program
async def an_exit_of_a_task_in_a_group(note):
    async def leaves():
        raise SystemExit(6)

    async with asyncio.TaskGroup() as group:
        group.create_task(leaves())
        try:
            await asyncio.sleep(LONG)
        finally:
            note("other cleaned up")


@program
def a_runner_of_its_own(note):
    async def work(name):
        before = NAME.get()
        NAME.set(name)
        return before

    with asyncio.Runner() as runner:
        seen = [runner.run(work("first")), runner.run(work("second"))]
    return [*seen, NAME.get()]


@program
def a_loop_without_a_runner(note):
    async def left():
        try:
            await asyncio.sleep(LONG)
        finally:
            note("left task cleaned up")

    loop = asyncio.new_event_loop()
    try:
        task = loop.create_task(left())
        value = loop.run_until_complete(asyncio.sleep(0, "value"))
        task.cancel()
        loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
    finally:
        loop.close()
    return value


@program
async def tasks_that_are_left_start_others(note):
    async def second():
        await asyncio.sleep(0.001)
        note("second")

    async def first():
        try:
            await asyncio.sleep(LONG)
        finally:
            await asyncio.create_task(second())
            note("first")

    KEPT.append(asyncio.create_task(first()))
    await asyncio.sleep(0)
    return "left two"


@program
async def a_task_that_is_left_fails(note):
    async def fails():
        try:
            await asyncio.sleep(LONG)
        finally:
            raise ValueError("on the way out")

    asyncio.get_running_loop().set_exception_handler(lambda _, context: note(repr(context["exception"])))
    KEPT.append(asyncio.create_task(fails()))
    await asyncio.sleep(0)
    return "left"


@program
async def async_generators_that_are_left_open(note):
    async def numbers(name):
        try:
            while True:
                yield name
        finally:
            await asyncio.sleep(0)
            note(f"{name} closed")

    KEPT.append([numbers("a")])
    KEPT.append([await anext(each) for each in KEPT[-1]])
    return KEPT[-1]


@program
async def a_thread_that_nobody_waits_for(note):
    def work():
        time.sleep(0.02)
        note("thread done")

    asyncio.get_running_loop().run_in_executor(None, work)
    return "returned first"


@program
async def a_signal_handler_of_the_loop(note):
    loop, got = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, got.set)
    os.kill(os.getpid(), signal.SIGUSR1)
    await asyncio.wait_for(got.wait(), 5)
    return loop.remove_signal_handler(signal.SIGUSR1)


@program
async def a_task_factory_of_its_own(note):
    def factory(loop, coroutine, **options):
        note("made")
        return asyncio.Task(coroutine, loop=loop, **options)

    loop = asyncio.get_running_loop()
    loop.set_task_factory(factory)
    return await asyncio.create_task(asyncio.sleep(0, "by the factory"))


@program
async def a_generator_that_is_closed_in_another_context(note):
    async def scope():
        token = NAME.set("inside")
        try:
            yield NAME.get()
        finally:
            try:
                NAME.reset(token)
            except ValueError as error:
                note(type(error).__name__)

    generator = scope()
    seen = await asyncio.create_task(anext(generator))
    await asyncio.create_task(generator.aclose())
    return [seen, NAME.get()]


# What belongs to the whole process


@program
def clocks_that_are_replaced(note):
    before = time.time, time.monotonic, time.sleep
    time.time, time.monotonic, time.sleep = lambda: 0.0, lambda: 0.0, note
    try:
        time.sleep("not at all")
        return [time.time(), time.monotonic()]
    finally:
        time.time, time.monotonic, time.sleep = before


@program
def a_random_state(note):
    state = random.getstate()
    try:
        random.seed(7)
        return [random.randint(1, 9) for _ in range(5)]
    finally:
        random.setstate(state)


@program
def text_that_is_written_past_python(note):
    reading, writing = os.pipe()
    before = os.dup(1)
    try:
        os.dup2(writing, 1)
        os.write(1, b"past it")
    finally:
        os.dup2(before, 1)
        os.close(before)
        os.close(writing)
    with os.fdopen(reading) as end:
        return end.read()


@program
def a_collector_that_is_off(note):
    gc.disable()
    try:
        ring = []
        ring.append(ring)
        del ring
        return [gc.isenabled(), gc.collect() > 0]
    finally:
        gc.enable()


@program
def data_of_threads_in_two_pools(note):
    data = threading.local()

    def count():
        data.count = getattr(data, "count", 0) + 1
        return data.count

    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        return [pool.submit(count).result() for pool in (one, one, other, one)]


@program
def a_pool_of_spawned_processes(note):
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return list(pool.map(cube, range(3)))


@program
def a_pool_by_a_fork_server(note):
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("forkserver")) as pool:
        return pool.submit(cube, 2).result()


@program
def a_pool_whose_process_dies(note):
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        return pool.submit(os._exit, 1).result()


@program
def a_timer_of_processor_time(note):
    before = signal.signal(signal.SIGVTALRM, lambda *_: note("rang"))
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.01)
        until = time.process_time() + 0.1
        while time.process_time() < until:
            pass
        return signal.getitimer(signal.ITIMER_VIRTUAL)[0]
    finally:
        signal.signal(signal.SIGVTALRM, before)


@program
def the_switch_interval(note):
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.001)
    try:
        return sys.getswitchinterval() == 0.001
    finally:
        sys.setswitchinterval(before)


@program
def a_decimal_context(note):
    with decimal.localcontext(prec=3) as context:
        context.traps[decimal.Inexact] = True
        try:
            decimal.Decimal(1) / 3
        except decimal.Inexact:
            note("inexact")
    return decimal.getcontext().prec


@program
def a_mask_of_new_files(note):
    before = os.umask(0o077)
    try:
        with TemporaryDirectory() as folder, contextlib.chdir(folder):
            Path("new").touch()
            return oct(Path("new").stat().st_mode & 0o777)
    finally:
        os.umask(before)


@program
def logging_that_is_configured_anew(note):
    root, another = logging.getLogger(), logging.getLogger("of.the.program")
    handlers, level = root.handlers[:], root.level
    loggers = [each for each in logging.Logger.manager.loggerDict.values() if isinstance(each, logging.Logger)]
    disabled = {each: each.disabled for each in loggers}
    KEPT.clear()
    try:
        handler = {"listed": {"()": Listed}}
        logging.config.dictConfig(
            {"version": 1, "handlers": handler, "root": {"handlers": ["listed"], "level": "INFO"}}
        )
        logging.info("of the root")  # noqa: LOG015 - the root is the point
        another.warning("of another, which is disabled by now")
        return KEPT[:]
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        for each, was in disabled.items():
            each.disabled = was


@program
def a_generator_that_outlives_its_run(note):
    def numbers():
        try:
            yield 1
        finally:
            note("closed late")

    KEPT.append(numbers())
    value = next(KEPT[-1])
    KEPT.pop().close()
    return value
