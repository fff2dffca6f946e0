"""What the trials found: kept as they come in, so that an interrupted run goes on; a table; JSON; the score."""

import hashlib
import json
import platform
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from equivalents import EQUIVALENT, Equivalent
from planting import ROOT, Mutant
from rich.console import Console
from rich.table import Table
from trials import Map, Outcome, test_files

WANTED = 0.98
COLUMNS = ("file", "planted", "killed", "timed out", "survived", "equivalent", "score")


@dataclass
class Findings:
    """All outcomes of a run. complete: whether every possible mutant was planted, so that idle entries show."""

    outcomes: list[tuple[Mutant, Outcome]] = field(default_factory=list)
    complete: bool = False

    def of(self, kind: str, file: str | None = None) -> list[tuple[Mutant, Outcome]]:
        """Those of a kind; "survived" are the real ones, "equivalent" those that were argued to be."""
        return [(m, o) for m, o in self.outcomes if self.kind(m, o) == kind and file in (None, m.file)]

    @staticmethod
    def kind(mutant: Mutant, outcome: Outcome) -> str:
        argued = outcome.kind in ("survived", "timed out") and reason(mutant) is not None
        return "equivalent" if argued else outcome.kind

    def row(self, file: str | None = None) -> tuple[int, int, int, int, int, float]:
        """planted (what could not be imported is not), killed, timed out, survived, equivalent, score."""
        killed, late, survived, same = (
            len(self.of(kind, file)) for kind in ("killed", "timed out", "survived", "equivalent")
        )
        planted = killed + late + survived + same
        return planted, killed, late, survived, same, (killed + late) / max(1, planted - same)

    def problems(self) -> list[str]:
        """What makes the score mean nothing: failed trials, and entries of the table of equivalents that are wrong."""
        found = [f"{m}: {o.detail} ({m.why})" for m, o in self.of("error")]
        found += [
            f"{m}: called equivalent, but {o.test} kills it ({o.detail}); remove it from equivalents.toml: {m.after!r}"
            for m, o in self.of("killed")
            if reason(m) is not None
        ]
        if self.complete:
            used = {id(reason(m)) for m, _ in self.outcomes}
            found += [
                f"equivalents.toml: nothing is planted as {e.after!r} for {e.before!r} in {e.file} any more: update it"
                for e in EQUIVALENT
                if id(e) not in used
            ]
        return found

    def passes(self) -> bool:
        return self.row()[-1] >= WANTED and not self.problems()


def reason(mutant: Mutant) -> Equivalent | None:
    """The entry that argues a mutant equivalent."""
    return _REASONS.get((mutant.file, mutant.before, mutant.after))


_REASONS = {(e.file, e.before, e.after): e for e in EQUIVALENT}


# ----------------------------------------------------------------------------------------------------------- printing


def show(findings: Findings, console: Console) -> None:
    """The table by file, every survivor, every equivalent with its reason, and what is wrong."""
    rows = [(file, findings.row(file)) for file in sorted({m.file for m, _ in findings.outcomes})]
    rows = [*rows, ("all", findings.row())]
    if console.is_terminal:
        table = Table(*COLUMNS)
        for file, row in rows:
            table.add_row(*_cells(file, row), end_section=file == rows[-2][0] if len(rows) > 1 else False)
        console.print(table)
    else:
        lines = [COLUMNS, *[_cells(file, row) for file, row in rows]]
        widths = [max(len(line[i]) for line in lines) for i in range(len(COLUMNS))]
        for line in lines:
            print("  ".join(f"{cell:{w}}" for cell, w in zip(line, widths, strict=True)).rstrip())
    plain(console, _details(findings))


def plain(console: Console, lines: Iterable[str]) -> None:
    """Lines as they are: source is no markup, and is not wrapped."""
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _cells(file: str, row: tuple) -> tuple[str, ...]:
    *counts, score = row
    return (file, *map(str, counts), f"{score:.1%}")


