"""Every lesson keeps the rules of the course, and its claims tell right answers from wrong ones."""

import ast
import functools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from prose import terms_in, unsupported_numbers
from script import function_length, length, names_used, read_script, resolve

from minilm.course import find_lessons, load
from minilm.course.banks import FILES, markdown_map, natural
from minilm.course.cells import without
from minilm.course.checking import check_own, check_task
from minilm.course.marks import NUMBER

ROOT = Path(__file__).parents[2]
ABOUTS = find_lessons(ROOT / "lessons")
TASKS = [(about, task) for about in ABOUTS for task in load(about).tasks.values()]

each_lesson = pytest.mark.parametrize("about", ABOUTS, ids=lambda about: about.short)
each_task = pytest.mark.parametrize(("about", "task"), TASKS, ids=[f"{task.number}" for _, task in TASKS])
one_task_and_slowly_each = pytest.mark.parametrize(
    ("about", "task"),
    [
        pytest.param(about, task, id=task.number, marks=() if task.number.endswith(".1") else pytest.mark.slow)
        for about, task in TASKS
    ],
)


@functools.cache
def script_of(about_folder: Path):
    return read_script(about_folder / "lesson.py")


def names_of(about):
    """Every name of minilm that the lesson's files use, with its object."""
    paths = [about.folder / f"{name}.py" for name in ("lesson", *FILES)]
    return {name: found for path in paths for name, found in names_used(path.read_text("utf-8")).items()}


def earlier(about):
    return [other for other in ABOUTS if other.number < about.number]


def later(about):
    return [other for other in ABOUTS if other.number > about.number]


class TestFolder:
    @each_lesson
    def test_is_named_by_its_number_and_comes_after_earlier_ones(self, about):
        assert re.fullmatch(rf"l{about.number:02d}_[a-z_]+", about.folder.name)
        assert [name for name in about.after if not name < about.short] == []
        assert about.title and about.summary.endswith(".") and 20 <= about.minutes <= 300

    @each_lesson
    def test_holds_its_files_and_no_other(self, about):
        found = {path.name for path in about.folder.iterdir() if path.name != "__pycache__"}
        assert found == {"lesson.toml", "lesson.py", *(f"{name}.py" for name in FILES)}

    def test_nothing_is_introduced_twice(self):
        for what in ("introduces", "terms"):
            names = [name for about in ABOUTS for name in getattr(about, what)]
            assert sorted(names) == sorted(set(names)), what

    def test_numbers_are_the_lessons_own(self):
        assert len({about.number for about in ABOUTS}) == len(ABOUTS)


class TestScript:
    @each_lesson
    def test_cells_are_short(self, about):
        long = {cell.line: length(cell.source) for cell in script_of(about.folder).code if length(cell.source) > 15}
        assert long == {}, "first line of the cell: its lines, of which there may be 15"

    @each_lesson
    def test_lets_predict_and_answers_in_a_later_cell(self, about):
        script = script_of(about.folder)
        asked = {label: line for kind, label, line in script.calls if kind == "ask"}
        answered = {label: line for kind, label, line in script.calls if kind == "answer"}
        assert len(asked) >= 3 and asked.keys() == answered.keys() == script.asked.keys()
        assert len(script.calls) == 2 * len(asked), "a label is used twice"
        assert [label for label in asked if not asked[label] < answered[label]] == [], "answered in the cell that asks"

    @each_lesson
    def test_a_cell_that_asks_does_nothing_else(self, about):
        """Its code names the right option, so a notebook folds it away."""
        cells = [cell for cell in script_of(about.folder).code if "L.ask(" in cell.source]
        assert [cell.line for cell in cells if without(cell.source, "ask")] == []

    @each_lesson
    def test_misconceptions_of_predictions_are_in_the_bank(self, about):
        known = {mutant.misconception for mutant in load(about).mutants}
        for label, options in script_of(about.folder).asked.items():
            named = {v.value for v in options.values if isinstance(v, ast.Constant) and isinstance(v.value, str)}
            assert named <= known, label

    @each_lesson
    def test_has_figures_and_ends_with_its_proof(self, about):
        script = script_of(about.folder)
        assert len(script.captions) >= 2
        assert "L.prove()" in script.code[-1].source

    @each_lesson
    def test_opens_with_its_claims_and_has_a_section_for_each(self, about):
        script, numbers = script_of(about.folder), sorted({c.number for c in load(about).claims}, key=natural)
        listed = re.findall(r"^- \*\*(L\d+\.\d+)\*\* \S.*", script.prose[0], re.MULTILINE)
        assert listed == numbers
        assert 5 <= len(numbers) <= 9
        headings = [
            NUMBER.search(h)[0] for p in script.prose for h in re.findall(r"^#+ .*", p, re.M) if NUMBER.search(h)
        ]
        assert headings == numbers

    @each_lesson
    def test_every_number_is_computed_or_has_a_source(self, about):
        script = script_of(about.folder)
        texts = [*script.prose, *script.captions]
        wrong = [line for text in texts for line in unsupported_numbers(text, script.said, script.literals)]
        assert wrong == []

    @each_lesson
    def test_numbers_that_are_said_stand_in_the_prose(self, about):
        """A number that left the prose need not be computed."""
        script = script_of(about.folder)
        shown = "\n".join([*script.prose, *script.captions])
        for text in script.said:
            number = re.sub(r"^[a-z ]+", "", text)
            assert number in shown, text

    @each_lesson
    def test_terms_of_later_lessons_do_not_occur(self, about):
        terms = [term for other in later(about) for term in other.terms]
        found = [
            (term, cell.line)
            for cell in script_of(about.folder).cells
            if cell.prose
            for term in terms_in(cell.prose, terms)
        ]
        assert found == []

    @each_lesson
    def test_explains_its_terms(self, about):
        assert terms_in("\n".join(script_of(about.folder).prose), about.terms) == about.terms

    @each_lesson
    def test_uses_only_names_that_were_introduced(self, about):
        """An earlier lesson that is not written yet cannot have introduced anything: then only names that a later one
        introduces are refused."""
        known = {id(resolve(name)) for other in [*earlier(about), about] for name in other.introduces}
        coming = {id(resolve(name)) for other in later(about) for name in other.introduces} - known
        complete = [other.number for other in earlier(about)] == list(range(about.number))
        wrong = [
            n for n, found in names_of(about).items() if id(found) in coming or (complete and id(found) not in known)
        ]
        assert wrong == []

    @each_lesson
    def test_uses_every_name_that_it_introduces(self, about):
        used = {id(found) for found in names_of(about).values()}
        assert [name for name in about.introduces if id(resolve(name)) not in used] == []


