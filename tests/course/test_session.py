"""What a script says to L: right things are printed and recorded, wrong ones stop the lesson with a sentence."""

import json
import subprocess
import sys

import numpy as np
import pytest
from planted import CHECKS, TASKS, plant

from minilm.course import session
from minilm.course.cells import read_cells
from minilm.course.figures import matrix, subplots
from minilm.course.session import Refuted, digest, lesson
from minilm.errors import ConfigError, DataError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(session.RUN, "out", tmp_path / "out")
    return plant(tmp_path / "l07_squares")


@pytest.fixture
def L(folder):
    return lesson(str(folder))


OPTIONS = {"6": "square_is_double", "8": None, "9": True}


class TestPredictions:
    def test_are_printed_and_answered(self, L, capsys):
        L.ask("L7.1a", "What is 3 squared?", OPTIONS)
        L.answer("L7.1a", 9)
        assert capsys.readouterr().out == "\nL7.1a  What is 3 squared?\n  a) 6\n  b) 8\n  c) 9\nL7.1a  the answer: 9\n"

    def test_another_answer_stops_the_lesson(self, L):
        L.ask("L7.1a", "What is 3 squared?", OPTIONS)
        with pytest.raises(Refuted, match="L7.1a: the run shows “6”, the lesson says “9”"):
            L.answer("L7.1a", "6")

    @pytest.mark.parametrize("options", [{"a": True}, {"a": None, "b": None}, {"a": True, "b": True}, {}])
    def test_one_option_is_right(self, L, options):
        with pytest.raises(ConfigError, match="one option must be True"):
            L.ask("L7.1a", "Which?", options)

    def test_are_asked_once_and_before_the_answer(self, L):
        with pytest.raises(ConfigError, match="before it is asked"):
            L.answer("L7.1a", "9")
        L.ask("L7.1a", "What?", OPTIONS)
        with pytest.raises(ConfigError, match="asked twice"):
            L.ask("L7.1a", "What?", OPTIONS)
        with pytest.raises(ConfigError, match="never answered: L7.1a"):
            L.prove()

    def test_a_learner_chooses_by_letter_and_hears_the_hint(self, L, capsys, monkeypatch):
        monkeypatch.setattr(session.RUN, "step", True)
        typed = iter(["z", "", "ab", "A"])
        monkeypatch.setattr("builtins.input", lambda prompt: print(prompt, end="") or next(typed))
        L.ask("L7.1a", "What is 3 squared?", OPTIONS)
        L.answer("L7.1a", 9)
        said = capsys.readouterr().out
        assert said.count("your prediction (a to c): ") == 4
        assert said.endswith("L7.1a  the answer: 9\nyou predicted: 6\nWhat is 3 squared?\n")
        typed = iter(["c"])
        L.ask("L7.1b", "And now?", OPTIONS)
        L.answer("L7.1b", 9)
        assert "as you predicted" in capsys.readouterr().out
        L.prove(examples=5)
        assert "predictions: 1 of 2 right" in capsys.readouterr().out


class TestNumbers:
    def test_a_number_that_is_so_is_returned(self, L):
        assert L.said("0.25", 0.2519) == 0.2519
        assert L.said("83 %", np.float32(0.83)) == np.float32(0.83)

    def test_one_that_is_not_stops_the_lesson(self, L):
        with pytest.raises(Refuted, match=r"the prose says 0\.25, the run gives 0\.256"):
            L.said("0.25", 0.256)


class TestFigures:
    def test_are_saved_with_their_caption(self, L, capsys):
        fig, axes = subplots(1, 2)
        axes[0].plot([1, 2], [3, 4])
        matrix(axes[1], np.eye(2) - 0.5, rows="ab", columns="cd", title="t", xlabel="x", ylabel="y")
        path = L.figure(fig, "name", "What it shows.")
        assert path.read_bytes().startswith(b"\x89PNG") and path.parent.name == "out"
        assert capsys.readouterr().out == f"figure {path}: What it shows.\n"

    def test_a_matrix_writes_its_entries_but_zeros(self):
        _, axis = subplots()
        matrix(axis, [[0.0, 0.5], [1.0, 0.25]])
        assert [text.get_text() for text in axis.texts] == ["0.50", "1.00", "0.25"]


