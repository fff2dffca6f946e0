"""`minilm homework check`: what a student is told at home, on a small lesson, with its answers at hand and without."""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from planted import plant
from submissions import reference

from minilm.cli import app, check
from minilm.course import Raised, find_lessons, load
from minilm.course.banks import read_about
from minilm.errors import ConfigError, DataError
from minilm.homework import home as homes
from minilm.homework.assignment import FILE, as_json, asked_of
from minilm.homework.diagnosis import diagnosing
from minilm.homework.home import Home, read
from minilm.homework.runtime import build_wheel

ROOT = Path(__file__).parents[2]
RIGHT = """
def square(x):
    return x * x

def total(x):
    return float(x.sum())
"""


def with_square(body: str) -> bytes:
    return f"def square(x):\n    {body}\n\ndef total(x):\n    return float(x.sum())\n".encode()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return plant(tmp_path_factory.mktemp("lessons") / "l07_squares")


@pytest.fixture(scope="module")
def home(folder):
    with Home(read_about(folder)) as one:
        yield one


@pytest.fixture(scope="module")
def alone(folder, tmp_path_factory):
    """The same lesson as a student has it."""
    own = plant(tmp_path_factory.mktemp("runtime") / "l07_squares", tasks_py=None, mutants_py=None, variants_py=None)
    (own / FILE).write_text(as_json(asked_of(read_about(folder))))
    with Home(read_about(own)) as one:
        yield one


def told(home, source, number="L7.1"):
    """The rows of one failing task, as {label: text}."""
    tested = home.test(source, home.chosen([number])[0])
    assert tested.state == "failed"
    return dict(reversed(check.told(tested, home.explain(source, tested), source, 80))), tested


