"""A row is timed in processes of their own, reported, kept and drawn; what is wrong with it is said."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from alternation import Result, run
from memory import most_resident, resident
from report import lines, show, write_json
from rows import MINILM, PRODUCTS, ROWS, TORCH, Contender, Row
from sizes import TOY

BENCHMARKS = Path(__file__).parent
MISSING = Contender("missing", "missing_engines")
ROW = Row("training-toy", "training", TOY, 1, (MINILM, TORCH, PRODUCTS, MISSING), rounds=3)


@pytest.fixture(scope="module")
def result():
    return run(ROW)


def test_every_engine_takes_its_turns(result):
    assert result.problem is None and result.tokens == TOY.batch * TOY.context
    assert {name: len(seconds) for name, seconds in result.seconds.items()} == {
        "minilm": 3,
        "torch": 3,
        "matrix products alone": 3,
    }
    low, middle, high = result.ratio("minilm")
    assert 0 < low <= middle <= high and result.ratio("torch") == (1, 1, 1)
    assert result.unavailable == {"missing": "missing_engines is not installed"}
    assert result.others is None or 0 <= result.others <= 1
    assert "torch" in result.kernels["torch"] and "blas" in result.kernels["minilm"]


def test_each_has_its_own_memory_and_nothing_of_another_library(result):
    (ours, ours_imported), (theirs, theirs_imported) = result.memory["minilm"], result.memory["torch"]
    assert 10e6 < ours_imported < ours < 100e6 < theirs_imported < theirs


def test_a_row_is_shown(result, capsys):
    assert [line[2] for line in lines(result)] == ["minilm", "torch", "matrix products alone", "missing"]
    assert [line[5] for line in lines(result)][1:] == ["1.00", "", ""]
    show({"processor": "some"}, [result])
    printed = capsys.readouterr().out
    assert all(word in printed for word in ("training-toy", "processor some", "times its matrix products' own time"))
    assert "missing is not available: missing_engines is not installed" in printed
    assert "peak memory 0." in printed


def test_a_shared_machine_is_told_of(result, capsys):
    show({}, [replace(result, others=0.05)])
    assert "others took" not in capsys.readouterr().out
    show({}, [replace(result, others=0.25)])
    assert "training-toy: others took 25% of the machine meanwhile" in capsys.readouterr().out


def test_an_invalid_row_shows_no_ratio(result, capsys):
    wrong = replace(result, problem="the losses differ")
    assert {line[5] for line in lines(wrong)[:3]} == {"INVALID"}
    show({}, [wrong])
    assert "training-toy: INVALID: the losses differ" in capsys.readouterr().out


def test_engines_that_disagree_make_a_row_invalid(monkeypatch):
    """By the losses that the processes really sent."""
    monkeypatch.setattr("workloads.FIRST", -1.0)
    assert "loss 1 of minilm is" in run(replace(ROW, contenders=(MINILM,), rounds=1, least=1)).problem


def test_a_row_is_written(result, tmp_path):
    write_json(tmp_path / "found.json", {"processor": "some"}, [result])
    row = json.loads((tmp_path / "found.json").read_text())["rows"][0]
    assert row["name"] == "training-toy"
    assert row["engines"]["minilm"]["times_torch"]["median"] == result.ratio("minilm")[1]


def test_a_slow_engine_has_fewer_rounds_and_is_compared_in_those():
    found = Result("r", "", 1, 100, seconds={"torch": [1.0, 2.0, 3.0, 9.0], "slow": [2.0, 4.0]})
    assert found.ratio("slow") == (0.5, 0.5, 0.5) and found.tokens_per_second("slow") == pytest.approx(100 / 3)
    found = run(replace(ROW, contenders=(MINILM, replace(MINILM, name="slow", rounds=1)), rounds=2, least=2))
    assert [len(seconds) for seconds in found.seconds.values()] == [2, 1] and found.problem is None


def test_an_engine_that_dies_is_told_of_and_the_others_go_on():
    """As one that is killed for want of memory."""
    dying = Contender("dying", "minilm_engines", {"no_such_option": 1})
    found = run(replace(ROW, contenders=(MINILM, dying), rounds=1, least=1))
    assert found.unavailable == {"dying": "its process ended with status 1"} and list(found.seconds) == ["minilm"]


def test_a_process_knows_the_most_memory_that_it_had():
    said = "import memory; a = {}; del a; print(memory.most_resident())"
    small, large = (
        int(
            subprocess.run(
                [sys.executable, "-c", said.format(made)], cwd=BENCHMARKS, capture_output=True, check=True
            ).stdout
        )
        for made in ("0", "'x' * 300_000_000")
    )
    assert 250_000_000 < large - small < 350_000_000 and most_resident() >= resident() > 10_000_000


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
