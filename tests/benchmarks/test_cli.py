"""The command: which rows, what is kept of an interrupted run, the file and the picture."""

import importlib.util
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keeping
import pytest
from alternation import Result, plan
from picture import draw
from rows import MINILM, PRODUCTS, ROWS, Row
from sizes import TOY

BENCHMARKS = Path(__file__).parent
FIRST = Row("training-toy", "training", TOY, 1, (PRODUCTS,), rounds=2, least=2)
SECOND = replace(FIRST, name="training-other")


def pretended(row, tell) -> Result:
    """What `run` returns, without doing anything."""
    tell("round 1")
    seconds = {name: [0.1, 0.2, 0.3][: row.rounds] for name in ("minilm", "torch")}
    memory, busy = {name: [2, 1] for name in seconds}, dict.fromkeys(seconds, 1.0)
    return Result(row.name, str(row.size), 1, plan(row), 9, 1.0, seconds, memory, busy)


@pytest.fixture
def command(monkeypatch):
    """The program in this process, with two rows; returns how it ended."""
    spec = importlib.util.spec_from_file_location("benchmarks_main", BENCHMARKS / "__main__.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "run_again_if_unclean", lambda: None)
    monkeypatch.setattr("rows.ROWS", [FIRST, SECOND])
    monkeypatch.setattr("alternation.run", pretended)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["benchmarks", *map(str, arguments)])
        return module.main()

    return call


def rows_of(path):
    return {row["name"]: row for row in json.loads(path.read_text())["rows"]}


def test_a_run_is_written_and_drawn(command, tmp_path, capsys):
    assert command("--json", tmp_path / "found.json", "--plot", tmp_path / "found.png", "training-t*") == 0
    found = rows_of(tmp_path / "found.json")
    assert list(found) == ["training-toy"] and len(found["training-toy"]["seconds"]["minilm"]) == 2
    assert found["training-toy"]["engines"]["minilm"]["milliseconds"] == pytest.approx(150)
    assert (tmp_path / "found.png").read_bytes().startswith(b"\x89PNG")
    said = capsys.readouterr()
    assert "training-toy" in said.out and "load" in said.out and "[1/1] training-toy: " in said.err


def test_an_interrupted_run_goes_on(command, tmp_path, monkeypatch, capsys):
    path, ran = tmp_path / "found.json", []

    def interrupted(row, tell):
        ran.append(row.name)
        if row is SECOND and len(ran) == 2:
            raise KeyboardInterrupt
        return pretended(row, tell)

    monkeypatch.setattr("alternation.run", interrupted)
    assert command("--json", path) == 130
    said = capsys.readouterr()
    assert "interrupted; there are results of 1 rows; the same command with --resume goes on" in said.err
    assert list(rows_of(path)) == ["training-toy"] and "training-toy" in said.out
    kept = rows_of(path)["training-toy"]
    assert command("--json", path, "--resume") == 0
    assert ran == ["training-toy", "training-other", "training-other"]
    assert rows_of(path)["training-toy"] == kept and list(rows_of(path)) == ["training-toy", "training-other"]


def test_a_row_that_was_planned_otherwise_or_went_wrong_is_measured_again(command, tmp_path, monkeypatch):
    path, ran = tmp_path / "found.json", []
    monkeypatch.setattr("alternation.run", lambda row, tell: ran.append(row.name) or pretended(row, tell))
    assert command("--json", path) == 0 and len(ran) == 2
    assert command("--json", path, "--resume", "--rounds", 3) == 0 and len(ran) == 4
    assert len(rows_of(path)["training-toy"]["seconds"]["minilm"]) == 3
    found = json.loads(path.read_text())
    found["rows"][0]["problem"] = "the losses differ"
    path.write_text(json.dumps(found))
    assert command("--json", path, "--resume", "--rounds", 3) == 0 and ran[4:] == ["training-toy"]


def test_what_is_kept_of_rows_that_were_not_chosen_stays(command, tmp_path, capsys):
    path = tmp_path / "found.json"
    assert command("--json", path, "training-other") == 0
    assert command("--json", path, "--resume", "training-toy") == 0
    assert list(rows_of(path)) == ["training-toy", "training-other"]
    assert "training-toy" in (printed := capsys.readouterr().out) and "training-other" in printed


def test_results_of_another_machine_are_not_gone_on_with(command, tmp_path, capsys):
    keeping.write(tmp_path / "found.json", {"processor": "another"}, [])
    assert command("--json", tmp_path / "found.json", "--resume") == 2
    assert "has results of another machine or version" in capsys.readouterr().err


def test_what_is_written_is_read(tmp_path):
    result = Result("r", "w", 2, "p", 9, 1.5, {"minilm": [1.0], "torch": [2.0]}, {"minilm": [2, 1]}, others=0.5)
    keeping.write(tmp_path / "found.json", {"processor": "some"}, [result])
    assert keeping.read(tmp_path / "found.json", {"processor": "some"}) == {"r": result}
    row = rows_of(tmp_path / "found.json")["r"]
    assert row["engines"]["minilm"] == {
        "milliseconds": 1000,
        "tokens_per_second": 9,
        "times_torch": {"lower_quartile": 2, "median": 2, "upper_quartile": 2},
    }
    assert keeping.read(tmp_path / "no such file", {}) == {}


def test_a_row_of_each_kind_is_drawn(tmp_path):
    engines = ("minilm", "torch", "torch, explicit attention", "torch, fused AdamW", "torch.compile", "jax", "autograd")
    results = [
        Result("training-S", "", 1, "", 9, seconds={name: [1.0, 1.1] for name in (*engines, PRODUCTS.name)}),
        Result(
            "generation-M",
            "",
            1,
            "",
            9,
            seconds={"minilm": [1.0], "torch": [2.0]},
            positions={"minilm": [2.0] * 70, "torch": [3.0] * 70, "attention alone": [1.0] * 70},
        ),
        Result("cost-B", "", 1, "", seconds={"B=1": [1.0], "B=2": [2.0]}, grows={"B=1": [1, 5], "B=2": [2, 10]}),
        Result("bert-S-avx2", "", 1, "", skipped="no AVX-512"),
    ]
    draw(tmp_path / "all.png", results)
    draw(tmp_path / "none.png", [])
    assert (tmp_path / "all.png").stat().st_size > (tmp_path / "none.png").stat().st_size > 10_000


def test_all_rows_have_names_of_their_own_and_minilm():
    names = [row.name for row in ROWS]
    assert len(set(names)) == len(names)
    assert all(row.contenders[0].name == MINILM.name or row.axis for row in ROWS)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["training-XXL"], "'training-XXL' is unknown"),
        (["--rounds", "1"], "a spread needs at least 2"),
        (["--json", "no/such/folder.json"], "--json: there is no folder no/such"),
        (["--plot", "no/such/folder.png"], "--plot: there is no folder no/such"),
        (["--resume"], "name the file"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(command, capsys, arguments, said):
    with pytest.raises(SystemExit) as ended:
        command(*arguments)
    assert ended.value.code == 2 and said in capsys.readouterr().err


def test_the_program_itself_refuses_an_unknown_row():
    ran = subprocess.run([sys.executable, BENCHMARKS, "training-XXL"], capture_output=True, text=True, check=False)
    assert ran.returncode == 2 and all(row.name in ran.stderr for row in ROWS)
