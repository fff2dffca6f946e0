"""The README's figures: a table of what a run found, beside its picture and all of its numbers in docs/."""

import re
from pathlib import Path

from alternation import BASE, Result
from report import growth, notes
from rows import ATTENTION, PRODUCTS

ROOT = Path(__file__).parent.parent.parent
README, NUMBERS, PICTURE = ROOT / "README.md", ROOT / "docs" / "speed.json", ROOT / "docs" / "speed.png"
BEGIN, END = "<!-- speed: begin (make bench BENCH=--readme) -->", "<!-- speed: end -->"
RIVALS = {
    BASE: "PyTorch eager",
    "torch, explicit attention": "explicit attention",
    "torch, fused AdamW": "fused AdamW",
    "torch.compile": "torch.compile",
    "jax": "JAX jit",
    "autograd": "autograd",
}


def put(machine: dict[str, str], results: list[Result]) -> None:
    """Write the table into the README, between its two marks."""
    pattern = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    text = README.read_text(encoding="utf-8")
    README.write_text(pattern.sub(lambda _: section(machine, results), text), encoding="utf-8")


def section(machine: dict[str, str], results: list[Result]) -> str:
    """What stands between the marks, and the marks."""
    shown = [r for r in results if {"minilm", BASE} <= r.seconds.keys() and not r.problem]
    head = ["", "tokens/s", *RIVALS.values(), "memory", "step ÷ products"]
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *[_line(result) for result in shown]]
    table = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
    said = [f"`{r.name}`: {growth(r)}." for r in results if r.grows]
    said += [
        f"`{r.name}`: {note}." for r in shown if ATTENTION.name in r.positions for note in notes(r) if "token" in note
    ]
    facts = f"Measured on {machine['processor']}; NumPy {machine['numpy']}; PyTorch {machine['torch']}."
    return "\n\n".join([BEGIN, table, facts, "  \n".join(said), END]).replace("\n\n\n\n", "\n\n")


def _line(result: Result) -> list[str]:
    """minilm's tokens a second, how many times as many as each other engine's, and what else is claimed."""
    cells = [f"`{result.name}`", f"{result.tokens_per_second('minilm'):,.0f}"]
    cells += [f"{result.ratio('minilm', e)[1]:.2f}" if e in result.seconds else "" for e in RIVALS]
    cells.append(f"{result.memory['minilm'][0] / result.memory[BASE][0]:.2f}")
    floor = result.ratio(PRODUCTS.name, "minilm")[1] if PRODUCTS.name in result.seconds else None
    return [*cells, "" if floor is None else f"{floor:.2f}"]
