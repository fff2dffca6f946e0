"""The class's overview, grades.csv, and who handed in nearly the same."""

import csv
import random
import re
from dataclasses import replace

import made
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import MARK, plain
from markup import Page, steering
from submissions import reference

from minilm.course import load
from minilm.homework.record import Cause
from minilm.homework.reports import by_compare50, write_batch
from minilm.homework.reports.grades import grades, safe
from minilm.homework.reports.overview import overview
from minilm.homework.reports.similarity import ALIKE, Alike, K, Pair, W, near_identical, tokens, winnowed
from minilm.homework.stripping import student_source
from minilm.i18n import speaking

NOBODY = Alike((), ())


def shown(records, alike=NOBODY, seconds=None, roster=None, folders=None) -> Page:
    with speaking("en"):
        return Page(overview(records, alike, seconds or {}, roster or {}, folders or {}, ["landlock"]))


class TestOverview:
    def test_says_how_the_class_did(self):
        full = [replace(task, state="solved", earned=2.0, kind="", cause=None) for task in plain().tasks]
        records = [plain(), plain("bru", name="Bruno", late=("2 d", 1), suspicious=((4, "import os"),)),
                   plain("carla", name="", tasks=tuple(full))]  # fmt: skip
        seen = shown(records, roster={"carla": "Carla Gil", "zoe": "Zoe"}, seconds={"ana": 1.26, "bru": 9.0})
        for text in (
            "3 graded", "1 handed in nothing", "3 / 12 median", "1 with all points", "1 late",
            "L3.2 f2 1.33 / 2 1 2 0 0", "L3.6 f6 0.67 / 2 1 0 0 2",
            "softmax over queriesWhich axis? 2 (67 %) ana Ana Díaz, bru Bruno",
            "bru Bruno: line 4: import os", "bru Bruno 9.0 s", "ana Ana Díaz 1.3 s", "carla Carla Gil 12",
            "Handed in nothing zoe Zoe", "Handed in late by 2 d", "what kept the students' files apart: landlock",
        ):  # fmt: skip
            assert text in seen.said, (text, seen.said)

    def test_counts_everybody_in_the_histogram(self):
        tasks = plain().tasks[:1]
        for earned in ([0, 2, 1.99, 1, 0.5], [2], [0] * 7):
            seen = shown([plain(str(i), tasks=(replace(tasks[0], earned=p),)) for i, p in enumerate(earned)])
            assert seen.tags.count("rect") > 1
            html = overview([plain(str(i), tasks=(replace(tasks[0], earned=p),)) for i, p in enumerate(earned)], NOBODY,
                            {}, {}, {})  # fmt: skip
            counts = [int(n) for n in re.findall(r'class="count"[^>]*>(\d+)<', html)]
            assert sum(counts) == len(earned)
            assert "1.5–2" in html

    def test_a_cause_that_is_not_known_is_none(self):
        tasks = [replace(plain().tasks[1], cause=Cause(name, "x")) for name in ("unknown", "nothing", "")]
        assert "Misconceptions Named by the doctor" in shown([plain()]).said
        seen = shown([plain(str(i), tasks=(task,)) for i, task in enumerate(tasks)])
        assert "student is asked. none" in seen.said

    def test_links_to_pages_whose_folder_is_plain(self):
        folders = {"ana": "ana-01", "bru": "../x", "carla": "a b", "dora": ".."}
        seen = shown([plain(student) for student in folders], folders=folders)
        assert {link for link in seen.links if link[0] != "#"} == {"students/ana-01/index.html"}

    def test_a_class_of_nobody(self):
        assert "0 graded" in shown([]).said and "none" in shown([]).said

    @given(st.lists(made.records, max_size=2), st.lists(made.texts, min_size=2, max_size=2))
    def test_a_page_is_a_page_whatever_is_in_it(self, records, names):
        who = [record.student for record in records] + names
        alike = near_identical({name: (name[:99] * 9).encode("utf-8", "replace") for name in who})
        with speaking("en"):
            html = overview(records, alike, dict.fromkeys(who, 1.0), dict.fromkeys(names, names[0]),
                            dict.fromkeys(who, names[1]))  # fmt: skip
        assert MARK not in html and not steering(html) and "i" not in Page(html).tags
        table = grades(records, dict.fromkeys(names, names[0]))
        assert not steering(table.replace("\n", ""))
        for row in csv.reader(table.splitlines()):
            assert len(row) == len(next(csv.reader([table.split("\n")[0]])))
            assert not any(re.match(r"[=+\-@\t\r]", cell.lstrip("\"' ")) and cell[0] != "'" for cell in row if cell)


