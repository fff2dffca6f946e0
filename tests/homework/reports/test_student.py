"""A student's page and results.json: what they say, in both languages, and what no student can make them do."""

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import made
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import MARK, plain
from markup import Page, steering

from minilm.homework.failures import KINDS, explain
from minilm.homework.record import ClaimRecord, TaskRecord
from minilm.homework.reports import write_student
from minilm.homework.reports.cleaning import block, line
from minilm.homework.reports.comparing import compare
from minilm.homework.reports.gradescope import results
from minilm.homework.reports.page import page
from minilm.homework.shown import beside
from minilm.i18n import speaking


def written(record) -> tuple[Page, dict]:
    with speaking(record.lang):
        return Page(page(record)), json.loads(results(record))


class TestPage:
    def test_says_what_was_earned_and_what_failed(self):
        seen, _ = written(
            plain(late=("2 d", 0.5), notes=(("chosen", "of 2 files, l03.py is graded"),), printed="hi\nho")
        )
        for text in (
            "Ana Díaz", "ana", "2.5 / 12 points", "1 of 6 tasks are solved.", "of 2 files, l03.py is graded",
            "Handed in late by 2 d; points taken off: 0.5", "L3.2 f2 ◐in part 1 / 2 1 of 2 1 of 2",
            "The values are not right", "the future is not read, at (0, 1)", "The sum runs along the wrong axis",
            "x [[0. 1.]]", "Which axis?", "It takes too long. Line 7 of your file.", "no answer within 2 s",
            "Not written yet", "The function is not there", "hi ho", "ab" * 32, "graded by minilm 0.1.0",
            "inputs tried: 23 that may be shown, 40 that may not",
        ):  # fmt: skip
            assert text in seen.said, text

    def test_tasks_that_are_not_written_are_told_together(self):
        seen, _ = written(plain())
        assert seen.tags.count("article") == 4 and "L3.4, L3.5" in seen.said

    def test_a_file_that_is_not_python_is_told_once(self):
        tasks = [replace(t, state="unreadable", kind="syntax", message="invalid syntax", line=3, earned=0.0, public=(),
                         hidden=(), cause=None) for t in plain().tasks]  # fmt: skip
        seen, found = written(plain(tasks=tuple(tasks)))
        assert seen.tags.count("article") == 1 and seen.said.count("invalid syntax") == 1
        assert "The file is not Python. Line 3 of your file." in seen.said
        assert all("invalid syntax" in test["output"] for test in found["tests"])

    @pytest.mark.parametrize("lang", ["en", "es"])
    @pytest.mark.parametrize("kind", sorted(KINDS))
    def test_each_kind_has_its_own_words(self, kind, lang):
        task = replace(plain().tasks[1], kind=kind, public=(ClaimRecord("w", False, 1, kind, "m"),), hidden=())
        seen, found = written(plain(tasks=(task,), lang=lang))
        with speaking(lang):
            meaning = explain(kind)
        for text in (meaning.title, meaning.advice):
            assert " ".join(text.split()) in seen.said and text in found["tests"][0]["output"]

    def test_speaks_the_records_language(self, tmp_path, monkeypatch):
        monkeypatch.setenv("MINILM_LANG", "en")
        write_student(plain(lang="es"), tmp_path / "es")
        write_student(plain(), tmp_path / "en")
        pages = {lang: (tmp_path / lang / "index.html").read_text("utf-8") for lang in ("en", "es")}
        assert '<html lang="es">' in pages["es"] and '<html lang="en">' in pages["en"]
        with speaking("es"):
            assert explain("time").title in pages["es"] and explain("time").title not in pages["en"]
        assert sorted(os.listdir(tmp_path / "es")) == ["index.html", "results.json"]

    def test_the_same_record_gives_the_same_bytes_in_any_process(self, tmp_path):
        write_student(plain(), tmp_path / "here")
        code = f"import made; from minilm.homework.reports import *; from pathlib import Path\n" \
               f"write_student(made.plain(), Path({str(tmp_path / 'there')!r}))"  # fmt: skip
        path = f"{Path(made.__file__).parent}:{Path(__file__).parents[3]}"
        environment = {**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "7", "MINILM_LANG": "es"}
        subprocess.run([sys.executable, "-c", code], check=True, env=environment)
        for name in ("index.html", "results.json"):
            assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes()

    def test_an_example_has_no_points_and_no_words(self):
        example = replace(plain().tasks[0], points=0, earned=0, state="failed")
        seen, found = written(plain(tasks=(example, plain().tasks[1])))
        assert "example –" in seen.said and seen.tags.count("article") == 1 and len(found["tests"]) == 1
        assert "0 of 1 tasks are solved" in seen.said

    def test_nothing_handed_in(self):
        seen, found = written(plain(tasks=(), file="", digest="", notes=(("missing", "there is no file"),)))
        assert "there is no file" in seen.said and found["tests"] == [] and found["score"] == 0


