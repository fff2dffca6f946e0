"""`minilm lesson`: list, run, check, open, on small lessons, each in a process of its own."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from planted import CHECKS, LESSON, MUTANTS, TOML, plant

from minilm.cli import app
from minilm.course import banks, executing, session
from minilm.course.banks import read_about

ROOT = Path(__file__).parents[2]


def minilm(*args, cwd, **how):
    """The command in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MINILM_CACHE": str(cwd / "cache")}
    command = [sys.executable, "-m", "minilm", "lesson", *map(str, args)]
    how = {"capture_output": True, "text": True, "cwd": cwd, "env": environment, "timeout": 120, "check": False, **how}
    return subprocess.run(command, **how)


@pytest.fixture
def here(tmp_path, monkeypatch, capsys):
    """What the command does, in this process: its exit status, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(session, "RUN", session.Settings())

    def run(*args, main=None):
        capsys.readouterr()
        try:
            status = (main or (lambda args: app.main(["lesson", *args])))([str(a) for a in args])
        except SystemExit as stopped:
            status = stopped.code
        said = capsys.readouterr()
        return status or 0, said.out, said.err

    return run


@pytest.fixture
def folder(tmp_path):
    return plant(tmp_path / "lessons" / "l07_squares")


class TestRun:
    """Its process by itself (executing.main), and from the command line."""

    def test_a_lesson_that_holds(self, folder, tmp_path):
        ran = minilm("run", folder, cwd=tmp_path)
        assert (ran.returncode, ran.stderr) == (0, "")
        assert ran.stdout.startswith("\nLesson 7. Squares\n-----------------\n\nL7.1 Squares\n")
        assert "L7.1a  the answer: 9\n" in ran.stdout and "4 of 4 claims hold" in ran.stdout
        out = tmp_path / "runs" / "lessons" / "l07"
        assert sorted(path.name for path in out.iterdir()) == ["claims.json", "nothing.png"]
        assert sorted(path.name for path in tmp_path.iterdir() if path.name != "cache") == ["lessons", "runs"]

    def test_one_that_does_not(self, tmp_path):
        ran = minilm("run", plant(tmp_path / "l07_squares", lesson_py=LESSON.replace("3 * 3", "2 * 3")), cwd=tmp_path)
        assert ran.returncode == 1 and "lesson.py, line 20: L7.1a: the run shows “6”" in ran.stderr

    def test_as_a_script_by_itself(self, folder, tmp_path):
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, folder / "lesson.py"]
        ran = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
        assert ran.returncode == 0 and "4 of 4 claims hold" in ran.stdout
        assert (tmp_path / "runs" / "lessons" / "l07" / "nothing.png").is_file()

    def test_with_its_prose_and_elsewhere(self, folder, here, tmp_path):
        _, said, _ = here(folder, "--prose", "--out", "there", main=executing.main)
        assert "# Lesson 7. Squares\n\n- **L7.1** Squares.\n\nIt holds 0.25 things.\n" in said
        assert "```python\nfig, axes = subplots()\n" in said and "L.ask(" not in said and "L.said(" not in said
        assert (tmp_path / "there" / "claims.json").is_file() and not (tmp_path / "runs").exists()

    @pytest.mark.parametrize(
        ("file", "was", "planted", "words"),
        [
            ("lesson.py", "0.5 * 0.5", "0.5 * 0.6", "line 21: the prose says 0.25, the run gives 0.3"),
            ("checks.py", "n >= 0", "n >= 1", "line 25: L7.3 does not hold"),
            ("lesson.py", "# %% [markdown]", "# %% [md]", "line 1: a cell begins with"),
            ("lesson.py", "0.5 * 0.5", "1 / 0", "ZeroDivisionError: division by zero"),
        ],
    )
    def test_what_is_wrong_is_said_with_its_line(self, file, was, planted, words, folder, here):
        (folder / file).write_text((folder / file).read_text().replace(was, planted))
        status, _, said = here(folder, main=executing.main)
        assert status == 1 and words in said
        if planted == "1 / 0":
            assert f'File "{folder}/lesson.py", line 21, in <module>' in said and 'L.said("0.25", 1 / 0)' in said

    def test_step_by_step(self, folder, here, monkeypatch):
        """Enter after each text, a letter at the prediction."""
        typed = iter(["", "", "b"])
        monkeypatch.setattr("builtins.input", lambda prompt: print(prompt) or next(typed))
        status, said, _ = here(folder, "--prose", "--step", main=executing.main)
        assert status == 0 and "your prediction (a to b):" in said and "as you predicted" in said
        assert "predictions: 1 of 1 right" in said

    @pytest.mark.parametrize(
        ("stop", "status", "words"), [(EOFError, 1, "leave out --step"), (KeyboardInterrupt, 130, "")]
    )
    def test_step_by_step_needs_somebody(self, stop, status, words, folder, here, monkeypatch):
        def nobody(prompt):
            raise stop

        monkeypatch.setattr("builtins.input", nobody)
        found, _, said = here(folder, "--step", "--prose", main=executing.main)
        assert found == status and words in said

    def test_on_a_terminal_it_is_drawn(self, folder, tmp_path):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "80"}
        main, side = pty.openpty()
        command = [sys.executable, "-m", "minilm.course.executing", str(folder), "--prose"]
        process = subprocess.Popen(command, stdout=side, stderr=side, cwd=tmp_path, env=environment)
        os.close(side)
        said = b""
        while True:
            try:
                said += os.read(main, 1 << 16)
            except OSError:
                break
        os.close(main)
        assert process.wait() == 0
        text = said.decode()
        assert "Lesson 7. Squares" in text and "│ L7.1 " in text and "\x1b[" in text and "**L7.1**" not in text

    @pytest.mark.parametrize("args", [(), ("l03", "--all"), ("l03", "--resume")])
    def test_one_or_all(self, args, here):
        status, _, said = here("run", *args)
        assert (status, said) == (1, "minilm: give one lesson's name, or --all (and with it --resume, if wanted)\n")

    def test_an_unknown_one(self, here):
        status, _, said = here("run", "l77")
        assert status == 1 and said.startswith("minilm: there is no lesson 'l77'; there are: ")


def test_all_lessons_in_order_and_again(folder, here, tmp_path, monkeypatch):
    """A table at the end; --resume leaves out what held and is unchanged; one that breaks does not stop the others."""
    lessons = tmp_path / "lessons"
    more = {"lesson_toml": TOML.replace("= 7", "= 8"), "checks_py": CHECKS.replace("L7", "L8"), "tasks_py": None}
    more |= {"mutants_py": None, "variants_py": None, "lesson_py": LESSON.replace('"square_is_double"', "None")}
    plant(lessons / "l08_more", **more)
    plant(lessons / "l09_broken", **{**more, "lesson_toml": TOML.replace("= 7", "= 9"), "checks_py": ""})
    (lessons / "l09_broken" / "lesson.py").write_text("# %%\n1 / 0\n")
    monkeypatch.setattr(banks, "lessons_folder", lambda: lessons)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    status, said, _ = here("run", "--all")
    assert status == 1
    assert said.index("l07  Squares") < said.index("l08  Squares") < said.index("lesson\ttitle\tclaims")
    assert [line.split("\t")[::2] for line in said.splitlines()[-3:]] == [
        ["l07", "4/4", "holds"], ["l08", "1/1", "holds"], ["l09", "–", "FAILS"],
    ]  # fmt: skip

    first = (tmp_path / "runs" / "lessons" / "l07" / "claims.json").stat().st_mtime_ns
    (lessons / "l08_more" / "checks.py").write_text(CHECKS.replace("L7", "L8").replace("n >= 0", "n >= 1"))
    status, said, _ = here("run", "--all", "--resume")
    assert status == 1 and said.count("held before, and is unchanged") == 1
    assert (tmp_path / "runs" / "lessons" / "l07" / "claims.json").stat().st_mtime_ns == first
    assert [line.split("\t")[2] for line in said.splitlines()[-3:]] == ["4/4", "0/1", "–"]


def test_an_earlier_result_counts_only_whole(folder, here, tmp_path):
    about, out = read_about(folder), tmp_path / "out"
    assert executing.earlier(about, out) is None
    here(folder, "--out", "out", main=executing.main)
    assert executing.earlier(about, out).claims == (4, 4)
    record = json.loads((out / "claims.json").read_text())
    record["claims"][0]["holds"] = False
    (out / "claims.json").write_text(json.dumps(record))
    assert executing.earlier(about, out) is None
    for broken in ("", "[]", "{}", '{"claims": [1]}'):
        (out / "claims.json").write_text(broken)
        assert executing.earlier(about, out) is None


FEW = ("--examples", 15, "--fewest-mutants", 1, "--fewest-variants", 0)


class TestCheck:
    def test_a_good_lesson(self, folder, here):
        status, said, _ = here("check", folder, *FEW)
        assert status == 0 and "3 of 3 mutants killed, 100 %" in said
        assert "L7.1\tsquare\tit is x squared\t2/2\t2/2\tgood\n" in said
        assert "L7.1\tsquare\t2/2\t1/1\tnone\tgood\nL7.2\ttotal\t1/1\t0/0\tnone\tgood\n" in said

    def test_a_task_has_eight_mutants_and_three_variants(self, folder, here):
        status, said, _ = here("check", folder, "--examples", 15)
        assert status == 1 and "2/2\t1/1\tnone\tmutants: 2 of at least 8; variants: 1 of at least 3\n" in said
        assert here("check", folder, *FEW[:2], "--fewest-mutants", 1, "--fewest-variants", 1)[0] == 1
        assert here("check", folder, *FEW[:2], "--fewest-mutants", 2, "--fewest-variants", 0)[0] == 1

    def test_what_refused_each_mutant_on_request(self, folder, here):
        _, said, _ = here("check", folder, *FEW, "--mutants")
        assert "L7.1\tsquare\tmutant square_is_double\t\t\tvalue: the squares, at (0,)\n" in said

    def test_a_survivor_is_named(self, folder, here):
        (folder / "mutants.py").write_text(MUTANTS.replace("x + x", "x * x"))
        status, said, _ = here("check", folder, *FEW)
        assert status == 1 and "L7.1\tsquare\tmutant square_is_double\t\t\tSURVIVES" in said and "keeps_the" not in said
        assert "2 of 3 mutants killed, 66.7 %" in said and "L7.1\tsquare\t1/2\t1/1\tnone\tBAD\n" in said

    def test_a_claim_that_refuses_the_reference_is_named(self, folder, here):
        (folder / "checks.py").write_text(CHECKS.replace("sum(x.tolist())", "sum(x.tolist()) + 1"))
        status, said, _ = here("check", folder, *FEW)
        assert status == 1 and "reference: the sum" in said and "none\tthe reference is refused\n" in said


class TestOpen:
    def test_makes_a_notebook_of_the_cells(self, folder, here, tmp_path):
        status, said, _ = here("open", folder)
        assert status == 0 and "jupyter lab l07_squares.ipynb" in said
        notebook = json.loads((tmp_path / "l07_squares.ipynb").read_text())
        kinds = [cell["cell_type"] for cell in notebook["cells"]]
        assert kinds == ["markdown", "code", "markdown", "code", "code", "code"]
        assert "".join(notebook["cells"][0]["source"]).startswith("# Lesson 7. Squares")
        folded = [cell["metadata"].get("jupyter", {}).get("source_hidden", False) for cell in notebook["cells"]]
        assert "".join(notebook["cells"][5]["source"]) == "L.prove();"
        assert folded == [False, False, False, True, False, False], "only the cell that asks"
        assert notebook["metadata"]["kernelspec"]["name"] == "python3"

    def test_writes_over_nothing(self, folder, here, tmp_path):
        (tmp_path / "mine.ipynb").write_text("mine")
        status, _, said = here("open", folder, "--out", "mine.ipynb")
        assert status == 1 and "mine.ipynb is there already" in said
        assert (tmp_path / "mine.ipynb").read_text() == "mine"
        assert here("open", folder, "--out", "mine.ipynb", "--force")[0] == 0
        assert json.loads((tmp_path / "mine.ipynb").read_text())["cells"]

    def test_without_jupytext_it_names_the_extra(self, folder, here, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "jupytext", None)
        status, _, said = here("open", folder)
        assert status == 1 and "pip install 'minilm[notebook]'" in said
        assert not list(tmp_path.glob("*.ipynb"))


def test_list_shows_every_lesson(here):
    said = here("list")[1].splitlines()
    assert said[0].split("\t") == ["lesson", "title", "slide", "minutes", "after", "what it shows"]
    assert [line.split("\t")[0] for line in said[1:]] == [about.short for about in banks.find_lessons()]
