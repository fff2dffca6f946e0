"""What the benchmark compares is the same work: at a toy size the engines agree, and where they do not, it says so."""

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from alternation import ROWS, Row, run
from engines import GENERATION, TRAINING, WORKLOADS, restless_weights
from report import lines, show, write_json
from sizes import TOY

BENCHMARKS = Path(__file__).parent


@pytest.fixture(scope="module", params=[TRAINING, GENERATION], ids=lambda workload: workload.name)
def toy(request):
    """The outcomes of six rounds of each engine, from weights that leave no part of the model idle."""
    workload = request.param
    weights = restless_weights(TOY)
    found = {}
    for name, make in workload.engines.items():
        with make(TOY, weights, 1) as engine:
            found[name] = [engine(workload.input(TOY, number)) for number in range(6)]
    return workload, found


def test_outcomes_agree_in_every_round(toy):
    workload, found = toy
    assert workload.disagreement(found) is None
    for ours, theirs in zip(found["minilm"], found["torch"], strict=True):
        assert ours == pytest.approx(theirs, abs=1e-5)


def test_training_moves_and_generation_wanders(toy):
    workload, found = toy
    if workload is TRAINING:
        assert len({round(loss, 3) for loss in found["minilm"]}) == 6
    else:
        assert all(len(text) == 1 + TOY.context and len(set(text)) >= 6 for text in found["minilm"])


@pytest.mark.parametrize("wrong", [3.0 + 1.1e-4, math.nan])
@pytest.mark.parametrize("at", ["minilm", "torch"])
def test_a_first_loss_that_differs_makes_the_row_invalid(wrong, at):
    losses = {"minilm": [3.0, 2.0], "torch": [3.0, 9.0]}
    assert TRAINING.disagreement(losses) is None
    assert "first losses differ" in TRAINING.disagreement({**losses, at: [wrong, 2.0]})


def test_a_token_that_differs_makes_the_row_invalid():
    assert GENERATION.disagreement({"minilm": [[1, 2], [3, 4]], "torch": [[1, 2], [3, 4]]}) is None
    said = GENERATION.disagreement({"minilm": [[1, 2], [3, 4]], "torch": [[1, 2], [3, 5]]})
    assert said == "minilm and torch go apart after 1 tokens of text 1"


@pytest.mark.parametrize("workload", ["training", "generation"])
def test_a_row_is_timed_and_reported(workload, tmp_path, capsys):
    result = run(Row(workload, TOY, threads=1, rounds=3, warm_up=1))
    assert result.problem is None and result.processor > 0
    assert {name: len(seconds) for name, seconds in result.seconds.items()} == dict.fromkeys(
        WORKLOADS[workload].engines, 3
    )
    low, middle, high = result.ratio("minilm")
    assert 0 < low <= middle <= high and result.ratio("torch") == (1, 1, 1)

    assert len(lines(result)) == len(WORKLOADS[workload].engines)
    show({"processor": "some"}, [result])
    printed = capsys.readouterr().out
    assert f"{workload}-toy" in printed and "minilm" in printed and "processor some" in printed

    write_json(tmp_path / "found.json", {"processor": "some"}, [result])
    row = json.loads((tmp_path / "found.json").read_text())["rows"][0]
    assert row["size"]["width"] == TOY.width and row["engines"]["minilm"]["times_torch"]["median"] == middle


def test_memory_that_was_measured_is_reported(capsys):
    result = run(Row("generation", TOY, threads=1, rounds=2, warm_up=0))
    show({}, [replace(result, peak_memory={"minilm": 812_000_000, "torch": 1_500_000_000})])
    assert "generation-toy: peak memory of a process of its own, loading too: minilm 812 MB, torch 1,500 MB" in (
        capsys.readouterr().out
    )


def test_a_process_knows_the_most_memory_that_it_had():
    from smollm2 import most_memory

    said = "import sys; sys.path.insert(0, 'tests/benchmarks'); import smollm2; a = {}; print(smollm2.most_memory())"
    root = BENCHMARKS.parent.parent
    small, large = (
        int(subprocess.run([sys.executable, "-c", said.format(made)], cwd=root, capture_output=True, check=True).stdout)
        for made in ("0", "'x' * 300_000_000")
    )
    assert 250_000_000 < large - small < 350_000_000 and most_memory() > 10_000_000


def test_an_invalid_row_shows_no_ratio(capsys):
    result = run(Row("training", TOY, threads=1, rounds=2, warm_up=0))
    object.__setattr__(result, "problem", "the losses differ")
    assert [line[-1] for line in lines(result)] == ["INVALID"] * len(TRAINING.engines)
    show({}, [result])
    assert "training-toy is INVALID: the losses differ" in capsys.readouterr().out


def test_the_variables_that_force_the_blas_are_gone_before_numpy_loads():
    said = "import environment as e; e.run_again_if_unclean(); import os, sys; "
    said += "print([v in os.environ for v in e.FORCED], os.environ['OMP_NUM_THREADS'], 'numpy' in sys.modules)"
    forced = {"OPENBLAS_CORETYPE": "Nehalem", "OPENBLAS_L2_SIZE": "1000", "OMP_NUM_THREADS": "7"}
    ran = subprocess.run(
        [sys.executable, "-c", said],
        cwd=BENCHMARKS,
        env=os.environ | forced,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == "[False, False] 1 False"


def test_an_unknown_row_is_refused_by_name():
    ran = subprocess.run([sys.executable, BENCHMARKS, "training-XXL"], capture_output=True, text=True, check=False)
    assert ran.returncode == 2 and "'training-XXL' is unknown" in ran.stderr
    assert all(row.name in ran.stderr for row in ROWS)
