"""Jobs side by side: what they give, what dies, what fails, what ends everything."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from stand_ins import begun, ends, ends_later, fails, threads, unpicklable, work

from minilm import lanes
from minilm.errors import ConfigError, MinilmError, TrainingError
from minilm.lanes import Failed, Job, attempt, run_here

FATAL = (ConfigError,)


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").exists() and Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"


def results(jobs, count=2, **how):
    return {found[0].name: found[1] for found in run_here(jobs, count, FATAL, **how) if found is not None}


def test_one_lane_takes_jobs_in_their_order_and_makes_them_when_it_needs_them(tmp_path):
    made = []

    def jobs():
        for name in "abc":
            made.append(name)
            yield Job(name, work, (tmp_path, name))

    seen = []
    for found in run_here(jobs(), 1, FATAL):
        if found is not None:
            seen.append((found[0].name, len(made)))
    assert [name for name, _ in seen] == ["a", "b", "c"]
    assert seen[0][1] == 2  # the one at work, and no more


def test_what_dies_is_given_to_a_fresh_process_once_more_and_no_other_job_is(tmp_path):
    """Its result is not lost, a second death is told, and there is never a third time."""
    jobs = [Job("once", ends, (tmp_path, "once", 1)), Job("always", ends, (tmp_path, "always", 99)),
            *(Job(name, work, (tmp_path, name)) for name in "ab")]  # fmt: skip
    found = results(jobs)
    assert found == {"once": "once", "always": found["always"], "a": "a", "b": "b"}
    assert isinstance(found["always"], Failed) and "ended twice" in found["always"].why
    assert [begun(tmp_path, name) for name in ("once", "always", "a", "b")] == [2, 2, 1, 1]


def test_a_process_that_dies_with_nothing_to_do_costs_no_job(tmp_path):
    def jobs():
        yield Job("first", ends_later, (0.05,))
        time.sleep(0.5)
        yield Job("second", work, (tmp_path, "second"))

    assert results(jobs(), 1) == {"first": "answered", "second": "second"} and begun(tmp_path, "second") == 1


def test_a_lane_that_died_a_moment_ago_takes_a_job_all_the_same(monkeypatch):
    """Between the look at it and the job."""
    lane = lanes.Lane()
    try:
        assert lane.submit(Job("a", os.getpid), FATAL).result()
        (process,) = lane._processes
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        until = time.monotonic() + 10
        while not lane._pool._broken and time.monotonic() < until:
            time.sleep(0.01)
        monkeypatch.setattr(type(process), "is_alive", lambda self: True)
        future = lane.submit(Job("b", os.getpid), FATAL)
        monkeypatch.undo()
        assert future.result() != process.pid
    finally:
        lane.end()


def test_a_stuck_process_is_ended(tmp_path):
    jobs = [Job("stuck", work, (tmp_path, "stuck", 60.0)), Job("a", work, (tmp_path, "a"))]
    began = time.monotonic()
    found = results(jobs, patience=1.0)
    assert found["a"] == "a" and "ended twice" in found["stuck"].why and begun(tmp_path, "stuck") == 2
    assert time.monotonic() - began < 40


def test_processes_have_one_thread_of_blas_and_stay(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    found = results([Job(name, threads) for name in "abc"], 1)
    assert all(variables == ["1"] * 4 for variables, _ in found.values())
    assert len({pid for _, pid in found.values()}) == 1
    assert os.environ["OMP_NUM_THREADS"] == "7" and "MKL_NUM_THREADS" not in os.environ


def test_what_fails_is_one_jobs_failure_told_in_a_sentence(tmp_path):
    jobs = [Job(kind, fails, (kind,)) for kind in ("training", "disk", "ours")]
    jobs += [Job("lock", unpicklable), Job("a", work, (tmp_path, "a"))]
    found = results(jobs, 1)
    assert found["training"] == Failed("it diverged") and found["a"] == "a"
    assert "No space left on device" in found["disk"].why
    assert found["ours"].why.startswith("LookupError: a fault of ours (fails, line ")
    assert "pickle" in found["lock"].why


def test_what_all_would_meet_ends_everything(tmp_path):
    jobs = [Job("config", fails, ("config",)), Job("slow", work, (tmp_path, "slow", 60.0))]
    began = time.monotonic()
    with pytest.raises(ConfigError, match="no such thing"):
        results(jobs)
    assert time.monotonic() - began < 30 and not multiprocessing.active_children()


def test_which_errors_end_everything_is_the_callers_choice():
    with pytest.raises(TrainingError):
        attempt(fails, ("training",), (MinilmError,))
    assert attempt(fails, ("training",), FATAL) == Failed("it diverged")
    assert isinstance(attempt(fails, ("ours",), (MinilmError,)), Failed)


def test_there_are_ticks_and_closing_ends_the_processes(tmp_path, monkeypatch):
    monkeypatch.setattr(lanes, "TICK", 0.05)
    done = run_here([Job("slow", work, (tmp_path, "slow", 60.0))], 2, FATAL)
    assert next(done) is None and len(multiprocessing.active_children()) == 1  # no more than there are jobs
    began = time.monotonic()
    done.close()
    assert time.monotonic() - began < 10 and not multiprocessing.active_children()


def test_no_jobs_no_processes():
    assert results([]) == {} and not multiprocessing.active_children()


PARENT = """
import signal, sys
from stand_ins import work
from minilm.lanes import Job, run_here

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background inherit that it is ignored
    try:
        for found in run_here([Job("slow", work, (sys.argv[1], "slow", 60.0))], 1, ()):
            pass
    except KeyboardInterrupt:
        sys.exit(77)
"""


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT])
def test_a_process_whose_parent_has_ended_ends_and_ctrl_c_is_the_parents(tmp_path, ending):
    (tmp_path / "parent.py").write_text(PARENT)
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    with subprocess.Popen([sys.executable, str(tmp_path / "parent.py"), str(tmp_path)], start_new_session=True,
                          env=os.environ | {"PYTHONPATH": paths}, stderr=subprocess.PIPE) as parent:  # fmt: skip
        until = time.monotonic() + 60
        while not (marks := list(tmp_path.glob("slow.*"))) and time.monotonic() < until:
            time.sleep(0.02)
        child = int(marks[0].name.rpartition("-")[2])
        if ending == signal.SIGINT:
            os.kill(child, ending)  # which does not end it
            time.sleep(0.2)
            assert not gone(child)
        os.killpg(parent.pid, ending) if ending == signal.SIGINT else os.kill(parent.pid, ending)
        _, said = parent.communicate(timeout=30)
    assert parent.returncode == (77 if ending == signal.SIGINT else -signal.SIGKILL) and b"Traceback" not in said
    until = time.monotonic() + 10
    while not gone(child) and time.monotonic() < until:
        time.sleep(0.05)
    assert gone(child)
