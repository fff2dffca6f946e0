"""The speed that is claimed, on a machine with nothing else to do: `pytest -m benchmark`.

It runs the whole benchmark first; MINILM_BENCHMARK=found.json takes what `make bench BENCH='--json found.json'` found.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from environment import has_avx512
from report import line_through
from rows import ATTENTION, PRODUCTS, ROWS

# Times the tokens per second of PyTorch eager, where the processor has AVX-512.
ON_AVX512 = {
    "training-S": 1.75,
    "training-M": 2.1,
    "training-L": 2.1,
    "training-S-2threads": 1.6,
    "training-M-2threads": 2.2,
    "bert-M": 2.0,
    "generation-M": 1.8,
}
# The same, everywhere: with AVX2, and what was never measured below.
ON_AVX2 = {"training-S": 1.15, "training-M": 1.15, "training-L": 1.15}
ANYWHERE = {"generation-S": 0.9, "smollm2": 1.0}
MEMORY = {"training-S": 0.4, "training-M": 0.55, "training-L": 0.75}  # times PyTorch's, at most
TRAINED = [row.name for row in ROWS if row.workload in ("training", "bert") and not row.avx2]

pytestmark = pytest.mark.benchmark


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """What one run of the benchmark, in a process of its own, found for each row."""
    found = Path(os.environ.get("MINILM_BENCHMARK") or tmp_path_factory.mktemp("benchmark") / "found.json")
    if not found.exists():
        subprocess.run([sys.executable, Path(__file__).parent, "--json", found], check=False)
    return {row["name"]: row for row in json.loads(found.read_text())["rows"]}


def ratio(row, engine, base):
    """The median, over the rounds that both took part in, of how many times as fast as the base an engine is."""
    seconds = row["seconds"]
    return float(np.median([b / own for b, own in zip(seconds[base], seconds[engine], strict=False)]))


@pytest.mark.parametrize("name", [row.name for row in ROWS])
def test_engines_agree(measured, name):
    assert measured[name]["problem"] is None


@pytest.mark.parametrize("name", ON_AVX512)
def test_minilm_is_faster_than_pytorch_eager(measured, name):
    if not has_avx512():
        pytest.skip("claimed for processors with AVX-512")
    assert ratio(measured[name], "minilm", "torch") >= ON_AVX512[name]


@pytest.mark.parametrize("name", ON_AVX2)
def test_minilm_is_faster_on_avx2_too(measured, name):
    row = measured[f"{name}-avx2" if has_avx512() else name]
    assert ratio(row, "minilm", "torch") >= ON_AVX2[name]


@pytest.mark.parametrize("name", ANYWHERE)
def test_minilm_is_not_slower_elsewhere(measured, name):
    assert ratio(measured[name], "minilm", "torch") >= ANYWHERE[name]


@pytest.mark.parametrize("rival", ["torch.compile", "jax", "autograd"])
@pytest.mark.parametrize("name", TRAINED)
def test_minilm_is_not_below_what_compiles_and_far_above_autograd(measured, name, rival):
    row = measured[name]
    if rival in row["unavailable"]:
        pytest.skip(f"{rival}: {row['unavailable'][rival]}")
    assert ratio(row, "minilm", rival) >= (3 if rival == "autograd" else 1)


def test_a_step_takes_little_more_than_its_products(measured):
    assert ratio(measured["training-M"], PRODUCTS.name, "minilm") <= 1.35


@pytest.mark.parametrize("name", MEMORY)
def test_peak_memory_is_small(measured, name):
    memory = measured[name]["memory"]
    assert memory["minilm"][0] <= MEMORY[name] * memory["torch"][0]


def test_a_tokens_time_grows_by_attention_alone(measured):
    """Over the whole context of M, by less than a tenth."""
    found = measured["generation-M"]["positions"]
    rest = np.array(found["minilm"]) - np.array(found[ATTENTION.name])
    slope, start = line_through(rest)
    assert abs(slope) * len(rest) <= 0.1 * start
