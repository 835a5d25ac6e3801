"""How jobs end: never in waiting."""

import os
import re
import signal
import time

import jobs
import numpy as np
import pytest
from jobs import needs_mpi

pytestmark = needs_mpi


@pytest.mark.parametrize("kind", ["raises", "afterwards"])
def test_an_exception_on_one_rank_ends_the_job_with_its_traceback(kind):
    out, code, seconds = jobs.job(2, "failing", kind)

    assert code != 0
    assert seconds < jobs.LIMIT
    assert out.count("Traceback") == 1
    assert out.index("rank 1 of 2 failed") < out.index("Traceback")
    assert "ZeroDivisionError: this is rank 1's" in out


@pytest.mark.parametrize(
    ("kind", "said"),
    [("killed", "KILLED BY SIGNAL: 9|signal 9"), ("exits", "rank 1 of 2 failed.*SystemExit: 0")],
)
def test_a_rank_that_is_gone_within_a_run_ends_the_job(kind, said):
    out, code, seconds = jobs.job(2, "failing", kind)

    assert code != 0
    assert seconds < jobs.LIMIT
    assert re.search(said, out, re.DOTALL)


def test_a_rank_that_left_before_a_run_is_named():
    out, code, seconds = jobs.job(2, "failing", "early")

    assert code != 0
    assert seconds < jobs.LIMIT
    assert "rank 1 came to its end and takes no part in fit()" in out


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("data", "differ in x or y, checksum.*seed what makes or splits the data"),
        ("policies", "differ in on_nonfinite: rank 0 has OnNonfinite.'warn'"),
        ("saves", "some ranks save the state of the run and others do not"),
        ("callbacks", "rank 0 has BackupAndRestore and rank 1 has none"),
    ],
)
def test_an_error_that_all_ranks_have_is_told_once(kind, said, tmp_path):
    out, code, _ = jobs.job(2, "failing", kind, tmp_path)

    assert code != 0
    assert out.count("Traceback") == 1
    assert re.search(said, out, re.DOTALL)
    assert not any(tmp_path.iterdir())


def test_an_error_of_one_rank_in_the_first_epoch_leaves_no_backup(tmp_path):
    out, code, _ = jobs.job(2, "failing", "first epoch", tmp_path)

    assert code != 0
    assert "ZeroDivisionError: this is rank 1's" in out
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("before", "after", "options"),
    [(2, 2, ["dropout"]), (4, 2, [""]), (2, 4, ["", "shard"])],
    ids=["as many, with dropout", "fewer", "more, sharded"],
)
def test_a_run_goes_on_from_its_backup_with_any_number_of_ranks(before, after, options, tmp_path):
    broken, whole = tmp_path / "broken", tmp_path / "whole"
    for folder in (broken, whole):
        folder.mkdir()

    out, code, _ = jobs.job(before, "going_on", broken, 13, *options)
    assert code != 0 and (broken / "backup/latest.npz").exists(), out
    assert "warned" not in out
    out, code, _ = jobs.job(after, "going_on", broken, "", *options)
    assert code == 0, out
    others = f"ranks: '{before}' then, '{after}' now"
    assert out.count("warned") == out.count(others) == (after if before != after else 0)
    assert "Epoch 1/5" not in out and out.count("Epoch 5/5") == 1
    out, code, _ = jobs.job(after if options[0] else None, "going_on", whole, "", *options)
    assert code == 0, out

    expected = jobs.read(whole / "0.npz")
    for rank in range(after):
        found = jobs.read(broken / f"{rank}.npz")
        for what, a in expected.items():
            np.testing.assert_allclose(found[what], a, rtol=1e-10, atol=1e-13, err_msg=what)
    assert not (broken / "backup").exists()
    assert sorted(path.name for path in broken.glob("model-*")) == ["model-4.npz", "model-5.npz"]
    ours, theirs = (
        np.genfromtxt(f / "log.csv", delimiter=",", skip_header=1) for f in (broken, whole)
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-10)


def test_a_state_that_a_callback_saves_is_gone_on_with(tmp_path):
    out, code, _ = jobs.job(2, "by_hand", tmp_path)

    assert code == 0, out
    for rank in range(2):
        expected, found = (jobs.read(tmp_path / f"{name}-{rank}.npz") for name in ("whole", "rest"))
        for what, a in expected.items():
            np.testing.assert_array_equal(found[what], a, err_msg=what)


def test_a_generator_that_ends_on_one_rank_before_the_others_is_an_error_of_all(tmp_path):
    out, code, _ = jobs.job(2, "ends_early", "generator", tmp_path)

    assert code != 0
    assert out.count("Traceback") == 1
    assert "batch 3 has rows: 6 on rank 0, none on rank 1" in out


@pytest.mark.parametrize("to", ["one", "job"], ids=["to one rank", "to mpiexec"])
def test_sigterm_ends_all_ranks_after_a_step_and_leaves_a_backup(to, tmp_path):
    with jobs.started(2, "ends_early", to, tmp_path) as job:
        assert job.stdout.readline() == "running\n"
        begin = time.monotonic()
        if to == "job":
            os.kill(job.pid, signal.SIGTERM)
        out, _ = job.communicate()
        seconds = time.monotonic() - begin
    print(f"{seconds:.1f} s until the job was over, of 10 that are promised")

    assert seconds < jobs.LIMIT
    assert job.returncode != 0
    assert "Traceback" not in out and "the script goes on" not in out
    assert (tmp_path / "backup/latest.npz").exists()


def test_ctrl_c_ends_all_ranks_after_a_step(tmp_path):
    with jobs.started(2, "interrupted", tmp_path) as job:
        assert job.stdout.readline() == "running\n"
        begin = time.monotonic()
        os.kill(job.pid, signal.SIGINT)
        out, _ = job.communicate()
        seconds = time.monotonic() - begin
    print(f"{seconds:.1f} s until the job was over, of 10 that are promised")

    assert seconds < jobs.LIMIT
    assert job.returncode != 0
    assert out.count("Stopping after this batch") == 1
    assert out.count("Traceback") <= 1 and "failed" not in out
    assert "the script goes on" not in out
    assert (tmp_path / "backup/latest.npz").exists()
