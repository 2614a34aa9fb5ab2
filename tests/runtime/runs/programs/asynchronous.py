"""Programs that await: tasks, groups, timeouts, cancels of their own, generators."""

from __future__ import annotations

import asyncio
import contextlib
from contextvars import ContextVar

from tests.runtime.runs.programs.table import program

LONG = 30
COLOUR: ContextVar[str] = ContextVar("colour", default="none")


class Resource:
    def __init__(self, note, name="resource"):
        self.note, self.name = note, name

    async def __aenter__(self):
        self.note(f"{self.name} opened")
        return self

    async def __aexit__(self, kind, error, traceback):
        await asyncio.sleep(0)
        self.note(f"{self.name} closed by {kind and kind.__name__}")


async def broken(text="broken"):
    await asyncio.sleep(0)
    raise ValueError(text)


async def sleeper(note, name):
    try:
        await asyncio.sleep(LONG)
    finally:
        note(f"{name} cleans up")


@program
async def awaits_and_returns(note):
    await asyncio.sleep(0)
    return {"a": [1, 2]}


@program
async def catches_what_an_awaited_task_raises(note):
    try:
        await asyncio.create_task(broken())
    except ValueError as error:
        note("caught")
        return str(error)
    finally:
        note("finally")


@program
async def raises_what_an_awaited_task_raises(note):
    async with Resource(note):
        await asyncio.create_task(broken())


@program
async def catches_what_gather_raises(note):
    try:
        await asyncio.gather(asyncio.sleep(0.01), broken("of gather"))
    except ValueError as error:
        return str(error)


@program
async def gathers_exceptions(note):
    return [repr(each) for each in await asyncio.gather(broken("a"), broken("b"), return_exceptions=True)]


@program
async def catches_what_a_thread_raises(note):
    def work():
        raise KeyError("in a thread")

    async with Resource(note):
        try:
            await asyncio.to_thread(work)
        except KeyError as error:
            return str(error)


@program
async def catches_what_a_future_raises(note):
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.set_exception, OSError("of a future"))
    try:
        await future
    except OSError as error:
        return str(error)


@program
async def replaces_an_exception(note):
    try:
        await asyncio.create_task(broken())
    except ValueError as error:
        raise RuntimeError("replaced") from error


@program
async def a_group_that_works(note):
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(asyncio.sleep(0, number)) for number in range(3)]
    return [task.result() for task in tasks]


@program
async def a_group_whose_task_fails(note):
    async with asyncio.TaskGroup() as group:
        group.create_task(sleeper(note, "other"))
        group.create_task(broken())


@program
async def a_group_whose_error_is_caught(note):
    found = []
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(broken("a"))
            await asyncio.sleep(LONG)
    except* ValueError as errors:
        found = [str(each) for each in errors.exceptions]
    return found


@program
async def a_timeout_that_ends_a_wait(note):
    try:
        async with asyncio.timeout(0.01), Resource(note):
            await asyncio.sleep(LONG)
    except TimeoutError:
        return "timed out"


@program
async def a_timeout_that_is_not_caught(note):
    async with asyncio.timeout(0.01):
        await sleeper(note, "sleeper")


@program
async def waits_for_with_a_timeout(note):
    try:
        await asyncio.wait_for(sleeper(note, "waited for"), 0.01)
    except TimeoutError:
        note("timeout")
    return asyncio.current_task().cancelling()


@program
async def nested_timeouts(note):
    try:
        async with asyncio.timeout(LONG):
            try:
                async with asyncio.timeout(0.01):
                    await asyncio.sleep(LONG)
            except TimeoutError:
                note("inner")
            await asyncio.sleep(0)
    except TimeoutError:
        note("outer")
    return "done"


@program
async def cancels_a_task(note):
    task = asyncio.create_task(sleeper(note, "task"))
    await asyncio.sleep(0)
    task.cancel("enough")
    try:
        await task
    except asyncio.CancelledError as error:
        return [str(error), task.cancelled()]


@program
async def cancels_itself(note):
    asyncio.current_task().cancel("by itself")
    try:
        await asyncio.sleep(LONG)
    finally:
        note("cleaned up")


@program
async def cancels_itself_and_goes_on(note):
    task = asyncio.current_task()
    task.cancel()
    try:
        await asyncio.sleep(LONG)
    except asyncio.CancelledError:
        note(task.cancelling())
        task.uncancel()
    await asyncio.sleep(0)
    return task.cancelling()


