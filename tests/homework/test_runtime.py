"""The student runtime: it answers no task, and all that a homework needs works in it."""

import ast
import csv
import hashlib
import io
import json
import os
import subprocess
import sys
import warnings
import zipfile
from base64 import urlsafe_b64encode
from pathlib import Path

import numpy as np
import one_call
import pytest
from shortcuts import SHORTCUTS

from minilm.course import Local, find_lessons, load
from minilm.course.banks import About
from minilm.errors import DataError
from minilm.homework import runtime, withholding
from minilm.homework.withholding import guard, place, withhold
from minilm.withheld import WithheldError, guarded

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
ABOUTS = find_lessons(ROOT / "lessons")
FAST = ("l04",)  # of which every test tries the runtime itself; of the others the thorough ones do

each_lesson = pytest.mark.parametrize("about", ABOUTS, ids=lambda about: about.short)
few_lessons_and_slowly_each = pytest.mark.parametrize(
    "about", [pytest.param(a, id=a.short, marks=() if a.short in FAST else pytest.mark.slow) for a in ABOUTS]
)


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """A lesson's wheel, unpacked once for all tests."""
    made = {}

    def unpack(about: About) -> Path:
        if about.short not in made:
            made[about.short] = tmp_path_factory.mktemp(about.short)
            zipfile.ZipFile(io.BytesIO(runtime.build_wheel(about))).extractall(made[about.short])
        return made[about.short]

    return unpack


