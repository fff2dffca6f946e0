"""A batch's folder: what is written, gone on with, graded again, refused; and processes that die."""

import dataclasses
import json
import os
import signal
import stat
import subprocess
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_class import CLASS, GOOD, POINTS, SECRET, fragile, hand_in, lesson

from minilm.errors import ConfigError, DataError
from minilm.homework import batch as batches
from minilm.homework import seeds as secrets
from minilm.homework.batch import Order, run
from minilm.homework.grading import Graded, Rules, record_of, unreadable
from minilm.homework.intake import Submission
from minilm.homework.lanes import Lost, Work, grade_here
from minilm.homework.late import policy, read_times
from minilm.homework.ledger import Entry, Ledger, folder_name
from minilm.homework.roster import read_roster


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """Grading as a count of letters, so that these tests are about the batch; and whom it was asked about."""
    seen = []

    def grade(work, rules, jobs):
        for one in work:
            seen.append((one.submission.student, one.only))
            bank = batches.load(batches.find_lesson(rules.lesson))
            tasks = [unreadable(task, "time", "") for task in bank.tasks.values()]
            n = 1 + len(one.submission.source or b"") % 13
            tasks = [dataclasses.replace(t, earned=n / 20, kind=str(one.seeds[t.number])[:30]) for t in tasks]
            if one.only:
                tasks = [dataclasses.replace(t, earned=0.125) for t in tasks if t.number in one.only]
            yield one, Graded(record_of(rules, bank, one.submission, tuple(tasks)), 0.5, ())

    monkeypatch.setattr(batches, "grade_here", grade)
    monkeypatch.setenv("MINILM_SECRET", SECRET.key.decode())
    return seen


@pytest.fixture
def order(tmp_path):
    return Order(tmp_path / "out", hand_in(tmp_path / "in"), str(lesson(tmp_path)))


def go(order, said=None, **changes):
    return run(dataclasses.replace(order, **changes), say=(said if said is not None else []).append)


def csv_of(order):
    return (order.out / "grades.csv").read_bytes()


class TestFolder:
    def test_holds_all_that_is_promised(self, order, asked):
        outcome = go(order)
        assert outcome.graded == len(CLASS) and [r.student for r in outcome.records] == sorted(CLASS)
        here = order.out / "students" / "ana"
        assert sorted(os.listdir(here)) == ["index.html", "record.json", "results.json", "submission.py"]
        assert (here / "submission.py").read_text() == GOOD
        batch = json.loads((order.out / "batch.json").read_text())
        assert batch["finished"] and batch["seconds"]["ana"] == 0.5 and batch["secret"] == SECRET.name
        assert "0.5" not in (here / "record.json").read_text() and (order.out / "overview.html").exists()
        assert SECRET.key.decode() not in "".join(p.read_text() for p in order.out.rglob("*.json"))

    def test_what_is_unchanged_stays(self, order, asked):
        go(order)
        before = csv_of(order)
        asked.clear()
        (order.path / "bea.py").write_text(GOOD)
        outcome = go(order, resume=True)
        assert asked == [("bea", ())] and outcome.kept == len(CLASS) - 1
        assert csv_of(order) != before
        asked.clear()
        go(order, resume=True)
        assert asked == []

    @pytest.mark.parametrize("damage", ["students/ana/record.json", "ledger/ana.json"])
    def test_what_is_damaged_is_graded_again(self, order, asked, damage):
        go(order)
        before = csv_of(order)
        (order.out / damage).write_text("{}")
        (order.out / "students" / "ana" / ".record.json.x.tmp").write_text("half")
        asked.clear()
        go(order, resume=True)
        assert asked == [("ana", ())] and csv_of(order) == before
        assert not list(order.out.rglob("*.tmp"))

    def test_a_changed_lesson_is_graded_again(self, order, asked, tmp_path):
        go(order)
        asked.clear()
        path = tmp_path / "l07_powers" / "checks.py"
        path.write_text(path.read_text() + "\n# another\n")
        go(order, resume=True)
        assert len(asked) == len(CLASS)

    def test_an_interrupted_one_goes_on(self, order, asked):
        def stop(done, total):
            if done == 3:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run(order, stop, [].append)
        asked.clear()
        go(order, resume=True)
        resumed = csv_of(order)
        assert len(asked) == len(CLASS) - 3
        whole = dataclasses.replace(order, out=order.out.with_name("whole"))
        go(whole)
        assert csv_of(whole) == resumed

    def test_one_student_and_one_task_again(self, order, asked):
        go(order)
        before = {p: p.read_bytes() for p in order.out.glob("students/*/record.json")}
        asked.clear()
        outcome = go(order, path=None, lesson=None, only=("carl",), tasks=("L7.2",))
        assert asked == [("carl", ("L7.2",))]
        (record,) = [r for r in outcome.records if r.student == "carl"]
        assert [task.earned == 0.125 for task in record.tasks] == [False, True, False]
        changed = {p.parent.name for p, data in before.items() if p.read_bytes() != data}
        assert changed == {"carl"}

    def test_who_is_in_the_roster_alone_gets_nothing(self, order, asked):
        said = []
        outcome = go(order, said, roster={**dict.fromkeys(CLASS, ""), "zoe": "Zoe Z"} | {"ana": "Ana A"})
        absent = outcome.records[-1]
        assert (absent.student, absent.name, absent.points) == ("zoe", "Zoe Z", 0) and outcome.records[
            0
        ].name == "Ana A"
        assert not said
        go(order, said, resume=True, roster={"ana": ""})
        assert "not in the roster" in said[0] and "bea" in said[0]

    def test_lateness_is_taken_off_and_kept(self, order, asked, tmp_path):
        (tmp_path / "times.csv").write_text("student,time\nana,2026-03-03T00:00+00:00\n")
        late = policy("2026-03-01T00:00+00:00", "1 point per day")
        go(order, policy=late, times=read_times(tmp_path / "times.csv"))
        record = order.out / "students" / "ana" / "record.json"
        assert json.loads(record.read_text())["late"][1] > 0
        before = csv_of(order)
        go(order, resume=True)
        assert csv_of(order) == before
        go(order, path=None, only=("ana",))
        assert csv_of(order) == before