class TestFound:
    def test_what_is_right_is_solved(self, home, alone):
        for one in (home, alone):
            found = [one.test(RIGHT.encode(), task) for task in one.asked]
            assert [t.state for t in found] == ["solved"] * 2 and [len(t.verdicts) for t in found] == [2, 1]
            assert one.trouble(RIGHT.encode()) is None

    @pytest.mark.parametrize(
        ("body", "kind", "line"),
        [
            ("return x + x", "value", 0),
            ("return x[0]", "shape", 0),
            ("return 'text'", "type", 0),
            ("return x * float('nan')", "nan", 0),
            ("return x.numpy() ** 2", "gradient", 0),
            ("return x * 0 + 4", "value", 0),
            ("return [][0]", "raised", 2),
            ("import os; os._exit(3)", "crash", 0),
            ("return bytearray(1 << 31)", "memory", 2),
        ],
    )
    def test_each_failure_has_its_kind_line_and_text(self, home, body, kind, line):
        rows, tested = told(home, with_square(body))
        assert (tested.failed[0].kind, tested.line) == (kind, line)
        assert rows["try"] == check.explain(kind).advice and rows["read"] == "lesson l07, section L7.1"
        assert ("line" in rows) == bool(line) and rows.get("line", "2: " + body) == f"2: {body}"
        assert not any("Traceback" in text or "minilm/" in text for text in rows.values())

    def test_the_smallest_case_is_shown_with_what_was_expected_beside_it(self, home):
        rows, tested = told(home, with_square("return x + x"))
        x = tested.failed[0].case["x"]
        assert np.count_nonzero(x) == 1 and abs(x).max() == 0.125
        assert rows["input"].startswith("x = [") and "0.125" in rows["input"]
        assert abs(x).sum() == 0.125
        assert rows["expected"].replace("0.0156*", "0.2500*") == rows["got"] != rows["expected"]
        assert "known mistake" in rows["cause"] or "square is double" in rows["cause"]
        assert rows["hint"] == "What is 3 squared?"

    def test_unsolved_and_missing_are_no_failures_of_thought(self, home):
        first, second = home.asked
        source = b"def square(x):\n    raise NotImplementedError('L7.1')\n"
        assert home.test(source, first).state == "unsolved" and home.test(source, second).state == "missing"
        assert len(home.test(source, first).verdicts) == 1, "there is nothing to try twice"

    @pytest.mark.parametrize(
        ("source", "kind", "line"),
        [
            ("def square(:\n", "syntax", 1),
            ("\nimport torch\n", "import", 2),
            ("x = 1 / 0\n", "import", 1),
            ("import os; os._exit(0)", "crash", 0),
        ],
    )
    def test_a_file_that_cannot_be_run_is_told_once(self, home, source, kind, line, capsys):
        trouble = home.trouble(source.encode())
        assert (trouble.kind, trouble.line) == (kind, line)
        assert not check.report(home, source.encode(), [])
        said = capsys.readouterr().out
        assert said.startswith(check.explain(kind).title + "\n") and "L7.1" not in said
        assert source.strip() in said or not line

    def test_a_task_uses_the_reference_of_the_one_before_it_or_ones_own(self, home, alone):
        source = b"def square(x):\n    return x + x\n\n"
        source += b"def total(x):\n    return float(square(x.sum()) ** 0.5 * (1 if x.sum() > 0 else -1))\n"
        assert home.test(source, home.asked[1]).state == "solved"
        assert alone.test(source, alone.asked[1]).state == "failed"

    def test_a_property_that_asks_another_task_asks_ones_own_where_there_is_no_other(self, home, alone):
        source = b"def square(x):\n    return x * x\n\ndef total(x):\n    return 7.0\n"
        with home.remote(source, home.asked[0]) as with_reference, alone.remote(source, alone.asked[0]) as own:
            assert (with_reference.total(np.ones(3)), own.total(np.ones(3))) == (3.0, 7.0)

    def test_a_worker_that_is_lost_is_not_replaced(self, home):
        started = []
        with home.remote(with_square("import os; os._exit(1)"), home.asked[0], started.append) as remote:
            for _ in range(3):
                with pytest.raises(Raised, match="ended"):
                    remote.square(np.ones(2))
        assert len(started) == 1

    def test_what_the_smallest_case_prints_is_shown(self, home):
        source = b"print('loaded')\n" + with_square("print('x is', x.shape, '\\x1b[2J'); return x + x")
        assert told(home, source)[0]["printed"] == "x is (3,) \\x1b[2J"

    def test_endless_ones_end(self, home, monkeypatch):
        monkeypatch.setattr(homes, "LIMITS", homes.Limits(answer=0.3, wall=2.0))
        before = time.monotonic()
        rows, tested = told(home, with_square("while True: pass"))
        assert tested.failed[0].kind == "time" and "0.3 seconds" in rows["what"] and time.monotonic() - before < 4

    def test_a_fault_of_the_doctor_is_no_fault_of_the_students(self, home, monkeypatch, caplog):
        monkeypatch.setattr(diagnosing, "examination", lambda *_: [][0])
        with caplog.at_level(logging.ERROR):
            rows, _ = told(home, with_square("return x + x"))
        assert rows["cause"] == "The cause is not known: the diagnosis itself failed"
        assert "IndexError" in caplog.text

    def test_a_slow_one_is_not_said_to_be_endless(self, home, monkeypatch):
        monkeypatch.setattr(homes, "LIMITS", homes.Limits(answer=5.0, wall=0.8))
        source = with_square("import time; time.sleep(0.02); return x + x")
        rows, tested = told(home, source)
        assert tested.failed[0].kind == "value" and rows["cause"].endswith("too slow to be asked more")

    def test_at_home_the_cause_is_found_without_the_reference(self, alone):
        assert "5" in told(alone, with_square("return 5 * x * x"))[0]["cause"]


class TestCommand:
    @pytest.fixture
    def command(self, capsys, monkeypatch, tmp_path, folder):
        monkeypatch.chdir(tmp_path)

        def run(source, *args):
            (tmp_path / "mine.py").write_text(source)
            try:
                status = app.main(["homework", "check", "mine.py", "--lesson", str(folder), *args])
            except SystemExit as stopped:
                status = stopped.code
            said = capsys.readouterr()
            return status or 0, said.out, said.err

        return run

    def test_all_right(self, command):
        status, said, err = command(RIGHT)
        assert (status, err) == (0, "")
        assert "L7.1\tsquare\t2\t2/2\tholds\nL7.2\ttotal\t1\t1/1\tholds\n2 of 2 tasks hold, 3 of 3 points" in said

    @pytest.fixture
    def warm(self, home, monkeypatch):
        """The command finds the processes of these tests instead of starting its own."""
        monkeypatch.setattr(check, "Home", lambda about, cases: contextlib.nullcontext(home))

    def test_one_is_wrong(self, command, warm):
        status, said, _ = command(RIGHT.replace("x * x", "x + x"))
        assert status == 1 and "L7.1\tsquare\t2\t1/2\tFAILS: The values are not right\nL7.2\ttotal\t1\t1/1" in said
        assert "\nL7.1 square: The values are not right\nproperty    it is x squared\n" in said

    def test_one_task_alone(self, command, warm):
        status, said, _ = command(RIGHT.replace("x * x", "x + x"), "--task", "L7.2")
        assert status == 0 and "square" not in said
        status, _, said = command(RIGHT, "--task", "L7.9")
        assert status == 1 and said == "minilm: --task L7.9: lesson l07 has the tasks L7.1, L7.2\n"

    def test_what_is_no_homework(self, tmp_path):
        for name, said in (("none.py", "there is no file"), ("a.txt", "what is checked is the .py or the .ipynb")):
            with pytest.raises(DataError, match=said):
                read(tmp_path / name)
        (tmp_path / "bad.ipynb").write_text("{}")
        with pytest.raises(DataError, match="no notebook that can be read"):
            read(tmp_path / "bad.ipynb")


