"""Puts the numbers of a training on several machines into docs/beyond_one_machine.md, after a new docs/speed.json."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minilm.cli.scaling import TOKENS_A_PARAMETER, plan_columns, plan_row
from minilm.models.sizes import PUBLISHED, count_parameters
from minilm.scaling import plan as p

ROOT = Path(__file__).parent.parent
PAGE, SPEED = ROOT / "docs" / "beyond_one_machine.md", ROOT / "docs" / "speed.json"
BEGIN, END = "<!-- plan: begin (python docs/make_plan.py) -->", "<!-- plan: end -->"
MACHINES, NETWORKS = (1, 8, 64), (1, 10)  # Gbit/s


def numbers(speed: Mapping[str, Any]) -> str:
    """The part of the page that holds numbers, as Markdown."""
    shape, one = PUBLISHED["gpt2"].shape, p.measured(speed)
    N = count_parameters(shape)
    tokens, flops = TOKENS_A_PARAMETER * N, p.training_products(shape, shape.context)
    plans = {
        gigabits: [p.plan(shape, one, n, tokens, network=p.Network(gigabits * 1e9 / 8)) for n in MACHINES]
        for gigabits in NETWORKS
    }
    first, last = plans[NETWORKS[0]][0], plans[NETWORKS[0]][-1]
    slow, fast = (1 / share for share in one.spread)
    matrices = (flops - 12 * shape.layers * shape.context * shape.width) // 6
    lines = [
        f"Measured on {one.machine}: {one.flops_per_second / 1e9:.0f} billion FLOPs a second in the matrix products of "
        f"a training, on {one.threads} threads; the rounds of that row took from {fast:.0%} to {slow:.0%} of the "
        "median.",
        "",
        f"GPT-2 small has {N:,} parameters and costs {flops / 1e6:.0f} million FLOPs a token to train at a context of "
        f"{shape.context:,}: 6 for each of {matrices:,} entries of matrices, and attention. "
        f"{TOKENS_A_PARAMETER} tokens a parameter are {tokens / 1e9:.2f} billion tokens, {first.steps:,} steps of "
        f"{p.BATCH_TOKENS:,}.",
    ]
    columns = plan_columns()
    for gigabits, found in plans.items():
        lines += ["", f"With {gigabits} Gbit/s between the machines:", "", f"| {' | '.join(columns)} |"]
        lines += [f"|{' ---: |' * len(columns)}", *(f"| {' | '.join(plan_row(each))} |" for each in found)]
    share = last.all_reduce_seconds / (last.all_reduce_seconds + last.compute_seconds)
    sent, least = last.all_reduce_bytes / 1e9, first.memory_bytes / 2**30
    lines += [
        "",
        f"So one machine needs {first.days:.0f} days, {MACHINES[-1]} machines {last.days:.1f}. With {NETWORKS[0]} "
        f"Gbit/s the all-reduce, {sent:.2f} GB that each machine sends in a step, takes {share:.0%} of it there; with "
        f"{NETWORKS[1]} Gbit/s it hardly counts. A machine needs {least:.1f} GiB.",
    ]
    return "\n".join(lines)


def renewed(page: str, speed: Mapping[str, Any]) -> str:
    """The page with these numbers."""
    pattern = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    return pattern.sub(lambda _: f"{BEGIN}\n\n{numbers(speed)}\n\n{END}", page)


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8"), json.loads(SPEED.read_text(encoding="utf-8"))), "utf-8")
