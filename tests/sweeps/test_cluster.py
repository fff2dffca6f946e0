"""Jobs, and a sweep, by the workers of a Dask cluster: the same results, and what happens when one of them dies."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest
import stand_ins
from small_sweep import in_process, run, small, tables
from stand_ins import begun, ends, fails, work

import minilm
from minilm.cluster import run_on_cluster
from minilm.errors import ConfigError
from minilm.lanes import Failed, Job
from minilm.sweeps import rows, training
from minilm.sweeps import sweep as sweeps
from minilm.sweeps.config import Data, Sizes
from minilm.sweeps.sweep import Running
from minilm.sweeps.worker import train_on_worker

FATAL = (ConfigError,)


@pytest.fixture(scope="module")
def cluster():
    """One worker, in this process."""
    from distributed import LocalCluster

    how = {"processes": False, "threads_per_worker": 1, "dashboard_address": ":0"}
    with LocalCluster(1, **how) as made:
        yield made.scheduler_address


def results(jobs, scheduler):
    return {found[0].name: found[1] for found in run_on_cluster(jobs, scheduler, FATAL) if found is not None}


def test_jobs_are_begun_in_their_order_and_fail_as_here(cluster, tmp_path):
    jobs = [Job(name, work, (tmp_path, name, 0.02)) for name in "cab"]
    jobs += [Job(kind, fails, (kind,)) for kind in ("training", "ours")]
    found = results(jobs, cluster)
    assert {name: found[name] for name in "abc"} == {name: name for name in "abc"}
    assert [path.name[0] for path in sorted(tmp_path.iterdir(), key=lambda path: path.name.split(".")[1])] == [*"cab"]
    assert found["training"] == Failed("it diverged") and found["ours"].why.startswith("LookupError: a fault of ours")


def test_what_all_would_meet_ends_everything(cluster, tmp_path):
    jobs = [Job("config", fails, ("config",)), *(Job(str(i), work, (tmp_path, str(i), 0.2)) for i in range(20))]
    with pytest.raises(ConfigError, match="no such thing"):
        results(jobs, cluster)
    assert len(list(tmp_path.iterdir())) < 10


def test_there_are_ticks(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr("minilm.cluster.TICK", 0.01)
    assert None in list(run_on_cluster([Job("a", work, (tmp_path, "a", 0.2))], cluster, FATAL))


def test_a_sweep_is_that_of_one_process(cluster, tmp_path, monkeypatch):
    """Its results lie in its folder as if they had been trained there, and a worker tells sweeps of one name apart."""
    monkeypatch.setattr(rows, "ROWS", 64)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    sweep = small().with_seeds(1)
    with in_process() as begun_here:
        run(sweep, tmp_path / "here")
        running = run(sweep, tmp_path / "there", scheduler=cluster)
        assert tables(tmp_path / "here") == tables(tmp_path / "there") and running.share_done() == 1
        begun_here.clear()
        run(sweep, tmp_path / "there", resume=True)
        assert begun_here == []
    other = run(small(world=1).with_seeds(1), tmp_path / "other", scheduler=cluster)
    assert {row["run"] for row in other.rows} == {row["run"] for row in running.rows}
    assert {row["loss"] for row in other.rows}.isdisjoint(row["loss"] for row in running.rows)


def test_a_worker_with_another_minilm_or_another_text_is_refused(cluster, tmp_path):
    point = Running(small(), tmp_path).plan[0].point
    with pytest.raises(ConfigError, match="this worker has minilm"):
        results([Job("a", train_on_worker, (point, "0.0.0", None))], cluster)
    (tmp_path / "mine.txt").write_text("the cat sat on the mat. " * 60)
    running = Running(small(data=str(tmp_path / "mine.txt")), tmp_path)
    training._SOURCES.clear()
    (tmp_path / "mine.txt").write_text("quite another text. " * 90)
    with pytest.raises(ConfigError, match=r"mine\.txt is another one on this worker"):
        results([Job("a", train_on_worker, (running.plan[0].point, minilm.__version__, running.text))], cluster)


def longer():
    """Trainings of a second or two."""
    made = small()
    return dataclasses.replace(made, families=(Sizes((4, 6), 40_000), Data(6, (20_000, 40_000))))


@pytest.mark.slow
def test_a_worker_killed_mid_run_costs_its_unfinished_runs_alone(tmp_path, monkeypatch):
    from distributed import LocalCluster

    marks = tmp_path / "marks"
    marks.mkdir()
    monkeypatch.setenv("MARKS", str(marks))
    run(longer(), tmp_path / "here", jobs=1)
    monkeypatch.setattr(sweeps, "train_on_worker", stand_ins.counted_training)
    killed = []

    def look(running, sentence):
        unfinished = [path for path in marks.iterdir() if path.name.rpartition(".")[0] not in running.results]
        if not killed and len(running.results) >= 2 and unfinished:
            latest = max(unfinished, key=lambda path: path.stat().st_mtime_ns)
            killed.append(latest.name.rpartition(".")[0])
            os.kill(int(latest.name.rpartition("-")[2]), signal.SIGKILL)

    with LocalCluster(2, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster:
        running = Running(longer(), tmp_path / "there", look)
        with running.taken(resume=False):
            running.run(2, cluster.scheduler_address)
    assert tables(tmp_path / "here") == tables(tmp_path / "there") and not running.failed
    counts = Counter(path.name.rpartition(".")[0] for path in marks.iterdir())
    assert counts == {one.point.name: 1 + (one.point.name in killed) for one in running.plan} and killed


@pytest.mark.slow
def test_a_job_that_ends_every_worker_is_told_and_the_others_are_done(tmp_path):
    from distributed import LocalCluster

    jobs = [Job("always", ends, (tmp_path, "always", 99)), *(Job(name, work, (tmp_path, name)) for name in "abc")]
    with LocalCluster(2, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster:
        found = results(jobs, cluster.scheduler_address)
    assert found == {"always": found["always"], "a": "a", "b": "b", "c": "c"}
    assert isinstance(found["always"], Failed) and "ended, one after another" in found["always"].why
    assert begun(tmp_path, "always") == 4


@pytest.mark.slow
def test_a_scheduler_that_is_gone_is_one_sentence(tmp_path):
    """Told soon, with nothing else on the screen."""
    address, quiet = "tcp://127.0.0.1:18787", {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    scheduler = subprocess.Popen([sys.executable, "-m", "distributed.cli.dask_scheduler", "--port", "18787",
                                  "--no-dashboard"], **quiet)  # fmt: skip
    worker = subprocess.Popen([sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1",
                               "--no-dashboard", "--local-directory", str(tmp_path)], **quiet)  # fmt: skip
    try:
        done = run_on_cluster([Job(str(i), time.sleep, (0.2,)) for i in range(100)], address, FATAL)
        next(found for found in done if found is not None)
        scheduler.kill()
        began = time.monotonic()
        with pytest.raises(ConfigError, match="is gone; what is done is kept"):
            list(done)
        assert time.monotonic() - began < 30
    finally:
        for process in (scheduler, worker):
            process.kill()
            process.wait()
