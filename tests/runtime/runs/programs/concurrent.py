"""Programs with threads, executors and child processes."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import queue
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextvars import ContextVar, copy_context

from tests.runtime.runs.programs.table import program

SIZE: ContextVar[int] = ContextVar("size", default=0)


def square(number):
    if number < 0:
        raise ArithmeticError(f"no square of {number}")
    return number * number


@program
def a_thread(note):
    thread = threading.Thread(target=note, args=("in the thread",))
    thread.start()
    thread.join()
    return threading.active_count()


@program
def a_pool_of_threads(note):
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(square, range(10)))


@program
def a_pool_of_threads_whose_call_fails(note):
    with ThreadPoolExecutor(2) as pool:
        return pool.submit(square, -1).result()


@program
def a_pool_of_processes(note):
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        return list(pool.map(square, range(4)))


@program
def a_pool_of_processes_whose_call_fails(note):
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        try:
            pool.submit(square, -1).result()
        except ArithmeticError as error:
            return str(error)


@program
def local_data_of_threads(note):
    data = threading.local()
    data.value = "main"
    with ThreadPoolExecutor(1) as pool:
        return [data.value, pool.submit(lambda: hasattr(data, "value")).result()]


@program
def context_variables_in_threads(note):
    SIZE.set(3)
    with ThreadPoolExecutor(1) as pool:
        return [SIZE.get(), pool.submit(SIZE.get).result(), pool.submit(copy_context().run, SIZE.get).result()]


@program
def a_context_variable_and_its_token(note):
    token = SIZE.set(5)
    inside = SIZE.get()
    SIZE.reset(token)
    return [inside, SIZE.get()]


@program
def an_error_in_a_thread(note):
    before = threading.excepthook
    threading.excepthook = lambda arguments: note(repr(arguments.exc_value))
    try:
        thread = threading.Thread(target=square, args=(-1,))
        thread.start()
        thread.join()
    finally:
        threading.excepthook = before
    return "went on"


@program
def a_queue_between_threads(note):
    items: queue.Queue[int] = queue.Queue(maxsize=1)
    thread = threading.Thread(target=lambda: [items.put(number) for number in range(5)])
    thread.start()
    found = [items.get(timeout=5) for _ in range(5)]
    thread.join()
    return found


@program
def a_timer_thread(note):
    done = threading.Event()
    timer = threading.Timer(0.001, done.set)
    timer.start()
    timer.join()
    return done.is_set()


@program
def a_forked_child(note):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, b"from the child")
        os._exit(7)
    os.close(writing)
    _, status = os.waitpid(child, 0)
    with os.fdopen(reading) as end:
        return [end.read(), os.waitstatus_to_exitcode(status)]


@program
def a_child_of_multiprocessing(note):
    child = multiprocessing.get_context("fork").Process(target=sys.exit, args=(5,))
    child.start()
    child.join()
    return child.exitcode


@program
def a_child_process(note):
    done = subprocess.run([sys.executable, "-S", "-c", "print('hello')"], capture_output=True, text=True, check=True)
    return done.stdout


@program
def a_child_process_that_fails(note):
    try:
        subprocess.run([sys.executable, "-S", "-c", "raise SystemExit(9)"], check=True)
    except subprocess.CalledProcessError as error:
        return error.returncode


@program
def a_child_process_that_takes_too_long(note):
    try:
        subprocess.run([sys.executable, "-S", "-c", "import time; time.sleep(30)"], timeout=0.05, check=True)
    except subprocess.TimeoutExpired as error:
        return 0 < error.timeout <= 0.05


@program
def something_for_the_exit(note):
    atexit.register(note, "at exit")
    atexit.unregister(note)
    return "registered and taken back"
