"""The plan: it is what the costs say; the benchmark's own rows are predicted by it; the document says what it says."""

import importlib.util
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minilm.errors import ConfigError, DataError
from minilm.models.sizes import PUBLISHED, count_parameters
from minilm.scaling import plan as p

ROOT = Path(__file__).parents[2]
SPEED = json.loads((ROOT / "docs" / "speed.json").read_text())
GPT2 = PUBLISHED["gpt2"].shape
MACHINE = p.Measured(1e11, 1, (1.0, 1.0), 1.5, 4e7, "")


def test_a_step_by_hand():
    """GPT-2: 124,439,808 parameters; 6 · 123,532,032 + 12 · 12 · 1024 · 768 FLOPs a token; 512 texts a step."""
    flops = 6 * (84_934_656 + 50_257 * 768) + 12 * 12 * 1024 * 768
    found = p.plan(GPT2, MACHINE, 8, 2e9, network=p.Network(1e9, 1e-3))
    assert found.compute_seconds == pytest.approx(flops * 64 * 1024 / 1e11)
    assert found.all_reduce_bytes == 2 * 7 * 4 * 124_439_808 // 8
    assert found.all_reduce_seconds == pytest.approx(found.all_reduce_bytes / 1e9 + 14e-3)
    seconds = found.compute_seconds + found.all_reduce_seconds
    assert found.steps == -(-2_000_000_000 // 524_288) and found.days == pytest.approx(found.steps * seconds / 86_400)
    assert found.tokens_per_second == pytest.approx(524_288 / seconds)
    assert found.efficiency == pytest.approx(found.compute_seconds / seconds)
    activations = 4 * 1024 * 12 * 16 * 768
    wanted = 16 * 124_439_808 + 4 * 512 * 50_257 + 4e7 + 1.5 * activations
    assert found.memory_bytes == pytest.approx(wanted)


def test_one_machine_sends_nothing():
    found = p.plan(GPT2, MACHINE, 1, 1e9)
    assert found.all_reduce_seconds == found.all_reduce_bytes == 0 and found.efficiency == 1


@given(st.integers(1, 256), st.floats(1e7, 1e10))
def test_more_machines_are_never_slower_to_compute_and_never_better_than_their_number(machines, bandwidth):
    one, many = (p.plan(GPT2, MACHINE, n, 1e9, network=p.Network(bandwidth)) for n in (1, machines))
    assert many.compute_seconds <= one.compute_seconds
    assert many.compute_seconds * machines >= one.compute_seconds * (1 - 1e-12)  # whole texts: someone has one more
    assert one.days / machines <= many.days * (1 + 1e-12)
    assert many.all_reduce_bytes < 2 * 4 * count_parameters(GPT2)


def test_the_benchmarks_own_rows_are_predicted():
    """Memory of each size, within an eighth; the rate of the largest, which is where it was taken from."""
    found = p.measured(SPEED)
    assert found.threads == 2 and found.spread[0] <= 1 <= found.spread[1]
    rows = {row["name"]: row for row in SPEED["rows"]}
    for name in p.SIZED:
        shape, context = p.shape_of(rows[name]["what"])
        predicted = p.memory(shape, rows[name]["tokens"] // context, context, found)
        assert predicted == pytest.approx(rows[name]["memory"]["minilm"][0], rel=0.125), name
    row = rows["training-L"]
    shape, context = p.shape_of(row["what"])
    seconds = sorted(row["seconds"]["minilm"])[len(row["seconds"]["minilm"]) // 2]
    paired = [sorted(rows[n]["seconds"]["minilm"]) for n in ("training-M", "training-M-2threads")]
    middles = [(times[(len(times) - 1) // 2] + times[len(times) // 2]) / 2 for times in paired]
    rate = p.training_products(shape, context) * row["tokens"] / seconds
    assert found.flops_per_second == pytest.approx(rate * middles[0] / middles[1])


def test_a_benchmark_of_one_size_and_one_thread():
    rows = [row for row in SPEED["rows"] if row["name"] == "training-S"]
    found = p.measured({"machine": {"processor": "x"}, "rows": rows})
    assert found.threads == 1 and found.machine == "x" and found.activations > 0


def test_refuses(tmp_path):
    with pytest.raises(DataError, match=r"no file .*: measure this machine by make bench"):
        p.read_speed(tmp_path / "none.json")
    (tmp_path / "a.json").write_text("[1]")
    with pytest.raises(DataError, match="holds no rows of a benchmark"):
        p.read_speed(tmp_path / "a.json")
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        p.read_speed(tmp_path / "a.json")
    with pytest.raises(DataError, match="no row training-S"):
        p.measured({"rows": []})
    with pytest.raises(DataError, match="wanted d, L, H, T and V"):
        p.shape_of("d=128 L=4")
    with pytest.raises(ConfigError, match="machines is 0; it must be above 0"):
        p.plan(GPT2, MACHINE, 0, 1e9)
    with pytest.raises(ConfigError, match="4,096 tokens has 4 texts of 1024, too few for 8 machines"):
        p.plan(GPT2, MACHINE, 8, 1e9, batch_tokens=4096)


def test_the_document_says_what_the_function_says():
    """docs/make_plan.py writes the part with the numbers; after a new benchmark, run it again."""
    spec = importlib.util.spec_from_file_location("make_plan", ROOT / "docs" / "make_plan.py")
    make_plan = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_plan)
    text = make_plan.PAGE.read_text(encoding="utf-8")
    assert make_plan.renewed(text, SPEED) == text, "run: python docs/make_plan.py"
    assert make_plan.renewed(text, {**SPEED, "machine": {"processor": "another"}}) != text
    outside = text.split(make_plan.BEGIN)[0] + text.split(make_plan.END)[1]
    days = [f"{p.plan(GPT2, p.measured(SPEED), n, 20 * count_parameters(GPT2)).days:,.1f}" for n in (1, 8, 64)]
    assert all(f"| {d} |" in text for d in days) and not any(d in outside for d in days)