class TestHidden:
    def test_inputs_never_appear(self):
        secret = ClaimRecord("w", False, 9, "value", "SECRET-1", (("x", "SECRET-2"),), "SECRET-3", "SECRET-4")
        held = ClaimRecord("w", True, 9)
        for public in ((held,), ()):
            task = TaskRecord("L3.1", "f", "", 2, 0, "failed", "raised", "SECRET-5", 0, public, (secret,))
            with speaking("en"):
                shown = page(plain(tasks=(task,))) + results(plain(tasks=(task,)))
            assert "SECRET" not in shown
            assert "it holds for all inputs that are shown, and not for some of those that are not" in shown
            assert "It stops with an error" in shown

    def test_but_a_message_of_the_file_does(self):
        secret = ClaimRecord("w", False, 0, "missing", "")
        task = TaskRecord("L3.1", "f", "", 2, 0, "missing", "missing", "there is no function f", 0, (), (secret,))
        assert "there is no function f" in written(plain(tasks=(task,)))[0].said


class TestResults:
    def test_is_what_gradescope_reads(self):
        _, found = written(plain(late=("2 d", 0.5)))
        assert found["score"] == 2.5 and found["output_format"] == "text" and found["visibility"] == "visible"
        assert [t["score"] for t in found["tests"]] == [2, 1, 0, 0, 0, 0]
        assert {t["max_score"] for t in found["tests"]} == {2}
        assert [t["status"] for t in found["tests"]] == ["passed", *["failed"] * 5]
        for test in found["tests"]:
            assert set(test) == {
                "name", "number", "score", "max_score", "status", "output", "output_format", "visibility"
            }  # fmt: skip
        lines = found["tests"][1]["output"].split("\n")
        assert lines[0] == "public: 1 of 2; hidden: 1 of 2" and "x = [[0. 1.]]" in lines
        assert lines[lines.index("Got") + 1] == "≠ [[1.  0.25]"