def run(folder: Path, *args: object, cwd: Path | None = None) -> subprocess.CompletedProcess:
    """Python in which the runtime is the only minilm."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, *map(str, args)]
    return subprocess.run(command, env=environment, cwd=cwd or folder, capture_output=True, text=True, check=False)


@few_lessons_and_slowly_each
def test_a_runtime_serves_its_homework_and_answers_nothing(about, unpacked, request):
    how = ["--claims", 10, "--whole"] if request.config.getoption("--thorough") else ["--claims", 1]
    ran = run(unpacked(about), HERE / "in_runtime.py", about.folder, *how)
    assert ran.returncode == 0, ran.stderr[-3000:]
    found = json.loads(ran.stdout.splitlines()[-1])
    assert Path(found["minilm"]).is_relative_to(unpacked(about))
    assert found["asked"] == list(load(about).tasks)
    assert found["answers"] == [0, 0, 0]
    assert found["unimportable"] == {}
    assert {n: what for n, what in found["refused"].items() if not what.startswith("WithheldError")} == {}
    assert {n: ends for n, ends in found["shortcuts"].items() if not all("WithheldError" in e for e in ends)} == {}
    assert all(found["shortcuts"].values())
    assert found["broken"] == {}, "a right answer cannot be given, or not be checked, in the runtime"


@few_lessons_and_slowly_each
def test_shortcuts_are_right_on_the_whole_minilm(about):
    """Else it would say nothing that the runtime refuses them."""
    own = {number: function for number, function in SHORTCUTS.items() if number.startswith(f"L{about.number}.")}
    bank = load(about)
    tasks = {number: bank.tasks[number] for number in own}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        cases = one_call.recorded(bank, tasks)
        for number, function in own.items():
            name = tasks[number].name
            impl = Local(bank.tasks, {name: function})
            assert len(cases[name]) >= 2
            for arguments, result in cases[name]:
                assert one_call.same(impl.call(name, arguments), result), number


@pytest.mark.slow
@each_lesson
def test_no_function_of_a_runtime_answers_a_task(about, unpacked):
    """Every function of minilm is tried with the arguments of every task. On the whole minilm some are found, all of
    them among what is withheld or guarded; in the runtime none is."""
    command = (HERE / "one_call.py", about.folder)
    whole, own = run(ROOT, *command), run(unpacked(about), *command)
    assert whole.returncode == own.returncode == 0, whole.stderr + own.stderr
    found = [json.loads(line) for line in whole.stdout.splitlines()]
    names = [name for table in (about.withheld, about.guarded) for listed in table.values() for name in listed]
    assert {where.rpartition(".")[2] for _, where, _ in found} <= {name.rpartition(".")[2] for name in names}
    assert own.stdout == ""


@each_lesson
def test_what_is_withheld_is_there_and_answers_a_task(about):
    for table in (about.withheld, about.guarded):
        for number, names in table.items():
            assert number in load(about).tasks and names
    withholding.places(about.withheld), withholding.places(about.guarded)


def test_shortcuts_are_of_tasks_that_withhold_something():
    withheld = {number for about in ABOUTS for number in {**about.withheld, **about.guarded}}
    assert set(SHORTCUTS) - withheld <= {"L3.6"}  # which L3.3's serve


@pytest.fixture(scope="module")
def archive() -> zipfile.ZipFile:
    """The wheel of lesson 3."""
    return zipfile.ZipFile(io.BytesIO(runtime.build_wheel(ABOUTS[3])))


class TestWheel:
    def test_holds_no_answers(self, archive):
        names = archive.namelist()
        assert [
            n
            for n in names
            if n.startswith("minilm/lessons/") and Path(n).name in ("tasks.py", "mutants.py", "variants.py")
        ] == []
        assert "minilm/lessons/l03_attention/checks.py" in names and "minilm/lessons/l04_gpt/lesson.py" in names
        assert [n for n in names if "__pycache__" in n or n.startswith(("/", "."))] == []
        assert [n for n in names if n.endswith("tasks.json")] == ["minilm/lessons/l03_attention/tasks.json"]
        assert "minilm/locale/es/LC_MESSAGES/minilm.mo" in names and "minilm/data/corpora.json" in names

    def test_is_a_wheel(self, archive):
        info = "minilm-0.1.0+l03.dist-info"
        record = {row[0]: row[1:] for row in csv.reader(archive.read(f"{info}/RECORD").decode().splitlines())}
        assert set(record) == set(archive.namelist())
        for name, (digest, length) in record.items():
            if name != f"{info}/RECORD":
                data = archive.read(name)
                own = urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
                assert (digest, int(length)) == (f"sha256={own}", len(data))
        metadata = archive.read(f"{info}/METADATA").decode()
        assert "Name: minilm\nVersion: 0.1.0+l03\n" in metadata and "Requires-Dist: numpy>=2\n" in metadata
        assert "extra" not in metadata

    def test_is_the_same_each_time(self, archive):
        assert runtime.build_wheel(ABOUTS[3]) == archive.fp.getvalue()

    def test_is_imported_from_where_it_lies_and_speaks_spanish(self, tmp_path, archive):
        path = tmp_path / runtime.wheel_name(ABOUTS[3])
        path.write_bytes(archive.fp.getvalue())
        code = (
            "import os, minilm as ml, numpy as np\n"
            "print(ml.__file__, float((ml.Tensor(np.ones(3)) * 2).sum()))\n"
            "os.environ['MINILM_LANG'] = 'es'\n"
            "from minilm.i18n import tr, language\n"
            "print(language(), tr('lesson'))"
        )
        ran = run(path, "-c", code, cwd=tmp_path)
        assert ran.stdout.splitlines() == [f"{path}/minilm/__init__.py 6.0", "es lección"], ran.stderr

    @pytest.mark.slow
    def test_pip_installs_it(self, tmp_path, archive):
        path = tmp_path / runtime.wheel_name(ABOUTS[3])
        path.write_bytes(archive.fp.getvalue())
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target"]
        subprocess.run([*pip, str(tmp_path / "there"), str(path)], check=True)
        code = "import minilm.functional as F; from minilm.homework.assignment import asked_of\n"
        code += "from minilm.course import find_lessons; print(len(asked_of(find_lessons()[3]))); F.attention()"
        ran = run(tmp_path / "there", "-c", code)
        assert ran.stdout == "7\n" and "F.attention is not in this runtime of minilm" in ran.stderr


SOURCE = '''
"""A module."""
from minilm.autograd.operation import fused


def helper(x):
    return _deep(x)


def _deep(x):
    return x


def _only_there(x):
    return _deeper(x) + _shared(x)


def _deeper(x):
    return x


def _shared(x):
    return x


@fused
def answer(x, *, y=1):
    """The answer."""
    # how it is found
    return _only_there(x)


@answer.kernel
def _(x, *, save):
    return _in_the_kernel(x)


def _in_the_kernel(x):
    return x


@fused
def other(x):
    return _shared(x)


@other.kernel
def _(x, *, save):
    return x


class Thing:
    """A thing."""

    def __init__(self, x):
        self.x = x

    @classmethod
    def make(cls, x):
        return cls(x)

    @staticmethod
    def static(x):
        return x

    def method(self):
        return self.x
'''


class TestCutting:
    """On a small source, whose every line is known."""

    def cut(self, name: str, texts: dict[str, str] | None = None) -> str:
        sources = {"minilm/small.py": SOURCE, **(texts or {})}
        return withhold(sources, [withholding.Place("minilm.small", name, f"small.{name}", "L7.1")])["minilm/small.py"]

    def defined(self, source: str) -> list[str]:
        return [node.name for node in ast.parse(source).body if hasattr(node, "name")]

    def test_an_operation_goes_with_its_kernels_and_what_they_alone_use(self):
        found = self.cut("answer")
        assert self.defined(found) == ["helper", "_deep", "_shared", "answer", "other", "_", "Thing"]
        assert "The answer" not in found and "how it is found" not in found and "y=1" not in found
        assert found.split("class Thing")[1] == SOURCE.split("class Thing")[1]

    def test_what_another_module_uses_stays(self):
        found = self.cut("answer", {"minilm/user.py": "from minilm.small import _deeper\n"})
        assert "_deeper" in self.defined(found) and "_only_there" not in self.defined(found)
        found = self.cut("answer", {"minilm/user.py": "from minilm.small import _only_there\n"})
        assert {"_deeper", "_only_there"} <= set(self.defined(found)) and "_in_the_kernel" not in self.defined(found)

    @pytest.mark.parametrize("name", ["Thing", "Thing.make", "Thing.static", "Thing.method", "helper"])
    def test_what_is_left_raises_and_nothing_else_does(self, name):
        namespace = _with_fused({"__name__": "small"})
        exec(self.cut(name).replace("from minilm.autograd.operation import fused", "fused = FUSED"), namespace)
        thing = namespace["Thing"]
        calls = {
            "Thing": lambda: thing(1), "Thing.make": lambda: thing.make(1), "Thing.static": lambda: thing.static(1),
            "Thing.method": lambda: thing(1).method(), "helper": lambda: namespace["helper"](1),
        }  # fmt: skip
        gone = {name} if name != "Thing" else {"Thing", "Thing.make", "Thing.static", "Thing.method"}
        for each, call in calls.items():
            if each in gone:
                with pytest.raises(WithheldError, match=f"small.{name} is not in this runtime .* answers task L7.1"):
                    call()
            else:
                call()

    def test_names_that_are_not_there_are_refused(self):
        for said in ("F.soft_max", "nothing.at.all", "text.ByteBPE.eat"):
            with pytest.raises(DataError, match=f"{said} is no name of minilm"):
                place(said)
        with pytest.raises(DataError, match="is no function and no class"):
            place("functional")

    def test_names_are_found_where_they_are_defined(self):
        assert place("F.softmax", "L1.1") == withholding.Place("minilm.autograd.fused", "softmax", "F.softmax", "L1.1")
        assert place("text.ByteBPE.train").name == "ByteBPE.train"
        assert place("grad").module == "minilm.autograd.backward"
        assert place("Tensor.backward").name == "Tensor.backward"


class _Operation:
    """Stands for an operation of the engine."""

    def __init__(self, function):
        self.function = function

    def __call__(self, *args):
        return self.function(*args)

    def kernel(self, function):
        return function


def _with_fused(namespace: dict) -> dict:
    namespace["FUSED"] = _Operation
    return namespace


class TestGuard:
    def test_lets_minilm_in_and_strangers_not(self):
        def double(x):
            """Twice x."""
            return 2 * x

        shut = guarded("small.double", "L7.1")(double)
        assert shut.__doc__ == "Twice x." and shut.__name__ == "double"
        with pytest.raises(WithheldError, match="small.double is not in this runtime of minilm"):
            shut(1)
        for name, right in (("minilm.small", True), ("minilm_lessons_0a1b.checks", True), ("minilmx", False),
                            ("submission", False), ("__main__", False)):  # fmt: skip
            caller: dict = {"__name__": name, "shut": shut}
            exec("def call(x):\n    return shut(x)", caller)
            if right:
                assert caller["call"](3) == 6
            else:
                with pytest.raises(WithheldError):
                    caller["call"](3)

    @pytest.mark.parametrize("name", ["Thing", "Thing.make", "Thing.static", "Thing.method", "helper", "answer"])
    def test_wraps_every_kind(self, name):
        at = withholding.Place("minilm.small", name, f"small.{name}", "L7.1")
        source = guard({"minilm/small.py": SOURCE}, [at])["minilm/small.py"]
        namespace = _with_fused({"__name__": "minilm.small"})
        exec(source.replace("from minilm.autograd.operation import fused", "fused = FUSED"), namespace)
        thing = namespace["Thing"]
        calls = {
            "Thing": lambda: thing(1), "Thing.make": lambda: thing.make(1), "Thing.static": lambda: thing.static(1),
            "Thing.method": lambda: object.__new__(thing).method(), "helper": lambda: namespace["helper"](1),
            "answer": lambda: namespace["answer"](1),
        }  # fmt: skip
        with pytest.raises(WithheldError):
            calls[name]()
        if name == "Thing":
            assert thing.make(1).x == 1  # minilm's own way to it is open
