"""The speed that is claimed, on a machine with nothing else to do: `pytest -m benchmark`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from rows import ROWS

# Times the tokens per second of PyTorch as it comes, one thread each. Generation at S is mostly Python's overhead:
# measured 0.97 to 1.0 on AVX2.
CLAIMED = {"training-S": 1.0, "training-M": 1.0, "generation-S": 0.9, "generation-M": 1.0, "smollm2": 1.0}

pytestmark = pytest.mark.benchmark


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """What one run of the benchmark, in a process of its own, found for each row."""
    found = tmp_path_factory.mktemp("benchmark") / "found.json"
    subprocess.run([sys.executable, Path(__file__).parent, "--json", found], check=False)
    return {row["name"]: row for row in json.loads(found.read_text())["rows"]}


@pytest.mark.parametrize("name", [row.name for row in ROWS])
def test_engines_agree_and_minilm_is_as_fast_as_claimed(measured, name):
    row = measured[name]
    assert row["problem"] is None
    assert row["engines"]["minilm"]["times_torch"]["median"] >= CLAIMED.get(name, 0)
