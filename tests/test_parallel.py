"""Parts of a job on several threads."""

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from backprop import parallel
from backprop.parallel import Blas, blas, pays, run, share


@pytest.fixture
def three(monkeypatch):
    """As on a machine with three cores, whatever this one has."""
    monkeypatch.setattr(Blas, "threads", 3)


def limits():
    return [library.get_num_threads() for library in blas()._libraries.lib_controllers]


def test_the_parts_are_the_whole_in_order(three):
    for n in (0, 1, 2, 3, 7, 100):
        parts = share(lambda part: list(range(1000))[part], n)

        assert [i for part in parts for i in part] == list(range(n))


def test_there_are_as_many_parts_as_threads_and_each_has_its_own(three):
    meet = threading.Barrier(3, timeout=20)  # breaks unless three threads get here together

    def work(part):
        meet.wait()
        return threading.get_ident()

    found = share(work, 9)

    assert len(set(found)) == 3 and found[0] == threading.get_ident()


def test_a_part_has_no_less_than_is_worth_it(three):
    assert [len(share(lambda part: part, n, 10)) for n in (0, 19, 20, 30, 99)] == [1, 1, 2, 3, 3]


def test_with_one_thread_the_caller_does_all(monkeypatch):
    monkeypatch.setattr(Blas, "threads", 1)

    assert share(lambda part: (part, threading.get_ident()), 8) == [
        (slice(0, 8), threading.get_ident())
    ]
    assert not pays()


def test_blas_has_one_thread_inside_and_as_many_as_before_outside(three):
    before = limits()

    inside = share(lambda part: limits(), 3)

    assert inside == [[1] * len(before)] * 3 and limits() == before


def test_holders_inside_of_holders_change_nothing():
    before = limits()

    with blas().held():
        with blas().held():
            pass
        assert blas().is_held and set(limits()) <= {1}

    assert not blas().is_held and limits() == before


def test_who_follows_divides_only_where_blas_is_held(three):
    def parts():
        return len(share(lambda part: part, 9, follow=True))

    assert parts() == 1
    with blas().held():
        assert parts() == 3


def test_a_part_is_not_divided_again(three):
    def work(part):
        assert not pays()
        return len(share(lambda inner: inner, 9))

    assert share(work, 3) == [1, 1, 1]


@pytest.mark.parametrize("which", [0, 1, 2])
def test_an_error_comes_when_all_parts_have_ended(three, which):
    ended = []

    def work(part):
        if part.start == which:
            raise ValueError("part")
        time.sleep(0.02)
        ended.append(part.start)

    before = limits()
    with pytest.raises(ValueError, match="part"):
        share(work, 3)

    assert sorted(ended) == [i for i in range(3) if i != which] and limits() == before


def test_parts_have_the_callers_errstate(three):
    def work(part):
        return np.divide(1.0, np.zeros(1))

    with np.errstate(divide="ignore"):
        assert len(share(work, 3)) == 3
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        share(work, 3)


def test_tasks_return_in_order(three):
    assert run([lambda: 1, lambda: 2, lambda: 3]) == [1, 2, 3]


FORKS = """
import os
from backprop.parallel import Blas, blas, share

Blas.threads = 3
share(lambda part: part, 3)  # now there are threads, for which a child would wait in vain
with blas().held():
    child = os.fork()
if child:
    os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
os._exit(0 if len(share(lambda part: part, 3)) == 3 and not blas().is_held else 1)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_has_threads_of_its_own_and_holds_nothing():
    assert subprocess.run([sys.executable, "-c", FORKS], timeout=60).returncode == 0


def test_nothing_is_looked_up_before_it_is_needed(monkeypatch):
    monkeypatch.setattr(parallel, "blas", lambda: pytest.fail("asked for BLAS"))

    assert share(lambda part: part, 5, 3) == [slice(0, 5)]


def test_blas_is_held_in_any_thread_whichever_held_it_first():
    def held():
        with parallel.blas().held():
            return [library.num_threads for library in parallel.blas()._libraries.lib_controllers]

    before, found = parallel.blas().threads, [held()]
    thread = threading.Thread(target=lambda: found.append(held()))
    thread.start()
    thread.join()

    assert set(found[0]) == set(found[1]) == {1}
    assert parallel.blas().threads == before
