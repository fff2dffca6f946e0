"""A sweep in its folder: what is trained and what is not, what is refused, what its tables are a function of."""

import csv
import dataclasses
import json
import os
import shutil
import time

import pytest
from small_sweep import in_process, run, small, tables

from minilm import lanes
from minilm.errors import ConfigError, DataError, TrainingError
from minilm.sweeps import rows as stocks
from minilm.sweeps import sweep as sweeps
from minilm.sweeps import training
from minilm.sweeps.config import Sizes
from minilm.sweeps.sweep import Running, stored_sweep
from minilm.sweeps.training import RESULT
from minilm.training.run import take


@pytest.fixture(scope="module", autouse=True)
def quick():
    """Files of few rows; and no waiting for the disk, for here no power fails."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(stocks, "ROWS", 64)
        patched.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory, quick):
    """The folder of an undisturbed sweep."""
    folder = tmp_path_factory.mktemp("whole") / "out"
    with in_process():
        run(small(), folder)
    return folder


@pytest.fixture
def copied(whole, tmp_path):
    """The same, to be changed."""
    return shutil.copytree(whole, tmp_path / "out")


def names(sweep, folder):
    return [one.point.name for one in Running(sweep, folder).plan]


class TestFolder:
    def test_holds_all_that_is_promised(self, whole):
        assert {path.name for path in whole.iterdir()} == {"sweep.json", "table.csv", "curves.csv", "lock", "runs"}
        assert stored_sweep(whole) == small()
        with (whole / "table.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert sorted(row["run"] for row in rows) == sorted(names(small(), whole)) and len(rows) == 6
        assert all((whole / "runs" / row["run"] / RESULT).exists() for row in rows)
        assert len({row["loss"] for row in rows}) == 6

    def test_processes_side_by_side_give_the_same_bytes(self, copied, tmp_path):
        with in_process():
            run(small().with_seeds(1), copied, resume=True)
        run(small().with_seeds(1), tmp_path / "processes", jobs=2)
        assert tables(tmp_path / "processes") == tables(copied)

    def test_the_order_in_which_they_are_done_does_not_matter(self, whole, tmp_path):
        with in_process(order=lambda jobs: jobs[::-1]) as begun:
            run(small(), tmp_path / "out")
        assert [name for name in begun if "/" not in name] == names(small(), whole)[::-1]
        assert tables(tmp_path / "out") == tables(whole)

    def test_rows_come_before_the_trainings_that_read_them_and_are_made_once(self, tmp_path):
        with in_process() as begun:
            run(small(), tmp_path / "out")
        assert [name.partition("/")[0] == "rows" for name in begun] == [True] * 3 + [False] * 3 + [True] * 3 + [
            False
        ] * 3
        assert begun[3:6] == names(small(), tmp_path)[:3]  # in the order of the plan

    def test_a_text_has_no_rows_and_no_floor(self, tmp_path):
        (tmp_path / "mine.txt").write_text("the cat sat on the mat. " * 60 + "a dog ran. " * 40)
        sweep = small(data=str(tmp_path / "mine.txt"))
        with in_process() as begun:
            running = run(sweep, tmp_path / "out")
            assert begun == names(sweep, tmp_path) and "excess" not in running.rows[0]
            assert list(running.sources) == ["text"]
            (tmp_path / "mine.txt").write_text("quite another text. " * 90)
            with pytest.raises(ConfigError, match="no longer what"):
                run(sweep, tmp_path / "out", resume=True)


class TestGoingOn:
    def test_a_finished_one_trains_nothing(self, copied):
        before = [tables(copied), *(p.stat().st_mtime_ns for p in copied.rglob(RESULT))]
        (copied / "table.csv").unlink()
        (copied / ".table.csv.x.tmp").write_text("half")
        with in_process() as begun:
            running = run(small(), copied, resume=True)
        assert begun == [] and running.share_done() == 1 and running.seconds_left() == 0
        assert before == [tables(copied), *(p.stat().st_mtime_ns for p in copied.rglob(RESULT))]
        assert not list(copied.rglob("*.tmp"))

    @pytest.mark.parametrize("after", [0, 4, 9])
    def test_one_that_stopped_does_what_is_not_done(self, whole, tmp_path, after):
        """After so many jobs, those of rows among them."""

        def stops(jobs):
            yield from jobs[:after]
            raise KeyboardInterrupt

        with in_process(stops), pytest.raises(KeyboardInterrupt):
            run(small(), tmp_path / "out")
        done = {path.parent.name: path.stat().st_mtime_ns for path in tmp_path.rglob(RESULT)}
        with in_process() as begun:
            run(small(), tmp_path / "out", resume=True)
        assert {name for name in begun if "/" not in name} == set(names(small(), whole)) - set(done)
        assert tables(tmp_path / "out") == tables(whole)
        assert all(
            (tmp_path / "out" / "runs" / name / RESULT).stat().st_mtime_ns == then for name, then in done.items()
        )

    def test_more_and_fewer(self, whole, copied):
        """Another tail is trained beside the first; fewer seeds are fewer rows, and those left out stay."""
        with in_process() as begun:
            larger = run(small(tails=(1.0, 0.5)), copied, resume=True)
            trained = [name for name in begun if "/" not in name]
            assert len(trained) == 6 and all(name.startswith("tail0.5") for name in trained)
            assert set(larger.sources) == {"tail1", "tail0.5"} and len(larger.rows) == 12
            begun.clear()
            fewer = run(small().with_seeds(1), copied, resume=True)
            assert [row["seed"] for row in fewer.rows] == [0, 0, 0]
            assert stored_sweep(copied).training.seeds == 1
            run(small(), copied, resume=True)
        assert begun == [] and tables(copied) == tables(whole)

    def test_other_settings_are_refused_and_nothing_changes(self, copied):
        before = {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()}
        other = dataclasses.replace(small(), training=dataclasses.replace(small().training, rate=0.01))
        with in_process() as begun:
            for sweep in (other, small(world=1)):
                with pytest.raises(ConfigError, match="other settings than this sweep's: choose another --out"):
                    run(sweep, copied, resume=True)
        assert begun == [] and before == {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()}

    def test_a_damaged_result_is_made_again(self, whole, copied):
        damaged = names(small(), copied)[2]
        (copied / "runs" / damaged / RESULT).write_text("{")
        with in_process() as begun:
            run(small(), copied, resume=True)
        assert [name for name in begun if "/" not in name] == [damaged] and tables(copied) == tables(whole)


class TestRefused:
    def test_a_folder_with_a_sweep(self, whole):
        with pytest.raises(ConfigError, match="already holds a sweep: go on with --resume"):
            run(small(), whole)

    @pytest.mark.parametrize("resume", [True, False])
    def test_a_folder_with_something_else(self, tmp_path, resume):
        (tmp_path / "thesis.txt").write_text("years of work")
        with pytest.raises(ConfigError, match=r"already holds thesis\.txt"):
            run(small(), tmp_path, resume)
        with pytest.raises(ConfigError, match="could not be made"):
            run(small(), tmp_path / "thesis.txt", resume)

    def test_but_not_one_with_what_a_kill_at_the_very_beginning_left(self, tmp_path):
        (tmp_path / "lock").touch()
        (tmp_path / ".sweep.json.x.tmp").write_text("{")
        running = Running(small(), tmp_path)
        with running.taken(resume=True):
            assert sorted(path.name for path in tmp_path.iterdir()) == ["lock", "sweep.json"]

    def test_a_folder_in_which_another_is_writing(self, tmp_path):
        one, other = (Running(small(), tmp_path) for _ in range(2))
        refused = pytest.raises(ConfigError, match="another sweep is writing to")
        with one.taken(resume=False), refused, other.taken(resume=True):
            pass
        with other.taken(resume=True):
            pass

    @pytest.mark.parametrize(
        ("content", "said"), [(None, "there is no sweep in"), ("{", "is damaged"), ("{}", "sweep")]
    )
    def test_a_stored_sweep_that_is_none(self, tmp_path, content, said):
        if content is not None:
            (tmp_path / "sweep.json").write_text(content)
        with pytest.raises(ConfigError, match=said):
            stored_sweep(tmp_path)


class TestFailures:
    def test_one_is_told_the_others_go_on_and_it_is_tried_again(self, whole, tmp_path, monkeypatch):
        bad, train = names(small(), tmp_path)[1], training._trained

        def fails(point, *rest):
            if point.name == bad:
                raise TrainingError("the loss is nan at step 3")
            return train(point, *rest)

        said = []
        with in_process() as begun:
            monkeypatch.setattr(training, "_trained", fails)
            running = run(small(), tmp_path / "out", said=said)
            assert running.failed == {bad: "the loss is nan at step 3"} and len(running.rows) == 5
            assert f"{bad} failed: the loss is nan at step 3" in said
            assert (tmp_path / "out" / "rows").exists() and running.share_done() < 1 and running.seconds_left() == 0
            monkeypatch.undo()
            begun.clear()
        with in_process() as begun:
            assert run(small(), tmp_path / "out", resume=True).failed == {} and begun == [bad]
        assert tables(tmp_path / "out") == tables(whole) and not (tmp_path / "out" / "rows").exists()

    def test_what_all_would_meet_ends_it(self, tmp_path, monkeypatch):
        def fails(*_):
            raise ConfigError("a setting that cannot be")

        monkeypatch.setattr(training, "_trained", fails)
        with in_process() as begun, pytest.raises(ConfigError, match="a setting that cannot be"):
            run(small(), tmp_path / "out")
        assert len([name for name in begun if "/" not in name]) == 1

    def test_rows_that_could_not_be_written_ahead_are_no_failed_training(self, whole, tmp_path, monkeypatch):
        def fails(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(sweeps, "make_rows", fails)
        said = []
        with in_process():
            running = run(small(), tmp_path / "out", said=said)
        assert running.failed == {} and "No space left on device" in "".join(said)
        assert tables(tmp_path / "out") == tables(whole)

    def test_a_full_disk_under_the_table_loses_no_result(self, whole, tmp_path, monkeypatch):
        """One sentence; the training that was done stays done."""
        write = sweeps.write_atomically

        def full(path, content):
            if path.name == "table.csv" and list(tmp_path.rglob(RESULT)):
                raise DataError("table.csv could not be written")
            write(path, content)

        monkeypatch.setattr(sweeps, "write_atomically", full)
        with in_process(), pytest.raises(DataError, match=r"table\.csv could not be written"):
            run(small(), tmp_path / "out")
        assert len(list(tmp_path.rglob(RESULT))) == 1
        monkeypatch.undo()
        with in_process() as begun:
            run(small(), tmp_path / "out", resume=True)
        assert len([name for name in begun if "/" not in name]) == 5 and tables(tmp_path / "out") == tables(whole)


class TestProgress:
    def test_the_share_rises_from_0_to_1_and_the_seconds_make_sense(self, tmp_path, monkeypatch):
        shares, left = [], []

        def look(running, sentence):
            shares.append(running.share_done())
            left.append(running.seconds_left())

        running = Running(small(), tmp_path / "out", look)
        with in_process(), running.taken(resume=False):
            running.run(1)
        assert shares == sorted(shares) and shares[0] == 0 and shares[-1] == 1
        assert all(0 <= seconds < 60 for seconds in left) and left[-1] == 0 and left[0] > 0

    def test_it_sees_what_is_under_way_and_never_goes_back(self, tmp_path):
        """A training that died goes on from its last checkpoint: its log is shorter then."""
        running = Running(small(), tmp_path / "out")
        with running.taken(resume=False):
            one = running.plan[0]
            log = running.place(one) / "log.jsonl"
            log.parent.mkdir(parents=True)
            seen = [running.share_done()]
            for step in (1, 2, 4, 2, 3, 400):
                log.write_text(json.dumps({"step": step}) + "\n")
                seen.append(running.share_done())
            assert seen == sorted(seen) and 0 == seen[0] < seen[1] < seen[2] < seen[3] == seen[4] <= seen[6] <= 1
            log.write_text("half a reco")
            assert running.share_done() == seen[-1] and running.seconds_left() > 0

    def test_the_time_left_is_by_the_pace_so_far(self, tmp_path, monkeypatch):
        """Half of the cost took a minute, so the rest takes one; what an earlier run paid does not count."""
        running = Running(small(), tmp_path / "out")
        costs = {one.point.name: one.point.cost for one in running.plan}
        scale = 1000 / sum(costs.values())
        monkeypatch.setattr(type(running.plan[0].point), "cost", property(lambda p: scale * costs[p.name]))
        clock = [100.0]
        monkeypatch.setattr(time, "monotonic", lambda: clock[0])
        monkeypatch.setattr(sweeps, "run_here", lambda *_: (_ for _ in ()))
        running.run(2)
        assert running.seconds_left() == pytest.approx(500)  # nothing is known yet: the costs, by two processes
        done = running.plan[:3]
        paid = sum(one.point.cost for one in done)
        for one in done:
            running._paid += one.point.cost
            running.results[one.point.name] = {}
        clock[0] += 60
        assert running.seconds_left() == pytest.approx(60 * (1000 - paid) / paid)

    def test_a_training_that_fails_is_not_waited_for(self, tmp_path):
        running = Running(small(), tmp_path / "out")
        before = running.seconds_left()
        running._take(lanes.Job(running.plan[0].point.name, training.train_point), lanes.Failed("why"))
        assert running.seconds_left() < before


def test_a_setting_that_is_in_two_families_is_trained_once(whole):
    sweep = dataclasses.replace(small(), families=(*small().families, Sizes((6,), 512)))
    assert names(sweep, whole) == names(small(), whole)


def test_pictures_fill_now_and_then(tmp_path, monkeypatch):
    """After twenty seconds, and again when what they took is a small part of the time."""
    running, drawn, clock = Running(small(), tmp_path / "out"), [], [0.0]

    def draw(replicas):
        drawn.append(clock[0])
        clock[0] += 3

    monkeypatch.setattr(running, "draw", draw)
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    for clock[0] in range(0, 300, 10):
        running._draw_now_and_then()
    assert drawn == [20, 130, 240]  # 3 s are 3 % of 100


def test_the_lock_is_let_go_when_it_ends(tmp_path):
    with pytest.raises(RuntimeError), Running(small(), tmp_path).taken(resume=False):
        raise RuntimeError
    descriptor = os.open(tmp_path / "lock", os.O_RDWR)
    take(descriptor)
    os.close(descriptor)
