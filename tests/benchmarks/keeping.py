"""Results as a JSON file, which is written anew after each row, so that a run that was interrupted can go on."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from alternation import BASE, Result

from minilm.training.durable import replace_file


class OtherMachine(Exception):
    """The file has results of another machine or of other versions; the message says what differs."""


def write(path: Path, machine: dict[str, str], results: list[Result]) -> None:
    """Everything, each round's seconds too; all or nothing."""
    found = {"machine": machine, "rows": [_row(result) for result in results]}
    replace_file(path, (json.dumps(found, indent=1) + "\n").encode())


def _row(result: Result) -> dict[str, Any]:
    """A result, and what a reader would compute from it."""
    engines = {}
    for engine in result.seconds:
        engines[engine] = {"milliseconds": result.milliseconds(engine)}
        if result.tokens:
            engines[engine]["tokens_per_second"] = result.tokens_per_second(engine)
        if BASE in result.seconds:
            names = ("lower_quartile", "median", "upper_quartile")
            engines[engine]["times_torch"] = dict(zip(names, result.ratio(engine), strict=True))
    return {**dataclasses.asdict(result), "engines": engines}


def read(path: Path, machine: dict[str, str]) -> dict[str, Result]:
    """The rows of a file by name, none if there is no file. Raises OtherMachine."""
    if not path.exists():
        return {}
    kept = json.loads(path.read_text(encoding="utf-8"))
    for name in machine.keys() | kept["machine"].keys():
        if machine.get(name) != kept["machine"].get(name):
            raise OtherMachine(f"{name} was {kept['machine'].get(name)}, is {machine.get(name)}")
    fields = [field.name for field in dataclasses.fields(Result)]
    return {row["name"]: Result(**{name: row[name] for name in fields if name in row}) for row in kept["rows"]}
