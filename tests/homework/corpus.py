"""Runs the attack corpus and says, a line each, whether an attack gained a point, stopped the batch or left anything.

    python tests/homework/corpus.py [--layers uid,landlock] [--examples N] [--claims N] [NAME ...]

Each file in attacks/ is handed in as lesson 3's task L3.2, which none of them solves. After each one an honest
submission must get its points from the same zygote.
"""

import argparse
import glob
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from minilm.course import load, prove
from minilm.homework import sandbox
from minilm.homework.limits import Limits
from minilm.homework.remote import Remote
from minilm.homework.runtime import runtime_files
from minilm.homework.zygote import Zygote
from minilm.resources import PACKAGE

ATTACKS = Path(__file__).parent / "attacks"
MARK = "attack-was-here"
NAMES = ("results.json", "ledger.csv", "sitecustomize.py", "usercustomize.py", "torch.py")  # besides the mark
LIMITS = Limits(answer=0.5, load=1.0, wall=2.0, cpu=2.0, memory=192 << 20, output=4096)
NUMBER, LESSON = "L3.2", "l03"
HONEST = """
import minilm.functional as F

def scores(query, key):
    return query @ F.swapaxes(key, -1, -2) / query.shape[-1] ** 0.5
"""


@dataclass
class Result:
    """What came of one attack. kinds: how it failed each claim. trouble: what it should not have done."""

    name: str
    kinds: list[str]
    seconds: float
    trouble: list[str]

    def __str__(self) -> str:
        verdict = "; ".join(self.trouble) or "no point, batch goes on, nothing left"
        return f"{self.name:26} {self.seconds:5.1f} s  {'/'.join(self.kinds):24} {verdict}"


def names() -> list[str]:
    return sorted(path.stem for path in ATTACKS.glob("*.py"))


def run(
    zygote: Zygote, references: Zygote, chosen: list[str], *, claims: int = 1, examples: int = 3
) -> Iterator[Result]:
    bank = load(LESSON)
    ways = bank.claims_of(NUMBER)
    for name in chosen:
        before, began = traces(zygote), time.monotonic()
        source, trouble = (ATTACKS / f"{name}.py").read_bytes(), []
        kinds = []
        with attempt(zygote, references, source, bank) as remote:
            for claim in ways[:claims]:
                found = prove(claim, remote, "scores", seed=5, examples=examples, shrink=False)
                kinds.append(found.kind or "PASSED")
        trouble += [f"gained a point ({kinds})"] * ("PASSED" in kinds)
        took = time.monotonic() - began
        trouble += [f"took {took:.1f} s"] * (took > 4 + 3 * claims)
        with attempt(zygote, references, HONEST.encode(), bank, Limits()) as remote:
            found = prove(ways[0], remote, "scores", seed=5, examples=5)
            trouble += [] if found.passed else [f"an honest one failed after it: {found.kind}: {found.message}"]
        trouble += [f"left {trace}" for trace in sorted(traces(zygote) - before)]
        yield Result(name, kinds, took, trouble)


def attempt(zygote: Zygote, references: Zygote, source: bytes, bank, limits: Limits = LIMITS) -> Remote:
    return Remote(
        lambda: zygote.start(source, limits), bank.tasks, NUMBER, references=lambda: references.start(), lives=1
    )


# ---------------------------------------------------------------------------------------------------- what is left over


def traces(zygote: Zygote) -> set[str]:
    """Processes, files and kernel objects that a worker may have left."""
    return set(_processes(zygote)) | set(_files(zygote)) | set(_kernel_objects())


def _processes(zygote: Zygote) -> Iterator[str]:
    """Of the workers' users; where they have none of their own, all of this user's but this one."""
    first = sandbox.FIRST_UID + (os.getpid() % (1 << 20)) * 64
    separate = any(layer.name == "uid" and layer.active for layer in zygote.layers)
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            uid, words = folder.stat().st_uid, (folder / "cmdline").read_bytes()
            real = int((folder / "status").read_text().split("Uid:")[1].split()[0])
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
        except (OSError, IndexError):
            continue
        if state == "Z" and os.getuid():  # a zygote reaps at its next request
            continue
        theirs = first <= real < first + 64 or first <= uid < first + 64
        ours = not separate and os.getuid() and real == os.getuid() and int(folder.name) != os.getpid()
        if theirs or ours:
            yield f"process {folder.name} {words[:60]!r}"


def _files(zygote: Zygote) -> Iterator[str]:
    places = {"/tmp", "/var/tmp", "/dev/shm", "/", "/scratch", os.getcwd(), os.path.expanduser("~"), *sys.path,
              str(PACKAGE), str(PACKAGE / "homework"), os.path.dirname(os.__file__), "/work"}  # fmt: skip
    for place in places:
        try:
            found = os.listdir(place or ".")
        except OSError:
            continue
        yield from (f"file {place}/{name}" for name in found if MARK in name or name in NAMES)
    yield from (f"file {path}" for path in glob.glob(f"{zygote.folder}/scratch-*"))
    for path in (PACKAGE / "homework").glob("*.py"):
        if MARK in path.read_text("utf-8"):
            yield f"a change of {path}"


def _kernel_objects() -> Iterator[str]:
    for kind in ("shm", "msg", "sem"):
        path = Path("/proc/sysvipc") / kind
        if path.exists() and str(0x617474) in path.read_text():
            yield f"System V {kind}"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", help="comma-separated; all by default")
    parser.add_argument("--examples", type=int, default=3)
    parser.add_argument("--claims", type=int, default=9, help="how many of the task's properties; all by default")
    parser.add_argument("names", nargs="*", default=names())
    given = parser.parse_args(arguments)
    bad = 0
    layers = given.layers.split(",") if given.layers else None
    about = load(LESSON).about
    with Zygote(layers, runtime=runtime_files(about)) as zygote, Zygote(lesson=about.folder) as references:
        print("layers:", ", ".join(layer.name for layer in zygote.layers if layer.active), flush=True)
        for result in run(zygote, references, given.names, claims=given.claims, examples=given.examples):
            print(result, flush=True)
            bad += bool(result.trouble)
    print(f"{len(given.names)} attacks, {bad} with trouble")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
