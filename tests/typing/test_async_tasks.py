import asyncio
import inspect
import sys

from offload import AsyncTask, Task, task


@task
async def fetch(url: str) -> bytes:
    return url.encode()


@task
def send(to: str) -> str:
    return to


def test_a_task_of_an_async_function_is_awaited_as_the_function_is() -> None:
    assert isinstance(fetch, AsyncTask)
    assert asyncio.run(fetch("https://example.org")) == b"https://example.org"


def test_a_task_of_an_ordinary_function_is_not_asynchronous() -> None:
    assert isinstance(send, Task)
    assert send("ann") == "ann"
    assert not inspect.iscoroutinefunction(send)


def test_python_is_told_that_an_async_task_is_a_coroutine_function_where_it_can_be() -> None:
    """Before Python 3.12 only functions could be coroutine functions."""
    assert inspect.iscoroutinefunction(fetch) is (sys.version_info >= (3, 12))
