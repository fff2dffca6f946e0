"""minilm beside other libraries, in one run: `python tests/benchmarks`, or `make bench`; --help lists the choices."""

import argparse
import sys
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from environment import load, machine, run_again_if_unclean


def main() -> int:
    """Print the table; 1 if the engines of some row disagree, since its times then mean nothing; 130 if interrupted."""
    run_again_if_unclean()
    import keeping
    from report import show

    chosen, rows = choices()
    facts = machine()
    try:
        kept = keeping.read(chosen.json, facts) if chosen.resume else {}
    except keeping.OtherMachine as error:
        print(f"--resume: {chosen.json} has results of another machine or version: {error}", file=sys.stderr)
        return 2

    def keep(results: list[Any]) -> None:
        if chosen.json is not None:
            keeping.write(chosen.json, facts, results)

    results, interrupted = measured(rows, kept, keep)
    show(facts | {"load": load()}, results)
    publish(chosen, facts, results)
    if interrupted:
        how = "the same command with --resume goes on" if chosen.json else "--json FILE would have kept them"
        print(f"interrupted; there are results of {len(results)} rows; {how}", file=sys.stderr)
        return 130
    return 1 if any(result.problem for result in results) else 0


def choices() -> tuple[argparse.Namespace, list[Any]]:
    """What the command line asks for, and the rows to measure."""
    from rows import ROWS

    names = [row.name for row in ROWS]
    parser = argparse.ArgumentParser("python tests/benchmarks", description="Time minilm beside other libraries.")
    parser.add_argument(
        "rows", nargs="*", metavar="row", help=f"which, all if none; 'bert-*' is many: {', '.join(names)}"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round's seconds there, after each row")
    parser.add_argument("--resume", action="store_true", help="keep and show what the JSON file has, and go on")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the results, a PNG")
    parser.add_argument("--readme", action="store_true", help="put table and picture into the README and docs/")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds to time instead of each row's own number")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, without torch.compile, JAX and autograd")
    chosen = parser.parse_args()
    for pattern in chosen.rows:
        if not any(fnmatchcase(name, pattern) for name in names):
            parser.error(f"row {pattern!r} is unknown; there are {', '.join(names)}")
    if chosen.rounds is not None and chosen.rounds < 2:
        parser.error(f"--rounds is {chosen.rounds}; a spread needs at least 2")
    for option, path in (("--json", chosen.json), ("--plot", chosen.plot)):
        if path is not None and not path.parent.is_dir():
            parser.error(f"{option}: there is no folder {path.parent}; make it first")
    if chosen.resume and chosen.json is None:
        parser.error("--resume goes on with what --json FILE has; name the file")
    rows = [row for row in ROWS if not chosen.rows or any(fnmatchcase(row.name, pattern) for pattern in chosen.rows)]
    rows = [row.quick() for row in rows] if chosen.quick else rows
    if chosen.rounds is not None:
        rows = [replace(row, rounds=chosen.rounds, least=chosen.rounds) for row in rows]
    return chosen, rows


def publish(chosen: argparse.Namespace, facts: dict[str, str], results: list[Any]) -> None:
    """Draw the results and put them into the README, where that was asked for."""
    import keeping
    import readme
    from picture import draw

    if chosen.plot is not None:
        draw(chosen.plot, results)
    if chosen.readme:
        sound = [result for result in results if not result.problem]
        keeping.write(readme.NUMBERS, facts, sound)
        draw(readme.PICTURE, sound)
        readme.put(facts, sound)


def measured(rows: list[Any], kept: dict[str, Any], keep: Any) -> tuple[list[Any], bool]:
    """What is kept and what is measured now, in the table's order; and whether it was interrupted.

    A row that is kept is measured again only if it was planned otherwise, or went wrong. keep: is called after each row
    with what there is.
    """
    from alternation import plan, run
    from rows import ROWS

    found = dict(kept)

    def in_order() -> list[Any]:
        return [found[row.name] for row in ROWS if row.name in found]

    try:
        for i, row in enumerate(rows):
            say = Progress(f"[{i + 1}/{len(rows)}] {row.name}")
            if row.name in kept and kept[row.name].plan == plan(row) and not kept[row.name].problem:
                say.end("kept")
                continue
            result = found[row.name] = run(row, say)
            keep(in_order())
            say.end(f"{result.took:.0f} s" if result.skipped is None else "skipped")
    except KeyboardInterrupt:
        return in_order(), True
    return in_order(), False


class Progress:
    """What happens now, on the standard error: a line that changes, or, in a file, one at the end of each row."""

    def __init__(self, name: str):
        self.name, self.changes = name, sys.stderr.isatty()

    def __call__(self, stage: str) -> None:
        if self.changes:
            print(f"\r\x1b[K{self.name}: {stage} …", end="", file=sys.stderr, flush=True)

    def end(self, stage: str) -> None:
        """The last of the row."""
        print("\r\x1b[K" * self.changes + f"{self.name}: {stage}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