class TestGrades:
    def test_a_line_each_sorted_with_the_roster(self):
        late = plain("bru", name="", late=("1 d", 0.5))
        nothing = plain("carla", digest="", tasks=tuple(replace(t, earned=0.0) for t in plain().tasks))
        found = grades([late, plain("ana"), nothing], {"bru": "Bruno", "zoe": "Zoe"}).split("\n")
        assert found == [
            "student,name,state,points,of,late,L3.1,L3.2,L3.3,L3.4,L3.5,L3.6",
            "ana,Ana Díaz,graded,3.0,12,0,2,1,0,0,0,0",
            "bru,Bruno,graded,2.5,12,0.5,2,1,0,0,0,0", "carla,Ana Díaz,nothing,0.0,12,0,0.0,0.0,0.0,0.0,0.0,0.0",
            "zoe,Zoe,nothing,,,,,,,,,", "",
        ]  # fmt: skip

    @pytest.mark.parametrize("evil", ["=1+1", "+1", "-1", "@x", "  =1", "'=1", "\t=1", '"=1', "＝1", "\n=1"])
    def test_no_cell_is_a_formula(self, evil):
        assert safe(evil).startswith("'") and not safe(evil).startswith(("=", "+", "-", "@"))
        assert safe(-1.5) == "-1.5" and safe("a=1") == "a=1" and safe("Ana") == "Ana"


@pytest.fixture(scope="module")
def bank():
    return load("l03")