class TestTasks:
    @each_lesson
    def test_there_are_four_to_eight(self, about):
        assert 4 <= len(load(about).tasks) <= 8

    @each_task
    def test_is_short_and_says_what_it_wants(self, about, task):
        source = (about.folder / "tasks.py").read_text("utf-8")
        assert function_length(task.function, source) <= 15
        assert len(task.function.__doc__.strip()) > 60

    @each_task
    def test_has_properties_mutants_and_variants(self, about, task):
        bank = load(about)
        assert 2 <= len(bank.claims_of(task.number)) <= 5
        mutants = bank.mutants_of(task.number)
        assert len(mutants) >= 8 and len({m.misconception for m in mutants}) == len(mutants)
        assert all(m.hint.rstrip().endswith(("?", ".")) and len(m.hint) > 20 for m in mutants)
        assert len(bank.variants_of(task.number)) >= 3

    @one_task_and_slowly_each
    def test_its_properties_tell_right_from_wrong(self, about, task, pytestconfig):
        """`make lessons-check` prints the same as a table."""
        thorough = pytestconfig.getoption("--thorough")
        found = check_task(load(about), task, right=100 if thorough else 10, wrong=300 if thorough else 60)
        assert [mutant.misconception for mutant in found.survivors] == []
        for checked in found.claims:
            assert checked.failed == [], checked.claim.what
            assert checked.passed == [], checked.claim.what


class TestClaims:
    @each_lesson
    def test_about_minilm_hold(self, about, pytestconfig):
        found = check_own(load(about), examples=100 if pytestconfig.getoption("--thorough") else 5)
        for checked in found:
            assert checked.failed == [], checked.claim.what


@pytest.mark.slow
@each_lesson
def test_runs_as_a_script(about, tmp_path):
    command = [sys.executable, "-m", "minilm", "lesson", "run", about.short, "--out", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment, check=False)
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr
    record = json.loads((tmp_path / "claims.json").read_text())
    assert all(claim["holds"] for claim in record["claims"])
    assert len(list(tmp_path.glob("*.png"))) >= 2


def test_the_map_is_that_of_the_lessons():
    readme = (ROOT / "lessons" / "README.md").read_text("utf-8")
    shown = re.search(
        r"<!-- map: begin \(minilm lesson list --markdown\) -->\n(.*?)\n<!-- map: end -->", readme, re.DOTALL
    )
    assert shown[1] == markdown_map(ABOUTS)
    assert all((ROOT / "lessons" / path).is_file() for path in re.findall(r"\]\((l\d+_[^)]*)\)", shown[1]))