class TestRefused:
    def test_a_folder_that_holds_a_batch(self, order, asked):
        go(order)
        with pytest.raises(ConfigError, match="holds a batch already: go on with --resume"):
            go(order)

    def test_another_secret(self, order, asked, monkeypatch):
        go(order)
        monkeypatch.setenv("MINILM_SECRET", "quite another secret")
        with pytest.raises(ConfigError, match="begun with another secret"):
            go(order, resume=True)

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"tasks": ("L7.9",)}, "there is no task L7.9"),
            ({"only": ("nobody",)}, "there is no student nobody"),
            ({"lesson": "l03", "resume": True}, "not of l03"),
        ],
    )
    def test_what_is_not_there(self, order, asked, changes, words):
        go(order)
        with pytest.raises(ConfigError, match=words):
            go(order, **changes)

    def test_a_folder_without_a_batch(self, order, asked):
        with pytest.raises(ConfigError, match="holds no batch"):
            go(order, path=None, only=("ana",))

    def test_two_at_once(self, order, asked):
        with Ledger(order.out), pytest.raises(ConfigError, match="being graded by another process"):
            go(order)


class TestSecret:
    def test_is_made_once_and_for_its_owner_alone(self, tmp_path, monkeypatch):
        monkeypatch.delenv("MINILM_SECRET", raising=False)
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
        made = secrets.find_secret()
        path = tmp_path / "config" / "minilm" / "secret"
        assert str(path) in made.notice and stat.S_IMODE(path.stat().st_mode) == 0o600
        again = secrets.find_secret()
        assert again.key == made.key and again.notice == ""
        path.chmod(0o644)
        assert "chmod 600" in secrets.find_secret().notice

    def test_is_never_silently_another_one(self, tmp_path, monkeypatch):
        monkeypatch.delenv("MINILM_SECRET", raising=False)
        path = tmp_path / "secret"
        name = secrets.find_secret(path).name
        path.unlink()
        with pytest.raises(ConfigError, match="there is no secret in"):
            secrets.find_secret(path, name)
        assert not path.exists()
        path.write_text("short")
        with pytest.raises(ConfigError, match="at least 16"):
            secrets.find_secret(path)

    def test_seeds_depend_on_all_they_are_made_from(self):
        said = [("l03", "a", "L3.1", 0), ("l04", "a", "L3.1", 0), ("l03", "b", "L3.1", 0), ("l03", "a", "L3.2", 0),
                ("l03", "a", "L3.1", 1), ("l03", None, "L3.1", 0)]  # fmt: skip
        made = {SECRET.seed(*one) for one in said}
        assert len(made) == 6 and SECRET.seed("l03", "a", "L3.1", 0) in made
        assert secrets.Secret(b"another").seed("l03", "a", "L3.1", 0) not in made


class TestFolderNames:
    @given(
        st.sets(st.text(min_size=1), max_size=30) | st.sets(st.sampled_from(["A", "a", "..", ".", "con", "a/b", "a b"]))
    )
    def test_are_safe_and_nobody_elses(self, students):
        names = [folder_name(student) for student in students]
        assert len({name.lower() for name in names}) == len(students)
        for name in names:
            assert name.isascii() and name.isprintable() and not set(name) & set("/\\.: ") and len(name) < 60
            assert name not in ("con", "nul")

    def test_a_plain_one_stays(self):
        assert folder_name("ana_3") == "ana_3" != folder_name("Ana_3")
        assert folder_name(folder_name("Ana")) != folder_name("Ana")


