"""A batch killed with kill -9 again and again, resumed each time: is its CSV that of an undisturbed one?

python tests/homework/interrupting.py OUT SUBMISSIONS LESSON [--kills N] [--jobs N] [--seed N]
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path


def command(out: Path, submissions: Path, lesson: str, jobs: int) -> list[str]:
    return [sys.executable, "-m", "minilm", "grade", str(submissions), "--lesson", lesson, "--out", str(out), "--jobs",
            str(jobs), "--resume"]  # fmt: skip


def whole(out: Path, submissions: Path, lesson: str, jobs: int) -> float:
    """An undisturbed run; its seconds."""
    began = time.monotonic()
    subprocess.run(command(out, submissions, lesson, jobs), check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def disturbed(out: Path, submissions: Path, lesson: str, jobs: int, kills: int, longest: float, seed: int = 0) -> int:
    """Kill it at random moments, beginning anew where it was done; how many were killed at work."""
    rng, killed = random.Random(seed), 0
    for _ in range(kills):
        with subprocess.Popen(command(out, submissions, lesson, jobs), stdout=subprocess.DEVNULL) as process:
            try:
                process.wait(rng.uniform(0.1, longest))
                shutil.rmtree(out)
            except subprocess.TimeoutExpired:
                os.kill(process.pid, signal.SIGKILL)
                killed += 1
    whole(out, submissions, lesson, jobs)
    return killed


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("submissions", type=Path)
    parser.add_argument("lesson")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    seconds = whole(given.out / "whole", given.submissions, given.lesson, given.jobs)
    killed = disturbed(
        given.out / "killed", given.submissions, given.lesson, given.jobs, given.kills, seconds, given.seed
    )
    same = [(given.out / name / "grades.csv").read_bytes() for name in ("whole", "killed")]
    print(f"{killed} of {given.kills} killed at work; an undisturbed run takes {seconds:.0f} s;",
          "the same CSV" if same[0] == same[1] else "ANOTHER CSV")  # fmt: skip
    return int(same[0] != same[1])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