@program
async def shields_a_task(note):
    inner = asyncio.create_task(asyncio.sleep(0.02, "shielded"))
    try:
        async with asyncio.timeout(0.001):
            await asyncio.shield(inner)
    except TimeoutError:
        note("waits no longer")
    return await inner


@program
async def waits_for_the_first(note):
    tasks = [
        asyncio.create_task(sleeper(note, "slow"), name="slow"),
        asyncio.create_task(asyncio.sleep(0), name="fast"),
    ]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    return [sorted(task.get_name() for task in each) for each in (done, pending)]


@program
async def leaves_a_task_behind(note):
    task = asyncio.create_task(sleeper(note, "left behind"))
    await asyncio.sleep(0)
    return task.done()


@program
async def leaves_an_async_generator_open(note):
    async def numbers():
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            note("generator closed")

    generator = numbers()
    return await anext(generator)


@program
async def iterates_asynchronously(note):
    async def numbers():
        for number in range(3):
            await asyncio.sleep(0)
            yield number

    async with contextlib.aclosing(numbers()) as all_of_them:
        return [number async for number in all_of_them]


@program
async def throws_into_an_async_generator(note):
    async def echo():
        while True:
            try:
                yield 1
            except ValueError as error:
                note(str(error))
                yield 2

    generator = echo()
    first = await anext(generator)
    second = await generator.athrow(ValueError("thrown"))
    await generator.aclose()
    return [first, second]


@program
async def context_variables_in_tasks(note):
    COLOUR.set("red")

    async def child():
        seen = COLOUR.get()
        COLOUR.set("blue")
        return seen

    return [await asyncio.create_task(child()), COLOUR.get(), await child(), COLOUR.get()]


@program
async def clean_up_in_reverse_order(note):
    async with contextlib.AsyncExitStack() as stack:
        for name in "abc":
            await stack.enter_async_context(Resource(note, name))
        raise LookupError("inside")


@program
async def looks_at_its_own_task(note):
    task = asyncio.current_task()
    coroutine = task.get_coro()
    note([asyncio.iscoroutine(coroutine), coroutine.cr_running, coroutine.cr_code is not None])
    return [len(asyncio.all_tasks()), task.done(), task.cancelling(), bool(task.get_stack()), repr(task)[:21]]


@program
async def locks_queues_and_events(note):
    queue, event, lock = asyncio.Queue(), asyncio.Event(), asyncio.Lock()

    async def consumer():
        async with lock:
            found = [await queue.get() for _ in range(3)]
        event.set()
        return found

    task = asyncio.create_task(consumer())
    for number in range(3):
        await queue.put(number)
    await event.wait()
    return await task


@program
async def a_callback_of_the_loop(note):
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    loop.call_later(0.001, done.set_result, "called")
    loop.call_soon(note, "soon")
    return await done


@program
async def an_error_handler_of_the_loop(note):
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: note(repr(context["exception"])))
    loop.call_soon(lambda: 1 / 0)
    await asyncio.sleep(0.01)
    return "went on"


@program
async def exits(note):
    async with Resource(note):
        raise SystemExit(3)


@program
async def raises_a_group(note):
    raise ExceptionGroup("many", [ValueError("a"), KeyError("b")])


@program
async def talks_to_a_child_process(note):
    import sys

    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-S",
        "-c",
        "print(input()[::-1])",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    written, _ = await child.communicate(b"abc\n")
    return [written.decode().strip(), child.returncode]


@program
def runs_a_loop_of_its_own(note):
    async def main():
        try:
            await asyncio.create_task(broken())
        except ValueError as error:
            return str(error)

    return asyncio.run(main())


@program
def runs_two_loops_one_after_the_other(note):
    return [asyncio.run(asyncio.sleep(0, number)) for number in (1, 2)]


@program
async def a_loop_within_a_loop_is_refused(note):
    coroutine = asyncio.sleep(0)
    try:
        asyncio.run(coroutine)
    except RuntimeError as error:
        return str(error)
    finally:
        coroutine.close()


@program
async def a_loop_in_a_thread_of_its_own(note):
    return await asyncio.to_thread(lambda: asyncio.run(asyncio.sleep(0, "from the other loop")))
