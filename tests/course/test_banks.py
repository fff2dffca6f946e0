"""Lessons are found, loaded apart from each other, and refused where their files contradict each other."""

import pytest
from planted import CHECKS, MUTANTS, TASKS, TOML, plant

from minilm.course import banks
from minilm.course.banks import find_lesson, find_lessons, load
from minilm.course.marks import claim, mutant, task
from minilm.errors import ConfigError, DataError


def test_a_lesson_is_its_marks_in_order(tmp_path):
    bank = load(plant(tmp_path / "l07_squares"))
    assert list(bank.tasks) == ["L7.1", "L7.2"] and bank.tasks["L7.1"].name == "square"
    assert (bank.tasks["L7.1"].points, bank.tasks["L7.1"].keep, bank.tasks["L7.2"].plain) == (2, 1, True)
    assert [c.what for c in bank.claims_of("L7.1")] == ["it is x squared", "its gradient is that of its values"]
    assert [m.misconception for m in bank.mutants_of("L7.1")] == ["square_is_double", "keeps_the_sign"]
    assert [v.how for v in bank.variants_of("L7.1")] == ["as a power"] and bank.variants_of("L7.2") == []
    assert bank.hint("mean_for_sum") == "Divided by what?" and bank.hint("other") is None


def test_two_lessons_share_nothing(tmp_path):
    one, two = plant(tmp_path / "a" / "l07_squares"), plant(tmp_path / "b" / "l07_squares")
    (two / "tasks.py").write_text(TASKS.replace("return x * y", "return x * y * 2.0"))
    first, second = load(one), load(two)
    assert len(first.claims) == len(second.claims) == 4
    assert (first.tasks["L7.1"].function(3.0), second.tasks["L7.1"].function(3.0)) == (9.0, 18.0)
    assert second.mutants[1].function.__globals__["right"](3.0) == 18.0, "`from .tasks` reads another lesson"
    assert load(one) is first, "loaded twice"


def test_nothing_is_left_in_its_folder(tmp_path):
    folder = plant(tmp_path / "l07_squares")
    before = sorted(folder.rglob("*"))
    load(folder)
    assert sorted(folder.rglob("*")) == before


def test_a_changed_file_is_read_again(tmp_path):
    folder = plant(tmp_path / "l07_squares")
    assert load(folder).tasks["L7.1"].function(3.0) == 9.0
    (folder / "tasks.py").write_text(TASKS.replace("return x * y", "return x * y * 10.0"))
    assert load(folder).tasks["L7.1"].function(3.0) == 90.0


def test_without_its_answers_a_lesson_has_claims_only(tmp_path):
    """As students have it."""
    bank = load(plant(tmp_path / "l07_squares", tasks_py=None, mutants_py=None, variants_py=None))
    assert bank.tasks == {} and len(bank.claims) == 4


class TestRefused:
    @pytest.mark.parametrize(
        ("files", "words"),
        [
            ({"lesson_toml": None}, "no lesson.toml"),
            ({"lesson_toml": "number = "}, "is not TOML"),
            ({"lesson_toml": TOML.replace("number = 7", 'number = "7"')}, "number is missing or no int"),
            ({"lesson_toml": TOML.replace('title = "Squares"', "")}, "title is missing or no str"),
            ({"lesson_toml": TOML + "colour = 3\n"}, "colour is no field"),
            ({"lesson_toml": TOML.replace("number = 7", "number = 8")}, "L7.1 is a number of another lesson"),
            ({"checks_py": CHECKS.replace("L7.3", "L6.3")}, "L6.3 is a number of another lesson"),
            ({"checks_py": CHECKS.replace("def value(impl, x)", "def value(x)")}, "takes `impl` first"),
            ({"checks_py": CHECKS.replace("def own(n)", "def own(impl, n)")}, "without a task does not"),
            ({"checks_py": CHECKS.replace('"L7.3"', '"L7.2"')}, "takes `impl` first"),
            ({"mutants_py": MUTANTS.replace("def total", "def totals")}, "no task of that number is named totals"),
            ({"mutants_py": MUTANTS.replace('"L7.2"', '"L7.4"')}, "no task of that number is named total"),
            ({"tasks_py": TASKS.replace("L7.2", "L7.1")}, "is there twice"),
            ({"tasks_py": TASKS.replace("def total", "def square")}, "is there twice"),
        ],
    )
    def test_by_a_sentence_that_names_it(self, files, words, tmp_path):
        with pytest.raises(DataError, match=words):
            load(plant(tmp_path / "l07_squares", **files))

    @pytest.mark.parametrize("number", ["3.2", "L3", "l3.2", "L3.2a", ""])
    def test_numbers_are_like_l3_2(self, number):
        for mark in (task, lambda n: claim(n, "what"), lambda n: mutant(n, misconception="a", hint="b")):
            with pytest.raises(ConfigError, match="like L3.2"):
                mark(number)

    @pytest.mark.parametrize("name", ["Mask", "mask is", "", "1a"])
    def test_misconceptions_are_like_this_one(self, name):
        with pytest.raises(ConfigError, match="like this_one"):
            mutant("L3.2", misconception=name, hint="b")

    def test_points_are_not_negative(self):
        with pytest.raises(ConfigError, match="at least 0"):
            task("L3.2", points=-1)


class TestFound:
    def test_by_any_of_its_names(self):
        for name in ("l03", "L03", "l03_attention", "3"):
            assert find_lesson(name).folder.name == "l03_attention"

    def test_by_its_folder(self, tmp_path):
        folder = plant(tmp_path / "l07_squares")
        assert find_lesson(folder).number == find_lesson(str(folder)).number == 7

    def test_an_unknown_one_names_those_there_are(self):
        with pytest.raises(DataError, match="no lesson 'l77'.*l03_attention"):
            find_lesson("l77")

    def test_all_in_their_order(self, tmp_path):
        for number in (10, 7, 9):
            plant(tmp_path / f"l{number:02d}_squares", lesson_toml=TOML.replace("= 7", f"= {number}"))
        assert [about.number for about in find_lessons(tmp_path)] == [7, 9, 10]

    def test_in_a_wheel_they_lie_in_the_package(self, tmp_path, monkeypatch):
        plant(tmp_path / "minilm" / "lessons" / "l07_squares")
        monkeypatch.setattr(banks, "PACKAGE", tmp_path / "minilm")
        assert [about.short for about in find_lessons()] == ["l07"]
        monkeypatch.setattr(banks, "PACKAGE", tmp_path / "nowhere" / "minilm")
        with pytest.raises(DataError, match="lessons are missing"):
            find_lessons()
