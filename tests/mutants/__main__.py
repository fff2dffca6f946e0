"""Plant mistakes in the engine and the layers, and see the tests catch them: `make mutants`; `--help` lists choices.

The score is the share of planted mistakes that some test catches, without those argued to be no mistakes at all
(equivalents.toml). Exit status 0: the score is at least 98 %, and nothing went wrong.
"""

import argparse
import contextlib
import json
import random
import signal
import sys
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from by_hand import planted_by_hand
from findings import Findings, Memory, as_json, change, plain, show
from planting import ROOT, Mutant, by_machine, files
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from trials import CannotTest, judge, prepare, survey

INTERRUPTED = 130


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python tests/mutants",
        description="Plant mistakes in engine and layers, and see the tests catch them.",
    )
    parser.add_argument(
        "files", nargs="*", metavar="file", help="plant only where the path holds one of these words (ops.py, nn/, …)"
    )
    parser.add_argument(
        "--count", type=int, default=360, metavar="N",
        help="mistakes to plant, drawn by the seed: the hand-written ones (half of N at most), the rest by cosmic-ray",
    )  # fmt: skip
    parser.add_argument("--by-hand", action="store_true", help="plant every hand-written one, and no others")
    parser.add_argument("--by-machine", action="store_true", help="plant none of the hand-written ones")
    parser.add_argument("--all", action="store_true", help="plant every one there is (hours)")
    parser.add_argument("--seed", type=int, default=0, help="which ones are drawn")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="how many are tried at once")
    parser.add_argument("--resume", action="store_true", help="go on where a run of the same sources ended")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every outcome there too")
    parser.add_argument("--again", type=Path, metavar="FILE", help="plant those again that survived in this JSON file")
    chosen = parser.parse_args()
    if chosen.count < 1 or chosen.jobs < 1:
        parser.error("--count and --jobs are at least 1")
    if chosen.json is not None and not chosen.json.parent.is_dir():
        parser.error(f"--json: there is no folder {chosen.json.parent}; make it first")
    if chosen.again is not None and not chosen.again.is_file():
        parser.error(f"--again: there is no file {chosen.again}")
    return chosen


def chosen_mutants(chosen: argparse.Namespace, sources: dict[str, str]) -> list[Mutant]:
    """The mutants of this run, in an order that mixes the files."""
    by_hand = [] if chosen.by_machine else list(planted_by_hand(sources))
    rng = random.Random(chosen.seed)
    if chosen.again is not None:
        again = {m["key"] for m in json.loads(chosen.again.read_text())["mutants"] if m["kind"] == "survived"}
        return [m for m in chain(by_hand, by_machine(sources, chosen.seed)) if m.key in again]
    if chosen.by_hand:
        return by_hand
    if chosen.all:
        return [*by_hand, *by_machine(sources, chosen.seed)]
    if len(by_hand) > chosen.count // 2:
        by_hand = rng.sample(by_hand, chosen.count // 2)
    mutants = [*by_hand, *by_machine(sources, chosen.seed, chosen.count - len(by_hand))]
    rng.shuffle(mutants)
    return mutants


@contextlib.contextmanager
def progress(console: Console, total: int) -> Iterator:
    """advance(findings): a bar on a terminal, now and then a line elsewhere."""
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
    bar = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console, auto_refresh=False)
    task = bar.add_task("planted", total=total)  # no thread draws it: this process forks

    def advance(findings: Findings) -> None:
        done, survived = len(findings.outcomes), len(findings.of("survived"))
        if console.is_terminal:
            bar.update(task, completed=done, description=f"{survived} survived", refresh=True)
        elif done % 25 == 0 or done == total:
            print(f"{done} of {total}, {survived} survived", flush=True)

    with bar if console.is_terminal else contextlib.nullcontext():
        yield advance


def main() -> int:
    chosen, console, began = arguments(), Console(), time.monotonic()
    sources = {f: (ROOT / f).read_text() for f in files() if not chosen.files or any(w in f for w in chosen.files)}
    try:
        prepare()
        mutants = chosen_mutants(chosen, sources)
        memory = Memory(ROOT / "build" / "mutants", chosen.resume)
        print(f"{len(mutants)} mistakes to plant; first every test without any", flush=True)
        known = memory.clean_run(lambda: survey(chosen.jobs), chosen.resume)
        print(f"{len(known.seconds)} tests pass, in {time.monotonic() - began:.0f} s", flush=True)
    except CannotTest as problem:
        print(problem, file=sys.stderr)
        return 2
    findings = Findings([(m, memory.outcomes[m.key]) for m in mutants if m.key in memory.outcomes], chosen.all)
    findings.complete = chosen.all and not chosen.files
    rest = [m for m in mutants if m.key not in memory.outcomes]
    interrupted = False
    try:
        with (
            progress(console, len(mutants)) as advance,
            contextlib.closing(judge(rest, known, sources, chosen.jobs)) as outcomes,
        ):
            for mutant, outcome in outcomes:
                memory.keep(mutant, outcome)
                findings.outcomes.append((mutant, outcome))
                if findings.kind(mutant, outcome) == "survived":
                    plain(console, [f"survived: {mutant} ({mutant.why})", *change(mutant)])
                advance(findings)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        interrupted, findings.complete = True, False
    show(findings, console)
    print(f"{time.monotonic() - began:.0f} s")
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(as_json(findings), indent=1) + "\n")
    if interrupted:
        left = len(mutants) - len(findings.outcomes)
        print(f"interrupted with {left} still to plant: the same command with --resume goes on", file=sys.stderr)
        return INTERRUPTED
    return 0 if findings.passes() else 1


if __name__ == "__main__":
    sys.exit(main())