class TestRoster:
    @pytest.mark.parametrize(
        ("text", "wanted"),
        [
            ("ana\nbea\n", {"ana": "", "bea": ""}),
            ("student,name\nana,Ana A\n", {"ana": "Ana A"}),
            ("Identifier;Full name;Grade\nParticipant 12;Ana A;\n", {"12": "Ana A"}),
            ("Identificador,Nombre completo\nParticipante 12,Ana A\n", {"12": "Ana A"}),
            ("Student,ID,SIS\n    Points Possible,,\nA Ana,7,x\n", {"7": "A Ana"}),
            ("Nombre,Apellido(s),ID\nAna,A,7\n", {"7": "Ana A"}),
        ],
    )
    def test_is_read(self, tmp_path, text, wanted):
        (tmp_path / "roster.csv").write_text(text)
        assert read_roster(tmp_path / "roster.csv") == wanted

    @pytest.mark.parametrize(
        ("text", "words"), [("", "names no student"), ("ana\nana\n", "line 2: ana is there twice")]
    )
    def test_is_refused(self, tmp_path, text, words):
        (tmp_path / "roster.csv").write_text(text)
        with pytest.raises(DataError, match=words):
            read_roster(tmp_path / "roster.csv")


def by_fragile_processes(tmp_path, *students):
    """What became of each, where a process dies of "carl" always and of "bea" the first time."""
    work = [Work(Submission(s, "", str(tmp_path / "mark").encode(), ""), {}) for s in students]
    return {w.submission.student: r for w, r in grade_here(work, Rules(str(lesson(tmp_path))), 1, fragile)}


@pytest.mark.slow
def test_a_process_that_dies_is_replaced_and_its_student_tried_once_more(tmp_path):
    found = by_fragile_processes(tmp_path, "bea", "hugo", "ana")
    assert isinstance(found["ana"], Graded) and isinstance(found["bea"], Graded)
    assert isinstance(found["hugo"], Lost) and "a fault of ours" in found["hugo"].why


@pytest.mark.slow
def test_but_only_once_more(tmp_path):
    found = by_fragile_processes(tmp_path, "carl", "ana")
    assert isinstance(found["carl"], Lost) and "ended twice" in found["carl"].why and isinstance(found["ana"], Graded)


def test_who_was_lost_is_told_and_tried_again(order, asked, monkeypatch):
    monkeypatch.setattr(batches, "grade_here", lambda work, rules, jobs: ((w, Lost("it died")) for w in work))
    outcome = go(order)
    assert outcome.lost == sorted(CLASS) and outcome.problems[0] == ("ana", "it died")
    assert Ledger(order.out).entries()["ana"].key == ""
    monkeypatch.undo()
    assert Entry.read(order.out / "ledger" / "nobody.json") is None


@pytest.mark.slow
class TestWhole:
    """With real processes."""

    def test_a_batch_by_two_processes_and_again(self, order, monkeypatch):
        monkeypatch.setenv("MINILM_SECRET", SECRET.key.decode())
        outcome = go(order, jobs=2)
        assert {r.student: r.points for r in outcome.records} == POINTS and not outcome.problems
        other = dataclasses.replace(order, out=order.out.with_name("again"))
        go(other, jobs=1)
        for path in [order.out / "grades.csv", *sorted(order.out.glob("students/*/*"))]:
            assert path.read_bytes() == (other.out / path.relative_to(order.out)).read_bytes(), path

    def test_a_cluster_gives_the_same(self, order, monkeypatch):
        from distributed import LocalCluster

        monkeypatch.setenv("MINILM_SECRET", SECRET.key.decode())
        go(order)
        other = dataclasses.replace(order, out=order.out.with_name("cluster"))
        with LocalCluster(2, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster:
            go(other, scheduler=cluster.scheduler_address)
        assert csv_of(other) == csv_of(order)

    def test_a_scheduler_that_is_not_there(self, order, monkeypatch):
        monkeypatch.setenv("MINILM_SECRET", SECRET.key.decode())
        with pytest.raises(ConfigError, match="no Dask scheduler answers"):
            go(order, scheduler="tcp://127.0.0.1:9")

    def test_killed_at_any_moment_it_loses_nothing(self, order, monkeypatch, tmp_path):
        import interrupting

        monkeypatch.setenv("MINILM_SECRET", SECRET.key.decode())
        seconds = interrupting.whole(tmp_path / "whole", order.path, order.lesson, 2)
        killed = interrupting.disturbed(order.out, order.path, order.lesson, 2, 20, seconds)
        assert killed >= 10 and csv_of(order) == (tmp_path / "whole" / "grades.csv").read_bytes()

    def test_ctrl_c_says_how_to_go_on_and_leaves_no_process(self, order, monkeypatch):
        import interrupting

        monkeypatch.setenv("MINILM_SECRET", SECRET.key.decode())
        sources = {f"student{i}": GOOD for i in range(40)}
        hand_in(order.path, sources)
        command = interrupting.command(order.out, order.path, order.lesson, 2)
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
            while len(list(order.out.glob("ledger/*.json"))) < 2:
                time.sleep(0.05)
            os.killpg(process.pid, signal.SIGINT)
            _, said = process.communicate(timeout=60)
        assert process.returncode == 130 and "--resume" in said and "Traceback" not in said
        until = time.monotonic() + 20
        with pytest.raises(ProcessLookupError):
            while time.monotonic() < until:
                os.killpg(process.pid, 0)
                time.sleep(0.1)
