"""`python -m minilm.homework.diagnosis [l03 …]`: how good the doctor is, lesson by lesson."""

import argparse
from collections.abc import Iterator, Sequence

from minilm.course.banks import Bank, find_lesson, find_lessons, load
from minilm.homework.diagnosis.measuring import Seen, of_mutants, of_rewritten, of_right_answers, of_wrong
from minilm.i18n import tr

PROGRAMS = 2  # random wrong programs of each task


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints a row for each lesson and whatever is not as it should be; 0 if all is."""
    parser = argparse.ArgumentParser(prog="python -m minilm.homework.diagnosis", description=tr(
        "Try the gradient doctor on every known mistake, on right answers, and on random wrong programs."))  # fmt: skip
    parser.add_argument("lessons", nargs="*", help=tr("which lessons, as l03; all without"))
    parser.add_argument("--seed", type=int, default=0, help=tr("of the questions that the doctor asks"))
    given = parser.parse_args(arguments)
    lessons = [find_lesson(name) for name in given.lessons] or find_lessons()
    heads = (tr("lesson"), tr("mistakes named"), tr("right: false"), tr("rewritten: false"), tr("random: false"))
    print("{:<8}{:>18}{:>18}{:>20}{:>18}".format(*heads))
    total = [0] * 8
    for about in lessons:
        counts = _lesson(load(about), given.seed, about.number)
        total = [a + b for a, b in zip(total, counts, strict=True)]
        _row(about.short, counts)
    _row(tr("all"), total)
    return 0 if total[0] >= 0.9 * total[1] and not total[2] and not total[4] and not total[6] else 1


def _lesson(bank: Bank, seed: int, number: int) -> list[int]:
    counts = [0] * 8
    for k, task in enumerate(bank.tasks.values()):
        first = PROGRAMS * (8 * number + k)
        tries: list[Iterator[Seen]] = [
            of_mutants(bank, task, seed),
            of_right_answers(bank, task, seed),
            of_rewritten(bank, task, seed),
            of_wrong(bank, task, range(first, first + PROGRAMS), seed),
        ]
        for place, seen in ((2 * i, seen) for i, made in enumerate(tries) for seen in made):
            bad = not seen.named if seen.wanted else seen.diagnosis.known
            counts[place] += (not bad) if seen.wanted else bad
            counts[place + 1] += 1
            if bad:
                print(f"  {seen.number} {seen.what}: {seen.diagnosis.line}", flush=True)
    return counts


def _row(name: str, counts: Sequence[int]) -> None:
    shown = [tr("{k} of {n}", k=k, n=n) for k, n in zip(counts[::2], counts[1::2], strict=True)]
    print(f"{name:<8}{shown[0]:>18}{shown[1]:>18}{shown[2]:>20}{shown[3]:>18}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
