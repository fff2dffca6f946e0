"""One submission to one record: points, kinds, what is told of public cases; that nothing is of hidden ones."""

import dataclasses
import json

import pytest
from small_class import CHECKS, CLASS, ENDLESS, GOOD, POINTS, SECRET, lesson, seeds
from submissions import reference

from minilm.course.banks import find_lessons
from minilm.errors import ConfigError
from minilm.homework import grading, sandbox
from minilm.homework.grading import LIMITS, Grader, Rules
from minilm.homework.home import PUBLIC_CASES
from minilm.homework.intake import Note, Submission
from minilm.homework.record import Record

SLOW = pytest.mark.slow


@pytest.fixture(scope="module")
def grader(tmp_path_factory):
    limits = dataclasses.replace(LIMITS, answer=0.3, load=0.5)
    rules = Rules(str(lesson(tmp_path_factory.mktemp("small"))), hidden=4, calls=12, limits=limits)
    with Grader(rules) as made:
        yield made


def grade(grader, source, student="ana", only=()):
    data = source if isinstance(source, bytes) or source is None else source.encode()
    return grader.grade(Submission(student, "", data, "l07.py"), seeds(grader.bank, student), only)


def states(found):
    return {task.number: task.state for task in found.record.tasks}


class TestPoints:
    @pytest.mark.parametrize("student", [s if s in "ana dora" else pytest.param(s, marks=SLOW) for s in CLASS])
    def test_are_those_of_the_properties_that_hold(self, grader, student):
        assert grade(grader, CLASS[student]).record.points == POINTS[student]

    def test_a_good_one_was_tried_in_public_and_hidden_cases(self, grader):
        found = grade(grader, GOOD)
        assert found.record.points == found.record.of == 6 and not found.problems
        first = found.record.tasks[0]
        assert first.public[0].of == PUBLIC_CASES and first.hidden[0].of == grader.rules.hidden
        assert first.cause is None and first.message == first.kind == ""

    def test_each_property_is_an_equal_part(self, grader):
        task = grade(grader, CLASS["dora"]).record.tasks[2]
        assert (task.state, task.earned, [c.passed for c in task.public]) == ("partial", 1.5, [False, True])

    def test_an_endless_task_costs_its_own_points_alone(self, grader):
        found = grade(grader, ENDLESS)
        assert states(found) == {"L7.1": "solved", "L7.2": "failed", "L7.3": "solved"}
        assert found.record.tasks[1].kind == "time"

    def test_what_fails_only_in_hidden_cases_fails(self, grader):
        memory = "n = 0\ndef total(x):\n    global n\n    n += 1\n"
        found = grade(grader, GOOD + memory + f"    return float(x.sum()) if n <= {PUBLIC_CASES} else 0.5\n")
        task = found.record.tasks[1]
        assert (task.state, task.earned, task.kind) == ("failed", 0.0, "value")
        assert task.public[0].passed and not task.hidden[0].passed and "hidden" in task.message

    def test_one_task_alone(self, grader):
        assert states(grade(grader, GOOD, only=("L7.2",))) == {"L7.2": "solved"}

    @SLOW
    def test_the_same_twice(self, grader):
        first, again = (grade(grader, CLASS["carl"]).record.to_json() for _ in range(2))
        assert first == again and Record.from_json(first).to_json() == first


class TestHidden:
    def test_seeds_differ_between_students_and_cases_are_the_same_again(self, grader):
        claim = grader.bank.claims_of("L7.1")[0]
        ana, bea = (seeds(grader.bank, student)["L7.1"][0] for student in ("ana", "bea"))
        chosen = [[str(case) for case in grader.hidden(claim, pair)] for pair in (ana, bea, ana)]
        assert chosen[0] == chosen[2] != chosen[1] and len(chosen[0]) == grader.rules.hidden

    @pytest.mark.parametrize(
        "how",
        [
            "raise ValueError(repr(seen))",
            pytest.param("print(seen); return x", marks=SLOW),
            pytest.param("return float(seen[0][0])", marks=SLOW),
        ],
    )
    def test_no_hidden_input_is_told(self, grader, how):
        """Not by a file that tells everything it was ever asked, as soon as hidden cases begin."""
        source = GOOD + (
            "\nseen = []\ndef total(x):\n    seen.insert(0, x.tolist())\n"
            f"    if len(seen) <= {PUBLIC_CASES}: return float(x.sum())\n    {how}\n"
        )
        found = grade(grader, source)
        claim = grader.bank.claims_of("L7.2")[0]
        shown = {repr(v) for (x,) in grader.public(claim) for v in x.tolist()}
        hidden = {repr(v) for (x,) in grader.hidden(claim, seeds(grader.bank, "ana")["L7.2"][0]) for v in x.tolist()}
        told = [v for v in hidden - shown if len(v) > 4 and v in found.record.to_json()]
        assert found.record.tasks[1].state == "failed" and not told


