"""A row is timed by engines in processes of their own; what is wrong with it is said."""

import math
import os
import platform
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from alternation import NO_AVX512, Result, run
from environment import AVX2, clean_environment, processors
from memory import most_resident, resident
from report import lines, notes, show
from rows import ATTENTION, MINILM, PRODUCTS, ROWS, TORCH, Contender, Row, exponent
from sizes import TOY

pytestmark = pytest.mark.xdist_group("benchmarks")  # one process measures the row that most tests look at

BENCHMARKS = Path(__file__).parent
MISSING = Contender("missing", "missing_engines", slow_start=True)
ROW = Row("training-toy", "training", TOY, 1, (MINILM, TORCH, PRODUCTS, MISSING), rounds=3)


@pytest.fixture(scope="module")
def result():
    return run(ROW)


@pytest.mark.slow
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
    assert result.losses["torch"] == pytest.approx(result.losses["minilm"], abs=1e-3) and len(result.losses) == 2
    assert "torch" in result.kernels["torch"] and "blas" in result.kernels["minilm"]


@pytest.mark.slow
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
    assert "minilm's peak memory is 0." in printed


def test_a_shared_machine_is_told_of(result):
    assert not any("others took" in note for note in notes(replace(result, others=0.05)))
    assert any("others took 25% of the machine" in note for note in notes(replace(result, others=0.25)))


def test_an_invalid_row_shows_no_ratio(result):
    wrong = replace(result, problem="the losses differ")
    assert {line[5] for line in lines(wrong)[:3]} == {"INVALID"}
    assert notes(wrong)[0] == "INVALID: the losses differ"


def test_engines_that_disagree_make_a_row_invalid(monkeypatch):
    """By the losses that the processes really sent."""
    monkeypatch.setattr("workloads.FIRST", -1.0)
    assert "loss 1 of minilm is" in run(replace(ROW, contenders=(MINILM,), rounds=1, least=1)).problem


def test_without_minilm_a_row_is_invalid():
    found = run(replace(ROW, contenders=(replace(MISSING, name="minilm"), PRODUCTS), rounds=1, least=1))
    assert found.problem == "minilm is not there"


def test_a_slow_engine_has_fewer_rounds_and_is_compared_in_those():
    found = Result("r", "", 1, "", 100, seconds={"torch": [1.0, 2.0, 3.0, 9.0], "slow": [2.0, 4.0]})
    assert found.ratio("slow") == (0.5, 0.5, 0.5) and found.tokens_per_second("slow") == pytest.approx(100 / 3)
    found = run(replace(ROW, contenders=(PRODUCTS, replace(PRODUCTS, name="slow", rounds=1)), rounds=2, least=2))
    assert [len(seconds) for seconds in found.seconds.values()] == [2, 1] and found.problem is None


def test_an_engine_that_dies_is_told_of_and_the_others_go_on():
    """As one that is killed for want of memory."""
    dying = replace(PRODUCTS, name="dying", options={"no_such_option": 1})
    found = run(replace(ROW, contenders=(dying, PRODUCTS), rounds=1, least=1))
    assert found.unavailable == {"dying": "its process ended with status 1"} and list(found.seconds) == [PRODUCTS.name]


def test_a_budget_that_is_spent_ends_a_row():
    found = run(replace(ROW, contenders=(PRODUCTS,), rounds=50, budget=0.0, least=2))
    assert len(found.seconds[PRODUCTS.name]) == 2


def test_a_quick_row_leaves_out_what_is_slow():
    row = next(row for row in ROWS if row.name == "training-M").quick()
    names = [contender.name for contender in row.contenders]
    assert {"minilm", "torch", PRODUCTS.name} <= set(names) and not {"torch.compile", "jax", "autograd"} & set(names)
    assert row.least == 2 and row.budget < 10


def test_rows_on_avx2_are_forced_to_it_or_not_measured(monkeypatch):
    row = replace(ROW, contenders=(PRODUCTS,), rounds=1, least=1, avx2=True)
    monkeypatch.setattr("alternation.has_avx512", lambda: False)
    assert run(row).skipped == NO_AVX512 and not run(row).seconds
    show({}, [run(row)])
    monkeypatch.setattr("alternation.has_avx512", lambda: True)
    monkeypatch.setitem(AVX2, "OPENBLAS_CORETYPE", "Nehalem")  # which no processor would choose by itself
    if "openblas" in (found := run(row)).kernels[PRODUCTS.name] and "x86" in platform.machine():
        assert "nehalem" in found.kernels[PRODUCTS.name].lower()
        assert any("openblas Nehalem" in note for note in notes(replace(found, name="training-toy-avx2")))


# ----------------------------------------------------------------------------------------------------------- costs


def test_costs_are_measured_at_each_size():
    """A toy's step costs overhead and nothing else: the FLOPs grow, and their exponent is that of the formula."""
    points = [replace(MINILM, name=f"L={n}", size=replace(TOY, layers=n)) for n in (1, 2, 4)]
    monkey = Row("cost-L", "cost", TOY, 1, tuple(points), rounds=1, least=1, axis="layers")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("workloads.COST", TOY)
        found = run(monkey)
    assert found.problem is None and [value for value, _ in found.grows.values()] == [1, 2, 4]
    growing = [count for _, count in found.grows.values()]
    assert growing[2] - growing[1] == 2 * (growing[1] - growing[0])
    assert notes(found)[0].startswith("time grows as L^")


@pytest.mark.parametrize("e", [0.0, 1.0, 2.5])
def test_exponents_are_those_of_powers(e):
    values = [1.0, 2.0, 8.0, 32.0]
    assert exponent(values, [3.7 * value**e for value in values]) == pytest.approx(e, abs=1e-12)
    noisy = [3.7 * value**e * math.exp(noise) for value, noise in zip(values, (0.1, -0.1, -0.1, 0.1), strict=True)]
    assert exponent(values, noisy) == pytest.approx(e, abs=0.05)


def test_a_token_is_told_by_its_position():
    whole = [1e-3 + 2e-6 * i for i in range(256)]
    found = Result("g", "", 1, "", positions={"minilm": whole, ATTENTION.name: [2e-6 * i for i in range(256)]})
    assert "a token takes 1.000 ms + 2.00 µs a position; without attention, 1.000 ms + " in notes(found)[0]
    assert notes(found)[0].endswith("0.00 µs a position")


# ------------------------------------------------------------------------------------------------- the environment


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


def test_an_environment_has_the_threads_and_nothing_forced(monkeypatch):
    for name in AVX2:
        monkeypatch.setenv(name, "1")
    found = clean_environment(2)
    assert found["OMP_NUM_THREADS"] == found["NPROC"] == "2" and not AVX2.keys() & found.keys()


def test_processors_are_those_that_may_be_used():
    if hasattr(os, "sched_getaffinity"):
        assert len(processors(1)) == 1 and set(processors(99)) == os.sched_getaffinity(0)