class TestProof:
    def test_is_a_table_and_a_file(self, L, folder, tmp_path, capsys):
        verdicts = L.prove(examples=5)
        assert [v.claim.number for v in verdicts] == ["L7.1", "L7.1", "L7.2", "L7.3"]
        said = capsys.readouterr().out
        assert "L7.1\tsquare\tit is x squared\tholds\n" in said and "L7.3\tminilm\tnumbers are numbers\tholds\n" in said
        assert "4 of 4 claims hold" in said
        record = json.loads((tmp_path / "out" / "claims.json").read_text())
        assert [claim["holds"] for claim in record["claims"]] == [True] * 4 and record["digest"] == digest(folder)

    def test_a_claim_that_fails_stops_the_lesson_and_is_recorded(self, tmp_path, monkeypatch, capsys):
        monkeypatch.setattr(session.RUN, "out", tmp_path / "out")
        L = lesson(str(plant(tmp_path / "l07_squares", checks_py=CHECKS.replace("n >= 0", "n >= 1"))))
        with pytest.raises(Refuted, match="L7.3 does not hold: numbers are numbers: not negative"):
            L.prove(examples=20)
        assert "FAILS" in capsys.readouterr().out
        record = json.loads((tmp_path / "out" / "claims.json").read_text())
        assert [claim["holds"] for claim in record["claims"]] == [True, True, True, False]

    def test_without_reference_answers_tasks_are_left_to_the_student(self, tmp_path, monkeypatch):
        monkeypatch.setattr(session.RUN, "out", tmp_path / "out")
        files = {"tasks_py": None, "mutants_py": None, "variants_py": None}
        L = lesson(str(plant(tmp_path / "l07_squares", **files)))
        assert [v.claim.number for v in L.prove(examples=5)] == ["L7.3"]

    def test_another_file_is_another_digest(self, folder):
        before = digest(folder)
        (folder / "tasks.py").write_text(TASKS + "\n# more\n")
        assert digest(folder) != before


def test_steps_and_times_are_said(L, capsys):
    assert list(L.steps(3, "training")) == [0, 1, 2]
    with L.timed("waiting"):
        pass
    assert capsys.readouterr().out.replace(".0 s", "") == "training: 3 steps, 0\nwaiting: 0\n"


def test_source_is_shown_as_it_is(L, capsys):
    import minilm.functional as F

    L.show(F.softmax, test_source_is_shown_as_it_is)
    said = capsys.readouterr().out
    assert said.startswith("@fused\ndef softmax(x, axis=-1):") and "def test_source_is_shown" in said


def test_blas_has_one_thread(folder):
    import threadpoolctl

    lesson(str(folder))
    assert {pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"} == {1}


class TestCells:
    def cells(self, tmp_path, text):
        path = tmp_path / "lesson.py"
        path.write_text(text)
        return read_cells(path)

    def test_prose_and_code(self, tmp_path):
        prose = 'r"""\n# T $\\alpha$\n\ntext\n"""'
        found = self.cells(tmp_path, f"# %% [markdown]\n{prose}\n# %%\n\nx = 1\n\n# %%\ny = 2\n")
        assert [(c.prose, c.source, c.line) for c in found] == [
            ("# T $\\alpha$\n\ntext", prose, 2),
            (None, "x = 1", 9),
            (None, "y = 2", 12),
        ]
        assert [c.heading for c in found] == ["T $\\alpha$", None, None]

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("x = 1\n", "has no cells"),
            ("# %% [md]\n'x'\n", "line 1: a cell begins with"),
            ("# %%\nx = 1\n# %%%\n", "line 3: a cell begins with"),
            ("# %% [markdown]\n# text\n", "line 2: prose is one raw string"),
            ('# %% [markdown]\nr"""text"""\nx = 1\n', "line 2: prose is one raw string"),
        ],
    )
    def test_others_are_refused(self, tmp_path, text, words):
        with pytest.raises(DataError, match=words):
            self.cells(tmp_path, text)


def test_importing_the_frame_imports_nothing_heavy():

    code = (
        "import sys, minilm.course, minilm.cli.lesson; print({'numpy', 'hypothesis', 'matplotlib'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


def test_code_is_whole_on_a_narrow_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    session.say_code(f"x = {'+ '.join('abcdefghijklmnopqrst')} + last")
    assert "last" in capsys.readouterr().out