class TestTold:
    def test_the_smallest_public_case_and_the_cause(self, grader):
        task = grade(grader, CLASS["carl"]).record.tasks[0]
        claim = task.public[0]
        assert claim.case and claim.expected and claim.got and claim.kind == "value"
        assert task.cause.misconception == "square_is_double" and task.cause.hint == "What is 3 squared?"

    @pytest.mark.parametrize(
        ("source", "kind", "line"),
        [
            ("x = 1\ndef f(:\n", "syntax", 2),
            ("import torch\n", "import", 1),
            pytest.param("import os\nos._exit(0)\n", "crash", 0, marks=SLOW),
            pytest.param("while True: pass\n", "time", 0, marks=SLOW),
            pytest.param("x = bytearray(10**12)\n", "memory", 1, marks=SLOW),
        ],
    )
    def test_a_file_that_cannot_be_run(self, grader, source, kind, line):
        tasks = grade(grader, source).record.tasks
        assert {(task.state, task.kind, task.line) for task in tasks} == {("unreadable", kind, line)}

    @pytest.mark.parametrize(("student", "number", "state"), [("fina", 1, "missing"), ("gil", 2, "unsolved")])
    def test_a_task_that_is_not_there(self, grader, student, number, state):
        task = grade(grader, CLASS[student]).record.tasks[number]
        assert (task.state, task.kind, task.cause.cause) == (state, state, state)

    def test_the_line_of_an_error(self, grader):
        source = GOOD + "\ndef total(x):\n    y = 1\n    return y / 0\n"
        task = grade(grader, source).record.tasks[1]
        assert (task.kind, source.split("\n")[task.line - 1].strip()) == ("raised", "return y / 0")

    def test_nobody_who_handed_in_nothing(self, grader):
        given = Submission("ana", "", None, "", (Note("missing", "there is no file"),))
        tasks = grader.grade(given, seeds(grader.bank, "ana")).record.tasks
        assert {(task.state, task.kind, task.message) for task in tasks} == {
            ("unreadable", "unreadable", "there is no file")
        }

    def test_suspicious_imports_and_what_was_printed(self, grader):
        source = "import os, numpy as np\nprint('hello')\nclass A:\n    y = A.__subclasses__() if 0 else 1\n" + GOOD
        record = grade(grader, source).record
        assert record.suspicious == ((1, "import os"), (4, ".__subclasses__")) and record.printed == "hello\n"

    def test_text_that_no_file_can_hold_and_addresses(self, grader):
        source = GOOD + "\ndef total(x):\n    raise ValueError('\\ud800' + repr(object()))\n"
        text = grade(grader, source).record.to_json()
        assert text.encode() and "0x…" in json.loads(text)["tasks"][1]["message"]


@SLOW
@pytest.mark.parametrize("about", find_lessons(), ids=lambda about: about.short)
def test_a_broken_task_of_any_lesson_costs_its_own_points_alone(about):
    """Be it wrong, raising or gone; and the reference itself gets all."""
    with Grader(Rules(about.short, hidden=4, calls=12)) as grader:
        bank, good = grader.bank, reference(about.folder)
        assert graded(grader, bank, good).points == graded(grader, bank, good).of > 0
        for number, task in grader.tasks.items():
            broken = f"def {task.name}(*_, **__):\n    raise ArithmeticError\n"
            for source in (f"{good}\n{broken}", f"{good}\n{task.name} = None\n"):
                found = graded(grader, bank, source)
                assert {t.number for t in found.tasks if t.state != "solved"} == {number}, number
                assert found.points == found.of - task.points


def graded(grader, bank, source):
    of_all = {
        number: tuple(
            (SECRET.seed(bank.about.short, None, number, i), SECRET.seed(bank.about.short, "ana", number, i))
            for i in range(len(bank.claims_of(number)))
        )
        for number in bank.tasks
    }
    return grader.grade(Submission("ana", "", source.encode(), "x.py"), of_all).record


class TestOurFaults:
    def test_a_property_that_the_reference_fails_costs_nothing(self, tmp_path, grader, monkeypatch):
        from minilm.course.banks import load

        broken = CHECKS.replace("expect(impl.fourth(x) >= 0", "expect(impl.fourth(x) > 1e9")
        monkeypatch.setattr(grader, "bank", load(lesson(tmp_path, checks_py=broken)))
        monkeypatch.setattr(grader, "_cases", {})
        monkeypatch.setattr(grader, "_calls", {})
        found = grade(grader, GOOD)
        assert found.record.points == 6 and any("it counts as met" in problem for problem in found.problems)

    def test_a_doctor_that_fails_costs_nothing(self, grader, monkeypatch):
        def fail(*_):
            raise ZeroDivisionError("oh")

        monkeypatch.setattr(grading, "diagnose", fail)
        found = grade(grader, CLASS["bea"])
        assert found.record.points == 5 and found.record.tasks[1].cause.cause == "unknown"
        assert found.problems == ("L7.2: the doctor failed: ZeroDivisionError: oh",)

    def test_another_version_grades_nothing(self):
        with pytest.raises(ConfigError, match="install the same version"):
            Grader(Rules("l03", version="0.0"))

    def test_strict_names_the_layers_that_are_missing(self, tmp_path):
        with pytest.raises(ConfigError, match="strict: these layers are missing here: .*landlock"):
            Grader(Rules(str(lesson(tmp_path)), layers=("uid",), strict=True))
        assert "landlock" in sandbox.STRICT
