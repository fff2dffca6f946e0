"""minilm beside other libraries, in one run: `python tests/benchmarks`, or `make bench`; --help lists the choices."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from environment import machine, run_again_if_unclean


def main() -> int:
    """Print the table; 1 if the engines of some row disagree, since its times then mean nothing."""
    run_again_if_unclean()
    from alternation import run
    from report import show, write_json
    from rows import ROWS

    names = [row.name for row in ROWS]
    parser = argparse.ArgumentParser("python tests/benchmarks", description="Time minilm beside other libraries.")
    parser.add_argument("rows", nargs="*", metavar="row", help=f"which to time, all if none: {', '.join(names)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round's seconds there too")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds to time instead of each row's own number")
    chosen = parser.parse_args()
    if unknown := [name for name in chosen.rows if name not in names]:
        parser.error(f"row {unknown[0]!r} is unknown; there are {', '.join(names)}")
    if chosen.rounds is not None and chosen.rounds < 2:
        parser.error(f"--rounds is {chosen.rounds}; a spread needs at least 2")
    if chosen.json is not None and not chosen.json.parent.is_dir():
        parser.error(f"--json: there is no folder {chosen.json.parent}; make it first")

    results = []
    for row in ROWS:
        if not chosen.rows or row.name in chosen.rows:
            print(f"{row.name} …", file=sys.stderr, flush=True)
            if chosen.rounds is not None:
                row = replace(row, rounds=chosen.rounds, least=chosen.rounds)
            results.append(run(row))
    facts = machine()
    show(facts, results)
    if chosen.json is not None:
        write_json(chosen.json, facts, results)
    return 1 if any(result.problem for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