def _details(findings: Findings) -> list[str]:
    lines = []
    for mutant, outcome in findings.of("survived"):
        lines += [f"\nSURVIVED {mutant} ({mutant.why}; {outcome.tests or 'no'} tests run this line)", *change(mutant)]
    for mutant, _ in findings.of("equivalent"):
        found = reason(mutant)
        lines += [f"\nequivalent {mutant}: {found.reason if found else ''}", *change(mutant)]
    broken = len(findings.of("unimportable"))
    lines += ["", f"{broken} more could not be imported; they count for nothing."] if broken else [""]
    lines += [f"PROBLEM {problem}" for problem in findings.problems()]
    planted, killed, late, survived, same, score = findings.row()
    verdict = "passes" if findings.passes() else "does NOT pass"
    lines.append(
        f"score {score:.2%} of {planted - same} planted mistakes ({killed} killed, {late} timed out, {survived} "
        f"survived; {same} more are equivalent): {verdict}; wanted {WANTED:.0%}"
    )
    return lines


def change(mutant: Mutant) -> list[str]:
    """The source as it is and as it was planted."""
    return [
        *[f"  - {line}" for line in mutant.before.split("\n") if line],
        *[f"  + {line}" for line in mutant.after.split("\n") if line],
    ]


def as_json(findings: Findings) -> dict[str, Any]:
    """Everything: the rows of the table, and each mutant with its outcome."""
    files = sorted({m.file for m, _ in findings.outcomes})
    names = ("planted", "killed", "timed_out", "survived", "equivalent", "score")
    found = []
    for m, o in findings.outcomes:
        entry = reason(m)
        about = {"file": m.file, "line": m.line, "before": m.before, "after": m.after, "why": m.why, "key": m.key}
        outcome = {**asdict(o), "kind": findings.kind(m, o)}
        found.append({**about, **outcome, "reason": entry.reason if entry else None})
    table = {file: dict(zip(names, findings.row(file), strict=True)) for file in files}
    return {
        "score": findings.row()[-1],
        "all": dict(zip(names, findings.row(), strict=True)),
        "files": table,
        "problems": findings.problems(),
        "mutants": found,
    }


# ----------------------------------------------------------------------------------------- between one run and the next


class Memory:
    """The clean run and the outcomes found so far, in a folder; nothing of another state of the sources is used."""

    def __init__(self, folder: Path, resume: bool):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.state = folder, state_of_the_sources()
        self.file = folder / "outcomes.jsonl"
        self.outcomes: dict[str, Outcome] = {}
        if resume and self.file.exists():
            for line in self.file.read_text().splitlines():
                found = json.loads(line)
                if found["state"] == self.state:
                    self.outcomes[found["key"]] = Outcome(**found["outcome"])
        elif not resume:
            self.file.unlink(missing_ok=True)

    def keep(self, mutant: Mutant, outcome: Outcome) -> None:
        with self.file.open("a") as file:
            file.write(json.dumps({"state": self.state, "key": mutant.key, "outcome": asdict(outcome)}) + "\n")

    def clean_run(self, make: Callable[[], Map], resume: bool) -> Map:
        """The one of these sources if there is one, else a new one."""
        file = self.folder / "clean.json"
        if resume and file.exists() and (found := json.loads(file.read_text()))["state"] == self.state:
            lines = {name: {int(n): t for n, t in of.items()} for name, of in found["lines"].items()}
            return Map(found["seconds"], lines)
        known = make()
        file.write_text(json.dumps({"state": self.state, **asdict(known)}))
        return known


def state_of_the_sources() -> str:
    """A digest of what outcomes depend on: the library, the tests, and the versions that run them."""
    digest = hashlib.sha256(f"{platform.python_version()} {np.__version__}".encode())
    shared = [p for place in {t.parent for t in test_files()} for p in place.glob("*.py")]
    for path in sorted({*ROOT.glob("minilm/**/*.py"), *shared, ROOT / "tests/conftest.py"}):
        digest.update(path.read_bytes())
    return digest.hexdigest()
