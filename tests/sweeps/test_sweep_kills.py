"""kill -9 at random moments, of a sweep and of its processes: the tables are an undisturbed one's, to the bit."""

import os
import random
import shutil
import signal
import subprocess
import time

import psutil
import pytest
from small_sweep import command, tables, toml

from minilm.sweeps.training import RESULT

KILLS, SEED = 20, 0


def processes_of(parent):
    """Those that train; a helper of Python's that counts shared memory is none."""
    with_jobs = []
    for child in parent.children():
        try:
            if "spawn_main" in " ".join(child.cmdline()):
                with_jobs.append(child)
        except psutil.Error:
            continue
    return with_jobs


def finished(out):
    return {path.parent.name: path.stat().st_mtime_ns for path in out.rglob(RESULT)}


@pytest.mark.slow
def test_twenty_kills_change_nothing_and_no_finished_training_is_repeated(tmp_path):
    """Now and then one of its processes, which the sweep survives, and in the end the sweep itself."""
    config, whole, out = toml(tmp_path, 40_000, 20_000), tmp_path / "whole", tmp_path / "out"
    began = time.monotonic()
    subprocess.run(command(config, whole, "--jobs", 2), check=True, stdout=subprocess.DEVNULL)
    seconds, rng = min(40.0, time.monotonic() - began), random.Random(SEED)
    kills, wholes, done = {"sweep": 0, "process": 0}, 0, {}
    while sum(kills.values()) < KILLS:
        call = command(config, out, "--jobs", rng.choice([1, 2]), "--resume")
        with subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
            moments = [rng.uniform(0.05, 0.8) * seconds / 2 for _ in range(2)]
            time.sleep(moments[0])
            if rng.random() < 0.5 and process.poll() is None:
                for victim in processes_of(psutil.Process(process.pid))[:1]:
                    victim.kill()
                    kills["process"] += 1
            try:
                _, said = process.communicate(timeout=moments[1])
                assert process.returncode == 0, said
                assert tables(out) == tables(whole)
                wholes += 1
            except subprocess.TimeoutExpired:
                os.kill(process.pid, signal.SIGKILL)
                kills["sweep"] += 1
        now = finished(out)
        assert now | done == now, "a finished training was repeated"
        done = now
        if process.returncode == 0:
            shutil.rmtree(out)
            done = {}
    subprocess.run(command(config, out, "--resume"), check=True, stdout=subprocess.DEVNULL)
    assert finished(out) | done == finished(out)
    assert tables(out) == tables(whole) and not list(out.rglob("*.tmp")) and not (out / "rows").exists()
    print(f"{kills}; {wholes} whole sweeps in between; an undisturbed one takes {seconds:.0f} s")
    assert kills["sweep"] >= 8 and kills["process"] >= 3
