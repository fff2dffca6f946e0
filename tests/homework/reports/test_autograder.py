"""The autograder for Gradescope: what is in the zip, and that it grades, in a folder like Gradescope's."""

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from submissions import of_task

from minilm.cli import app
from minilm.course import load
from minilm.errors import ConfigError
from minilm.homework import autograder
from minilm.homework.autograder import build, copy, main, student_of

SECRET = b"a secret of the course"


@pytest.fixture(scope="module")
def bank():
    return load("l03")


@pytest.fixture(scope="module")
def archive(bank) -> bytes:
    return build(bank.about, "es", SECRET)


def unpacked(archive: bytes, root: Path) -> Path:
    """A folder like /autograder, with minilm as the zip's wheel has it in a folder of its own."""
    source = root / "source"
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        opened.extractall(source)
    (wheel,) = source.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(root / "installed")
    for name in ("submission", "results"):
        (root / name).mkdir()
    metadata = {"users": [{"id": 12, "email": "Ana@x.mx", "name": "Ana"}], "id": 99}
    (root / "submission_metadata.json").write_text(json.dumps(metadata))
    return root


def graded(root: Path) -> tuple[int, str, dict]:
    """run_autograder: its status, its stderr, and the results."""
    environment = {
        **{name: value for name, value in os.environ.items() if name not in ("MINILM_LANG", "MINILM_SECRET")},
        "AUTOGRADER": str(root), "MINILM_PYTHON": sys.executable, "PYTHONPATH": str(root / "installed"),
    }  # fmt: skip
    ran = subprocess.run(["bash", root / "source" / "run_autograder"], env=environment, cwd=root, capture_output=True,
                         text=True, check=False)  # fmt: skip
    path = root / "results" / "results.json"
    return ran.returncode, ran.stderr, json.loads(path.read_text("utf-8")) if path.exists() else {}


class TestZip:
    def test_holds_scripts_that_run_and_minilm_with_the_answers(self, archive, bank, tmp_path):
        assert build(bank.about, "es", SECRET) == archive
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            members = {member.filename: member for member in opened.infolist()}
            assert set(members) == {"setup.sh", "run_autograder", "homework.json", "secret",
                                    "minilm-0.1.0-py3-none-any.whl"}  # fmt: skip
            for name in ("setup.sh", "run_autograder"):
                assert members[name].external_attr >> 16 & 0o111
                (tmp_path / name).write_bytes(opened.read(name))
                assert subprocess.run(["bash", "-n", tmp_path / name], check=False).returncode == 0
            assert opened.read("secret").strip() == SECRET
            wheel = zipfile.ZipFile(io.BytesIO(opened.read("minilm-0.1.0-py3-none-any.whl")))
        names = set(wheel.namelist())
        assert {"minilm/lessons/l03_attention/tasks.py", "minilm/homework/reports/templates/student.html"} <= names
        needs = wheel.read("minilm-0.1.0.dist-info/METADATA").decode()
        assert "Requires-Dist: jinja2>=3.1\n" in needs and "Requires-Dist: numpy>=2\n" in needs and "extra" not in needs

    def test_another_language_is_refused(self, bank):
        with pytest.raises(ConfigError, match="language is 'fr'"):
            build(bank.about, "fr", SECRET)

    def test_the_command_takes_the_secret_and_tells_what_is_in_it(self, tmp_path, capsys, monkeypatch):
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("MINILM_SECRET", raising=False)
        (tmp_path / "key").write_bytes(SECRET + b"\n")
        (tmp_path / "key").chmod(0o600)
        with pytest.raises(SystemExit) as left:
            app.main(["homework", "gradescope", "l03", "--secret-file", "key", "--lang", "es"])
        assert not left.value.code
        assert "show it to no student" in " ".join(capsys.readouterr().out.split())
        with zipfile.ZipFile(tmp_path / "l03-gradescope.zip") as opened:
            assert opened.read("secret").strip() == SECRET
            assert json.loads(opened.read("homework.json")) == {"lesson": "l03", "language": "es"}


class TestBox:
    @pytest.mark.parametrize(
        ("metadata", "student"),
        [
            ('{"users": [{"id": 5, "email": "B@x.mx"}, {"id": 12, "email": "A@x.mx"}]}', "a@x.mx"),  # "12" < "5"
            ('{"users": [{"id": 5}]}', "5"),
            ('{"users": [{"id": 5, "email": "../../etc"}]}', "-..-etc"),
            ('{"users": [{"id": 5, "email": ".."}]}', "student"),
            ('{"users": []}', "student"), ("[]", "student"), ("{", "student"),
        ],
    )  # fmt: skip
    def test_students_are_named_safely(self, tmp_path, metadata, student):
        (tmp_path / "m.json").write_text(metadata)
        assert student_of(tmp_path / "m.json") == student
        assert student_of(tmp_path / "none.json") == "student"

    def test_links_stay_links_and_pipes_are_left_out(self, tmp_path):
        given = tmp_path / "given"
        (given / "deep").mkdir(parents=True)
        (given / "deep" / "l03.py").write_text("x = 1")
        (given / "l03.py").symlink_to("/etc/passwd")
        os.mkfifo(given / "pipe")
        copy(given, tmp_path / "to")
        assert (tmp_path / "to" / "l03.py").is_symlink() and (
            tmp_path / "to" / "deep" / "l03.py"
        ).read_text() == "x = 1"
        assert not (tmp_path / "to" / "pipe").exists()

    def test_without_a_submission_there_is_a_file_that_is_none(self, tmp_path):
        copy(tmp_path / "none", tmp_path / "to")
        assert os.listdir(tmp_path / "to") == ["nothing.txt"]

    def test_what_is_not_the_students_fault_gives_no_results(self, tmp_path, monkeypatch, capsys):
        (tmp_path / "source").mkdir()
        (tmp_path / "source" / "homework.json").write_text('{"lesson": "l99", "language": "en"}')
        (tmp_path / "source" / "secret").write_bytes(SECRET)
        monkeypatch.setattr(autograder, "sys", type(sys)("sys"))
        autograder.sys.executable, autograder.sys.stderr = "false", sys.stderr
        assert main([str(tmp_path)]) == 1
        assert "could not be graded (status 1)" in capsys.readouterr().err
        assert not (tmp_path / "results").exists()


@pytest.mark.slow
class TestRunning:
    def test_a_submission_is_graded(self, archive, bank, tmp_path):
        root = unpacked(archive, tmp_path)
        mutant = bank.mutants_of("L3.2")[0]
        (root / "submission" / "l03.py").write_bytes(of_task(bank.about.folder, mutant))
        status, said, found = graded(root)
        assert status == 0, said
        assert {t["number"]: t["status"] for t in found["tests"]} == {
            "L3.2": "failed", "L3.3": "passed", "L3.4": "passed", "L3.6": "passed", "L3.8": "passed", "L3.9": "passed"
        }  # fmt: skip
        assert 14 <= found["score"] < 15
        assert any("cause" in t["output"] or "causa" in t["output"] for t in found["tests"])

    @pytest.mark.parametrize("files", [{}, {"l03.py": "def f(:\n"}, {"a.txt": "hi"}])
    def test_what_cannot_be_graded_gives_no_points_and_a_reason(self, archive, tmp_path, files):
        root = unpacked(archive, tmp_path)
        for name, text in files.items():
            (root / "submission" / name).write_text(text)
        status, said, found = graded(root)
        assert status == 0, said
        assert found["score"] == 0 and len(found["output"] + "".join(t["output"] for t in found["tests"])) > 40
