"""`minilm homework release` and `pack`: what is given out, what is handed in, and what is said about it."""

import json
import os
import re
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import jupytext
import pytest
from downloads import notebook
from planted import plant

from minilm.cli import app
from minilm.course import banks, find_lessons, load
from minilm.course.banks import read_about
from minilm.errors import ConfigError, DataError
from minilm.homework import assignment, trying
from minilm.homework.assignment import Asked, as_json, asked_of, count_defined, lesson_of
from minilm.homework.intake import submissions
from minilm.homework.pack import Tried, pack, try_out
from minilm.homework.release import release
from minilm.i18n import language, speaking, tr

ROOT = Path(__file__).parents[2]
L03 = find_lessons(ROOT / "lessons")[3]
NAMES = [task.name for task in load(L03).tasks.values()]


@pytest.fixture(scope="module")
def released(tmp_path_factory) -> Path:
    """The homework of lesson 3."""
    out = tmp_path_factory.mktemp("release")
    release(L03, out, "en")
    return out


@pytest.fixture
def command(capsys, monkeypatch, tmp_path):
    """`minilm homework …` in this process: exit status, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*args: object) -> tuple[int, str, str]:
        try:
            status = app.main(["homework", *map(str, args)])
        except SystemExit as stopped:
            status = stopped.code
        said = capsys.readouterr()
        return status or 0, said.out, said.err

    return run


def solved(released: Path, *names: str) -> str:
    """The student's file with the reference's answers to some tasks."""
    source = (released / "l03.py").read_text("utf-8")
    reference = (L03.folder / "tasks.py").read_text("utf-8")
    for name in names:
        answer = re.search(rf"^def {name}\(.*?(?=\n\n\n|\Z)", reference, re.DOTALL | re.MULTILINE)[0]
        source = re.sub(
            rf"^def {name}\(.*?(?=\n\n# %%|\Z)", lambda _, a=answer: a, source, flags=re.DOTALL | re.MULTILINE
        )
    return source


class TestRelease:
    def test_writes_the_four_files(self, released):
        names = ["README.md", "l03.ipynb", "l03.py", "minilm-0.1.0+l03-py3-none-any.whl"]
        assert sorted(path.name for path in released.iterdir()) == names

    def test_the_notebook_is_the_script(self, released):
        book = jupytext.read(released / "l03.ipynb")
        script = jupytext.read(released / "l03.py", fmt="py:percent")
        assert [(c.cell_type, c.source) for c in book.cells] == [(c.cell_type, c.source) for c in script.cells]
        assert all(not c.get("outputs") for c in book.cells)

    def test_the_readme_names_all_that_is_to_do(self, released):
        readme = (released / "README.md").read_text("utf-8")
        for task in load(L03).tasks.values():
            points = "example" if task.worked else f"{task.points:g}"
            assert f"| {task.number} | `{task.name}` | {points} |" in readme
        for said in ("for 15 points in all", "6 functions", "minilm homework check l03.py --task L3.2",
                     "minilm homework pack l03.py", "pip install ./minilm-0.1.0+l03-py3-none-any.whl",
                     "`F.attention`, `F.self_attention`"):  # fmt: skip
            assert said in readme

    def test_twice_gives_the_same_bytes(self, released, tmp_path, monkeypatch):
        wheel = next(released.glob("*.whl")).read_bytes()  # of which test_runtime.py shows the same
        monkeypatch.setattr("minilm.homework.release.build_wheel", lambda about: wheel)
        release(L03, tmp_path, "en")
        for path in released.iterdir():
            assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name

    def test_is_in_the_language_asked_for(self, tmp_path, monkeypatch):
        monkeypatch.setattr("minilm.homework.release.build_wheel", lambda about: b"")
        seen = []
        monkeypatch.setattr("minilm.homework.release.readme", lambda *a: seen.append(language()) or "")
        release(L03, tmp_path, "es")
        assert seen == ["es"] and language() == "en"
        with pytest.raises(ConfigError, match="language is 'fr'; there are en, es"):
            release(L03, tmp_path, "fr")

    def test_writes_over_nothing(self, released, tmp_path, monkeypatch):
        monkeypatch.setattr("minilm.homework.release.build_wheel", lambda about: b"")
        (tmp_path / "README.md").write_text("mine")
        with pytest.raises(DataError, match=r"README.md is there already"):
            release(L03, tmp_path, "en")
        assert [path.name for path in tmp_path.iterdir()] == ["README.md"]
        release(L03, tmp_path, "en", force=True)
        assert (tmp_path / "README.md").read_text("utf-8") == (released / "README.md").read_text("utf-8")

    def test_command(self, command, tmp_path, monkeypatch):
        monkeypatch.setattr("minilm.homework.release.build_wheel", lambda about: b"")
        status, out, err = command("release", "l03", "--lang", "en")
        assert (status, err) == (0, "") and out.splitlines()[-1] == "6 tasks, 15 points; give out the whole folder"
        assert (tmp_path / "homework" / "l03" / "l03.py").is_file()
        status, out, err = command("release", "l03")
        assert (status, out) == (1, "") and "l03.py is there already" in err
        assert command("release", "l77")[0] == 1


class TestPack:
    def test_a_file_in_work(self, released, tmp_path):
        file = tmp_path / "l03.py"
        file.write_text(solved(released, "scores", "reading_mask").replace("def sinusoids", "def renamed"), "utf-8")
        made = pack(file)
        assert made.path == tmp_path / "l03.zip" and made.size == made.path.stat().st_size
        states = {task.name: made.state(task) for task in made.tasks}
        assert states == {
            "soft_lookup": "example", "scores": "solved", "attention_weights": "unsolved", "reading_mask": "solved",
            "multi_head": "unsolved", "sinusoids": "missing", "induction": "unsolved",
        }  # fmt: skip
        (found,) = submissions(made.path, "l03", NAMES)
        assert found.source == file.read_bytes() and found.notes == ()
        said = json.loads(zipfile.ZipFile(made.path).read("homework.json"))
        assert said["lesson"] == "l03" and said["unsolved"] == ["attention_weights", "multi_head", "induction"]

    def test_a_notebook(self, released):
        made = pack(released / "l03.ipynb", released.parent / "from_notebook.zip")
        assert [made.state(task) for task in made.tasks] == ["example", *["unsolved"] * 6]

    def test_twice_gives_the_same_bytes(self, released, tmp_path, monkeypatch):
        tried = Tried([], [], "")
        monkeypatch.setattr("minilm.homework.pack.try_out", lambda *a: tried)
        for out in ("a.zip", "b.zip"):
            pack(released / "l03.py", tmp_path / out)
        assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()

    @pytest.mark.parametrize(
        ("source", "said"),
        [
            ("def scores(:\n", "line 1 is no Python: "),
            ("x = 1\n\nimport nothing_of_this_name\n", "line 3: ModuleNotFoundError: No module named"),
            ("raise SystemExit\n", "importing it fails in line 1: SystemExit"),
            ("import os\nos._exit(0)\n", "it ends the process when it is imported"),
            ("def f():\n    1 / 0\nf()", "fails in line 2: ZeroDivisionError: division by zero"),
            ("x = '\0'", "is no Python"),
            ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "it ends the process"),
            ("(" * 5000, "is no Python"),
        ],
    )
    def test_what_cannot_be_imported_is_not_packed(self, tmp_path, source, said):
        file = tmp_path / "l03.py"
        file.write_text(source)
        with pytest.raises(DataError, match=r"l03.py is not packed, because ") as caught:
            pack(file)
        assert said in str(caught.value) and not (tmp_path / "l03.zip").exists()

    def test_time_is_limited_and_nothing_keeps_running(self, tmp_path):
        note = tmp_path / "child"
        spin = f"import os\nif not os.fork():\n    open({str(note)!r}, 'w').write(str(os.getpid()))\nwhile True: pass"
        start = time.monotonic()
        tried = try_out(spin.encode(), [], 1.0)
        assert "takes more than 1 s" in tried.problem and time.monotonic() - start < 20
        child = int(note.read_text())
        for _ in range(100):
            status = Path(f"/proc/{child}/stat")
            if not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z":
                break
            time.sleep(0.05)
        else:
            os.kill(child, 9)
            pytest.fail("a process that the file started still runs")

    def test_what_is_beside_the_file_does_not_help(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "helper.py").write_text("x = 1")
        (tmp_path / "l03.py").write_text("import helper")
        with pytest.raises(DataError, match="No module named 'helper'"):
            pack(tmp_path / "l03.py")

    def test_what_is_no_homework_is_refused(self, tmp_path):
        (tmp_path / "l03.txt").write_text("x")
        with pytest.raises(DataError, match=r"what is packed is the .py or the .ipynb"):
            pack(tmp_path / "l03.txt")
        with pytest.raises(DataError, match="there is no file or folder"):
            pack(tmp_path / "l03.py")
        (tmp_path / "l03.py").write_bytes(b"#" * (1 << 21))
        with pytest.raises(DataError, match="has more than 1048576 bytes"):
            pack(tmp_path / "l03.py")
        (tmp_path / "l03.ipynb").write_text("{}")
        with pytest.raises(DataError, match="is no notebook that can be read"):
            pack(tmp_path / "l03.ipynb")

    def test_command(self, command, released, tmp_path):
        (tmp_path / "mine.py").write_text(solved(released, "scores"), "utf-8")
        status, out, err = command("pack", "mine.py")
        assert (status, err) == (0, "")
        assert "L3.2\tscores\t1\twritten" in out and "L3.3\tattention_weights\t3\tUNSOLVED" in out
        assert "5 tasks are unsolved, of 14 points" in out and "l03.zip: " in out.splitlines()[-1]
        status, out, err = command("pack", "mine.py", "--out", "mine.txt")
        assert status == 1 and "what is handed in is a .zip" in err
        (tmp_path / "bad.py").write_text("def scores(")
        status, out, err = command("pack", "bad.py", "--lesson", "l03")
        assert status == 1 and err.startswith("minilm: bad.py is not packed, because line 1 is no Python")
        assert "Traceback" not in err

    def test_in_the_runtime_that_students_have(self, released, tmp_path):
        """Installed as the README says, but for the environment: the runtime alone makes the zip."""
        zipfile.ZipFile(next(released.glob("*.whl"))).extractall(tmp_path / "runtime")
        environment = {**os.environ, "PYTHONPATH": str(tmp_path / "runtime")}
        args = [sys.executable, "-m", "minilm", "homework", "pack", str(released / "l03.py"), "--out", "mine.zip"]
        ran = subprocess.run(args, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        assert "6 tasks are unsolved" in ran.stdout and (tmp_path / "mine.zip").is_file()
        args[4:] = ["release", "l03"]
        ran = subprocess.run(args, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert ran.returncode == 1 and "l03 has no tasks.py" in ran.stderr and "Traceback" not in ran.stderr


class TestUnsolved:
    @pytest.mark.parametrize(
        ("body", "unsolved"),
        [
            ("raise NotImplementedError('L3.2')", True),
            ("raise NotImplementedError", True),
            ("x = 1\n    raise NotImplementedError('L3.2')", True),
            ("def g():\n        return 1\n    raise NotImplementedError('L3.2')", True),
            ("g = lambda: 1\n    raise NotImplementedError('L3.2')", True),
            ("return 1\n    raise NotImplementedError('L3.2')", False),
            ("if x:\n        return 1\n    raise NotImplementedError('L3.2')", False),
            ("return 1", False),
            ("if x:\n        raise NotImplementedError\n    return 1", False),
            ("raise ValueError('L3.2')", False),
        ],
    )
    def test_is_what_raises_and_returns_nowhere(self, body, unsolved):
        found = trying.tried(f"def f(x):\n    {body}\n".encode(), ["f"])
        assert found["unsolved"] == (["f"] if unsolved else [])

    def test_the_last_definition_counts(self):
        source = b"def f():\n    raise NotImplementedError\n\ndef f():\n    return 1\n"
        assert trying.tried(source, ["f", "g"]) == {"defined": ["f"], "unsolved": [], "problem": None}


class TestAssignment:
    def test_what_is_written_is_read(self, tmp_path):
        folder = plant(tmp_path / "l07_squares")
        asked = asked_of(read_about(folder))
        assert asked[0] == Asked(
            "L7.1", "square", 2, False, False, "x times x, entry by entry; x: floats of any shape."
        )
        (folder / "tasks.json").write_text(as_json(asked), "utf-8")
        (folder / "tasks.py").unlink()
        assert asked_of(read_about(folder)) == asked
        (folder / "tasks.json").unlink()
        with pytest.raises(DataError, match="l07 has no tasks here"):
            asked_of(read_about(folder))

    def test_the_lesson_is_found_by_the_files_name_or_by_what_it_defines(self, tmp_path):
        source = b"def attention_weights(a, b):\n    pass\ndef sinusoids(n, d):\n    pass\n"
        assert lesson_of(Path("L05-final.py"), source).short == "l05"
        assert lesson_of(Path("mine.py"), source).short == "l03"
        assert lesson_of(Path("l77.py"), source).short == "l03"
        for unclear in (b"", b"def embed(): pass"):  # which two lessons ask for
            with pytest.raises(DataError, match="of which lesson is this the homework"):
                lesson_of(Path("mine.py"), unclear)

    def test_counting_reads_text_alone(self):
        source = (
            b"def a(): pass\nasync def b(): pass\n  def c(): pass\nx = 'def d()'\ndef  e\xff(): pass\ndef a(): pass\n"
        )
        assert count_defined(source, ["a", "b", "c", "d", "e"]) == 3


class TestWithheldFields:
    def test_a_lesson_may_withhold_nothing(self, tmp_path):
        about = read_about(plant(tmp_path / "l07_squares"))
        assert about.withheld == about.guarded == {}

    def test_a_field_of_another_kind_is_refused(self, tmp_path):
        folder = plant(tmp_path / "l07_squares")
        (folder / "lesson.toml").write_text((folder / "lesson.toml").read_text() + 'withheld = "F.softmax"\n')
        with pytest.raises(DataError, match="withheld is missing or no dict"):
            banks.read_about(folder)


def test_speaking_is_of_its_block_alone():
    with speaking("es"):
        assert language() == "es" and tr("lesson") == "lección"
        with speaking("en"):
            assert language() == "en" and tr("lesson") == "lesson"
        assert language() == "es"
    assert language() == "en"
    assert assignment.FILE == "tasks.json" and notebook("x")
