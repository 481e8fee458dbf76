"""Work done ahead on threads comes in order, and stops with the one who asks for it."""

import _thread
import hashlib
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from weakref import WeakSet

import pytest

from batchgender.threads import available_cores, ordered_prefetch, wait_for_ended_threads


def test_results_are_those_of_executor_map() -> None:
    def slow(number: int) -> int:
        time.sleep(0.002 * (number % 3))
        return number * number

    with ThreadPoolExecutor(4) as pool:
        assert list(ordered_prefetch(pool, slow, range(50), 7)) == list(pool.map(slow, range(50)))
        assert list(ordered_prefetch(pool, slow, [], 7)) == []


def test_no_more_is_begun_than_was_allowed_ahead() -> None:
    asked: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(100):
            asked.append(number)
            yield number

    with ThreadPoolExecutor(2) as pool, closing(ordered_prefetch(pool, lambda n: n, numbers(), 5)) as results:
        assert next(results) == 0
        assert len(asked) == 6


def test_an_error_comes_in_its_place_and_the_rest_is_cancelled() -> None:
    done: list[int] = []
    release = threading.Event()

    def work(number: int) -> int:
        if number == 2:
            raise ValueError("two")
        if number > 2:
            release.wait(5)
        done.append(number)
        return number

    with ThreadPoolExecutor(1) as pool:
        results = ordered_prefetch(pool, work, range(10), 8)
        assert [next(results), next(results)] == [0, 1]
        with pytest.raises(ValueError, match="two"):
            next(results)
        release.set()
    assert len(done) < 10 - 1


def test_there_is_a_core() -> None:
    assert available_cores() >= 1


def test_tasks_that_hold_much_are_not_all_taken_ahead() -> None:
    class Large:
        size = 10

    alive: WeakSet[Large] = WeakSet()
    most = 0

    def tasks() -> Iterator[Large]:
        nonlocal most
        for _ in range(50):
            most = max(most, len(alive))
            alive.add(large := Large())
            yield large
            del large

    with ThreadPoolExecutor(2) as pool:
        sizes = ordered_prefetch(pool, lambda task: task.size, tasks(), 20, lambda task: task.size, most=35)
        assert list(sizes) == [10] * 50
    # 35 bytes ahead, the one that goes beyond, and one on its way out of each thread.
    assert most <= 3 + 1 + 2


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no process is forked")
def test_a_fork_waits_for_threads_that_have_ended_for_python_alone() -> None:
    ended: list[bool] = []

    def compute() -> None:
        hashlib.pbkdf2_hmac("sha256", b"", b"", 500_000)
        ended.append(True)

    # As one of a pool that has been shut down, this one is unknown to `threading`.
    _thread.start_new_thread(compute, ())
    time.sleep(0.02)
    wait_for_ended_threads()
    assert ended