class TestSimilarity:
    def test_copies_are_found_however_they_are_disguised(self, bank):
        original = reference(bank.about.folder)
        renamed = re.sub(r"\b(query|key|scores|mask|top|real|allowed|some|weights)\b", r"\1_2", original)
        disguised = "# mine\n" + renamed.replace("\n\n", "\n# …\n\n").replace("10000.0", "1e4")
        found = near_identical({"a": original.encode(), "b": disguised.encode(), "c": b"x = 1\n" * 99})
        assert found.groups == (("a", "b"),) and found.pairs == ()

    def test_a_copy_with_a_change_is_a_pair(self, bank):
        original = reference(bank.about.folder)
        changed = original.replace("return weights @ value", "answer = weights @ value\n    return answer + 0")
        assert changed != original
        found = near_identical({"a": original.encode(), "b": changed.encode()})
        assert [pair.students for pair in found.pairs] == [("a", "b")] and found.pairs[0].share > 0.9
        assert found.pairs[0].lines[0]

    def test_what_was_handed_out_says_nothing(self, bank):
        stub = student_source(bank.about)
        one = stub + "\n\ndef f(x):\n    return [i for i in x if i]\n"
        two = stub + "\n\ndef g(a, b):\n    while a:\n        a = b[a] or {}\n"
        files = {"a": one.encode(), "b": two.encode(), "c": stub.encode(), "d": stub.encode()}
        assert near_identical(files, [stub.encode()]) == NOBODY
        assert near_identical(files).groups == (("c", "d"),) and len(near_identical(files).pairs) == 3

    def test_the_usual_way_says_nothing(self, bank):
        """Files that share the reference's other tasks, as most of a class does."""
        rng = random.Random(0)
        names, signs, usual = (
            "exp log sin cos tan abs sqrt sum".split(),
            "+ - * / @ %".split(),
            reference(bank.about.folder),
        )

        def own() -> str:
            return "".join(f"    y = np.{rng.choice(names)}(x) {rng.choice(signs)} y\n" for _ in range(25))

        files = {f"s{i}": f"{usual}\ndef f(x, y):\n{own()}".encode() for i in range(30)}
        assert near_identical(files) == NOBODY
        copy = files["s3"].decode().replace("def f(x, y)", "def g(y, x=0, *z)")
        pairs = near_identical({**files, "copy": copy.encode()}).pairs
        assert [pair.students for pair in pairs] == [("copy", "s3")]

    def test_compare50_finds_the_pairs_where_it_is_installed(self, monkeypatch):
        sources = {student: f"x = f.{student}(1)\n".encode() * 20 for student in ("ana", "bru", "carla")}
        found = [("ana", "bru", 0.8, [1, 2, 3, 9], [4]), ("ana", "carla", 0.9, [], [2]), ("bru", "carla", 0.5, [], [])]
        monkeypatch.setattr(by_compare50, "installed", lambda: True)
        monkeypatch.setattr(by_compare50, "ranked", lambda sources, given, n: found)
        assert near_identical(sources).pairs == (
            Pair(("ana", "carla"), 0.9, ("", "2")), Pair(("ana", "bru"), 0.8, ("1–3, 9", "4"))
        )  # fmt: skip

    def test_where_compare50_fails_our_own_finds_them(self, tmp_path, monkeypatch):
        (tmp_path / "compare50.py").write_text("raise SystemExit(3)")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.setattr(by_compare50, "installed", lambda: True)
        original = reference(load("l03").about.folder)
        files = {"a": original.encode(), "b": original.replace("weights @ value", "1 * weights @ value").encode()}
        assert by_compare50.ranked(files, [b"x = 1"], 5) is None
        assert [pair.students for pair in near_identical(files).pairs] == [("a", "b")]

    @given(st.binary(max_size=300))
    def test_any_bytes_have_tokens_and_lines(self, source):
        found, lines = tokens(source)
        assert len(found) == len(lines) and lines == sorted(lines)

    def test_hostile_sources_take_no_time(self):
        hostile = [b'"""\\"""' * 40000 + b"\\", b"'" * 99999, b'"' * 99999, b"(" * 99999, b"'''\n\"\"\"\n" * 9999]
        assert near_identical({str(i): source for i, source in enumerate(hostile)}).pairs == ()

    @given(st.lists(st.integers(0, 5), min_size=K + W - 1, max_size=60), st.lists(st.integers(0, 5), max_size=40),
           st.lists(st.integers(0, 5), max_size=40))  # fmt: skip
    def test_what_is_shared_and_long_enough_shares_a_fingerprint(self, shared, before, after):
        """The guarantee of the paper, section 3."""
        a = {print_ for _, print_ in winnowed(np.array(before + shared, np.uint64))}
        b = {print_ for _, print_ in winnowed(np.array(shared + after, np.uint64))}
        assert a & b

    def test_the_fingerprints_are_those_of_the_definition(self):
        codes = np.random.default_rng(0).integers(0, 9, 400).astype(np.uint64)
        every = [winnowed(codes[i : i + K])[0][1] for i in range(len(codes) - K + 1)]
        expected = set()
        for i in range(len(every) - W + 1):
            least = min(every[i : i + W])
            expected.add((max(j for j in range(i, i + W) if every[j] == least), least))
        assert set(winnowed(codes)) == expected


class TestWriting:
    def test_the_same_bytes_in_any_order_and_times_in_the_overview_alone(self, tmp_path):
        records = [plain(f"s{i}", name=f"N{i}") for i in range(9)]
        sources = {record.student: f"x = {i}\n".encode() * 50 for i, record in enumerate(records)}
        write_batch(tmp_path / "a", records, sources, {"s1": 77.7})
        write_batch(tmp_path / "b", records[::-1], dict(reversed(sources.items())), {"s1": 77.7})
        for name in ("grades.csv", "overview.html"):
            assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
        assert "77.7" in (tmp_path / "a" / "overview.html").read_text("utf-8")
        assert "77.7" not in (tmp_path / "a" / "grades.csv").read_text("utf-8")

    def test_the_near_identical_are_in_the_overview(self, tmp_path):
        source = reference(load("l03").about.folder)
        write_batch(tmp_path, [plain("ana"), plain("bru")], {"ana": source.encode(), "bru": source.encode()}, {})
        text = Page((tmp_path / "overview.html").read_text("utf-8")).said
        assert "The same but for names, numbers, texts and comments: ana Ana Díaz, bru Ana Díaz" in text
        assert ALIKE < 1