class TestHostile:
    @given(made.records)
    def test_a_page_is_a_page_whatever_is_in_it(self, record):
        with speaking(record.lang):
            html, text = page(record), results(record)
        seen, found = Page(html), json.loads(text)
        assert MARK not in html and "i" not in seen.tags
        assert not steering(html) and len(html) < 10**6
        assert not steering("\n".join(self.strings(found)))
        text.encode("utf-8"), html.encode("utf-8")
        assert seen.policy.startswith("default-src 'none'; style-src 'sha256-")

    def strings(self, data):
        if isinstance(data, str):
            yield data
        elif isinstance(data, dict):
            for value in data.values():
                yield from self.strings(value)
        elif isinstance(data, list):
            for value in data:
                yield from self.strings(value)

    def test_the_policy_knows_the_style_and_no_other(self):
        html = page(plain())
        style = re.search("<style>(.*?)</style>", html, re.DOTALL)[1]
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        assert f"default-src &#39;none&#39;; style-src &#39;sha256-{digest}&#39;" in html
        assert not re.search(r"url\(|@import|@font-face|<script|style=", html)

    def test_what_steers_is_written_out(self):
        assert line("a\u202eb\x1b[2J\0") == "a\\u202eb\\x1b[2J\\x00"
        assert line(" a\n\tb\u2028c ") == "a b c" and line("نم\u200cی") == "نم\u200cی"
        assert line("e" + "\u0301" * 500) == "e" + "\u0301" * 4
        assert line("Ana Díaz Ñ 李 😀") == "Ana Díaz Ñ 李 😀"
        assert line("x" * 10**6, 10) == "xxxxxxxx …"

    def test_a_flood_is_cut(self):
        assert block("a\n" * 10**6).count("\n") == 40 and block("a\n" * 10**6).endswith("\n…")
        assert len(block("a" * 10**6)) == 240 and block("\ta\r\nb") == "    a\nb"

    @given(st.text(max_size=200), st.integers(2, 50))
    def test_lines_stay_lines(self, text, most):
        assert "\n" not in line(text, most) and not steering(line(text, most))
        assert len(line(text, most)) <= most and block(text).count("\n") <= 40


class TestComparing:
    def shown(self, expected, got):
        return [["".join(span.text for span in row.spans) for row in rows] for rows in compare(expected, got)]

    def marked(self, expected, got):
        return [[s.text for row in rows for s in row.spans if s.differs] for rows in compare(expected, got)]

    def test_numbers_stand_below_each_other(self):
        assert self.shown("[[1. 0.5]\n [0. 10.]]", "[[-1. 0.25]\n [0. 1.]]") == [
            ["[[ 1.  0.5 ]", " [ 0. 10.  ]]"], ["[[-1.  0.25]", " [ 0.  1.  ]]"]
        ]  # fmt: skip
        assert self.marked("[[1. 0.5]\n [0. 10.]]", "[[-1. 0.25]\n [0. 1.]]") == [
            ["1.", "0.5", "10."], ["-1.", "0.25", "1."]
        ]  # fmt: skip

    def test_the_stars_of_beside_say_what_differs(self):
        texts = beside(np.array([[1.0, 0.5], [0, 10]]), np.array([[1.0, 0.25], [1e-12, 10]]))
        assert self.marked(*texts) == [["0.50"], ["0.25"]]
        assert self.shown(*texts) == [
            ["[[ 1.00,   0.50],", " [ 0.00,  10.00]]"], ["[[ 1.00,   0.25],", " [ 1e-12, 10.00]]"]
        ]  # fmt: skip

    def test_what_is_built_otherwise_differs_by_lines(self):
        assert self.marked("(2, 3)", "(2,)") == [["(2, 3)"], ["(2,)"]]
        assert self.marked("a\nb\nc", "a\nx") == [["b", "c"], ["x"]]

    def test_equal_texts_differ_nowhere(self):
        assert self.marked("[[1. 2.]]", "[[1. 2.]]") == [[], []]
        assert self.shown("True", "True") == [["True"], ["True"]]

    @given(st.text("[](), \n1a-", max_size=60), st.text("[](), \n1a-", max_size=60))
    def test_nothing_is_lost(self, expected, got):
        for rows, text in zip(self.shown(expected, got), (expected, got), strict=True):
            assert "".join("\n".join(rows).split()) == "".join(text.split())
        marked = self.marked(expected, got)
        if "".join(expected.split()) != "".join(got.split()):
            assert marked[0] or marked[1]
        assert not (expected == got and (marked[0] or marked[1]))


def test_without_jinja_the_extra_is_named():
    code = "import sys; sys.modules['jinja2'] = None\nfrom minilm.homework import reports\nreports.check_installed()"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ConfigError: reports are made by jinja2" in ran.stderr and "minilm[grade]" in ran.stderr
