"""How long a large class takes: submissions of a lesson made from its bank and from the attack corpus, and graded.

    python tests/homework/many.py l03 OUT [--n 500] [--jobs 2] [--only-make]

A tenth is hostile or endless: the corpus in turn, and the lesson's own file with a task that never ends, or all of
them. Of the others a third is right, the rest has a mistake or two from the bank.
"""

import argparse
import random
import sys
import time
from pathlib import Path

from submissions import answer, reference  # beside this file

from minilm.course import load
from minilm.course.banks import Bank

ATTACKS = sorted((Path(__file__).parent / "attacks").glob("*.py"))


def endless(bank: Bank, names: list[str]) -> str:
    return reference(bank.about.folder) + "".join(f"\ndef {name}(*_):\n    while True: pass\n" for name in names)


def make(bank: Bank, folder: Path, n: int, seed: int = 0) -> None:
    """Write n submissions."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(seed)
    names = [task.name for task in bank.tasks.values() if not task.worked]
    for i in range(n):
        if i % 10 == 9:
            attack = ATTACKS[i // 10 % len(ATTACKS)].read_text("utf-8", "surrogateescape")
            one, every = endless(bank, [rng.choice(names)]), endless(bank, names)
            source = (attack, one, attack, every)[i // 10 % 4]
        elif i % 3 == 0:
            source = reference(bank.about.folder)
        else:
            source = answer(bank.about.folder, rng.choice(bank.mutants))
        text = f"# handed in by {i}\n{source}" if not source.startswith("# -*-") else source
        (folder / f"student{i:03d}.py").write_text(text, "utf-8", "surrogateescape")


def main(arguments: list[str]) -> int:
    from minilm.homework.batch import Order, run

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lesson")
    parser.add_argument("out", type=Path)
    parser.add_argument("--n", type=int, default=500)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only-make", action="store_true")
    given = parser.parse_args(arguments)
    bank = load(given.lesson)
    make(bank, given.out / "submissions", given.n)
    if given.only_make:
        return 0
    began = time.monotonic()
    order = Order(given.out / "graded", given.out / "submissions", given.lesson, jobs=given.jobs, resume=True)
    outcome = run(order)
    seconds = time.monotonic() - began
    slowest = sorted(outcome.seconds.items(), key=lambda pair: -pair[1])[:5]
    print(f"{outcome.graded} submissions of {given.lesson} in {seconds:.0f} s by {given.jobs} processes")
    print("slowest:", ", ".join(f"{student} {took:.1f} s" for student, took in slowest))
    print("lost:", outcome.lost, "problems:", outcome.problems)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