def test_a_change_is_seen_once_it_is_whole(tmp_path, monkeypatch):
    """A file that is written in steps, or away for a moment, is waited for."""
    file, steps = tmp_path / "mine.py", []
    file.write_text("a")
    first = check._changed(file, None)

    actions = iter(["none", "gone", "half", "whole", "none", "none"])

    def act(seconds):
        steps.append(next(actions))
        if steps[-1] == "gone":
            file.unlink()
        elif steps[-1] != "none":
            file.write_text(steps[-1] * 2)

    clock = iter(range(100))
    monkeypatch.setattr(check.time, "sleep", act)
    monkeypatch.setattr(check.time, "monotonic", lambda: next(clock) * 0.15)
    assert check._changed(file, first) != first
    assert steps[:4] == ["none", "gone", "half", "whole"] and file.read_text() == "wholewhole"
    with pytest.raises(DataError, match="there is no file"):
        check._changed(tmp_path / "none.py", None)


def test_an_unknown_task_is_refused(home):
    with pytest.raises(ConfigError, match="L7.1, L7.2"):
        home.chosen(["L1.1"])


@pytest.mark.slow
def test_watch_goes_on_through_a_broken_file_until_ctrl_c(tmp_path, folder):
    file = tmp_path / "mine.py"
    file.write_text("def square(:\n")
    command = [sys.executable, "-u", "-m", "minilm", "homework", "check", str(file), "--lesson", str(folder), "--watch"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    watching = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)

    def until(text):
        seen = ""
        while text not in seen:
            line = watching.stdout.readline()
            assert line, seen + watching.stderr.read()
            seen += line
        return seen

    assert "The file is not Python" in until("Ctrl-C ends")
    file.write_text("\x00")
    until("Ctrl-C ends")
    file.write_text(RIGHT.replace("x * x", "x + x"))
    assert "FAILS" in until("Ctrl-C ends")
    file.write_text(RIGHT)
    assert "2 of 2 tasks hold" in until("Ctrl-C ends")
    watching.send_signal(signal.SIGINT)
    assert watching.wait(20) == 0 and "Traceback" not in watching.stderr.read()
    watching.stdout.close(), watching.stderr.close()


@pytest.mark.slow
@pytest.mark.parametrize("about", find_lessons(ROOT / "lessons"), ids=lambda about: about.short)
def test_every_lesson_is_checked_in_its_runtime(about, tmp_path):
    """The reference holds there, in seconds; the released file, unsolved, has a line for each task."""
    zipfile.ZipFile(BytesIO(build_wheel(about))).extractall(tmp_path / "runtime")
    file = tmp_path / f"{about.short}.py"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "runtime"), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "minilm", "homework", "check", str(file)]

    def run():
        return subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)

    file.write_text(reference(about.folder))
    ran = run()
    graded = [task for task in load(about).tasks.values() if not task.worked]
    assert (ran.returncode, ran.stderr) == (0, "") and f"{len(graded)} of {len(graded)} tasks hold" in ran.stdout
    file.write_text("\n".join(f"def {t.name}(*a):\n    raise NotImplementedError('{t.number}')\n" for t in graded))
    ran = run()
    assert (ran.returncode, ran.stderr) == (1, "") and ran.stdout.count("\tUNSOLVED\n") == len(graded)
