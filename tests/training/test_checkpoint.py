import json
import os

import numpy as np
import pytest
from failing_disk import Disk, Killed, install

from minilm.errors import CheckpointError
from minilm.training import load_checkpoint, save_checkpoint
from minilm.training.checkpoint import checkpoints_in, prune, remove_leftovers, set_aside, whole_before

FILES = ("model.safetensors", "optimizer.safetensors", "state.json")


def arrays(step):
    rng = np.random.default_rng(step)
    weights = {"a": rng.standard_normal((3, 4)).astype(np.float32), "b": rng.standard_normal(2)}
    return weights, {"steps": np.array(step), "a.first_moment": np.asfortranarray(weights["a"] * 2)}


def save(folder, step, **metrics):
    return save_checkpoint(folder, step, *arrays(step), {"metrics": metrics, "note": "ñ"})


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_is_loaded_is_what_was_saved(tmp_path):
    path = save(tmp_path, 500, loss=1 / 3)
    assert path.name == "step-00000500"
    assert tuple(names(path)) == FILES
    assert names(tmp_path) == ["step-00000500"]
    found = load_checkpoint(path)
    weights, optimizer = arrays(500)
    assert found.step == 500
    assert found.state["metrics"] == {"loss": 1 / 3}
    assert found.state["note"] == "ñ"
    for got, wanted in ((found.weights, weights), (found.optimizer, optimizer)):
        assert set(got) == set(wanted)
        for name in wanted:
            assert got[name].dtype == wanted[name].dtype
            assert got[name].shape == wanted[name].shape
            assert np.array_equal(got[name], wanted[name])


def test_a_disk_that_takes_a_few_bytes_at_a_time_gets_them_all(tmp_path, monkeypatch):
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, bytes(data)[:7]))
    path = save(tmp_path, 1)
    monkeypatch.undo()
    assert np.array_equal(load_checkpoint(path).weights["a"], arrays(1)[0]["a"])


def test_no_checkpoint_is_written_over(tmp_path):
    save(tmp_path, 5)
    with pytest.raises(CheckpointError, match="already exists"):
        save(tmp_path, 5)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1])


def extend(path):
    path.write_bytes(path.read_bytes() + b"\0")


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [truncate, extend, flip, empty, lambda path: path.unlink()])
@pytest.mark.parametrize("name", FILES)
def test_damage_is_refused_by_name_and_the_one_before_is_offered(tmp_path, damage, name):
    save(tmp_path, 1)
    save(tmp_path, 2)
    last = save(tmp_path, 3)
    flip(tmp_path / "step-00000002" / "optimizer.safetensors")  # so the offer is step 1
    damage(last / name)
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(last)
    message = str(caught.value)
    assert str(last) in message
    assert name in message
    assert "--checkpoint step-00000001" in message
    if damage in (truncate, extend, empty) and name != "state.json":
        assert "bytes instead of" in message


def test_every_byte_of_the_state_counts(tmp_path):
    path = save(tmp_path, 7, loss=0.25) / "state.json"
    good = path.read_bytes()
    meaning = json.loads(good)
    for i in range(len(good)):
        data = bytearray(good)
        data[i] ^= 1
        path.write_bytes(data)
        try:
            same = json.loads(data) == meaning  # a changed blank means nothing
        except ValueError:
            same = False
        if not same:
            with pytest.raises(CheckpointError, match=r"state\.json"):
                load_checkpoint(path.parent)


def test_a_foreign_file_is_named(tmp_path):
    path = save(tmp_path, 1)
    (path / "weights.bin").write_bytes(b"?")
    with pytest.raises(CheckpointError, match=r"weights\.bin does not belong there; no checkpoint before it is whole"):
        load_checkpoint(path)


def test_a_renamed_checkpoint_is_refused(tmp_path):
    save(tmp_path, 1).rename(tmp_path / "step-00000009")
    with pytest.raises(CheckpointError, match="holds step 1"):
        load_checkpoint(tmp_path / "step-00000009")


def test_a_later_format_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("minilm.training.checkpoint.FORMAT", 2)
    path = save(tmp_path, 1)
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="format 2"):
        load_checkpoint(path)


@pytest.mark.parametrize("name", ["step-00000009", "nonsense"])
def test_a_missing_checkpoint_is_named(tmp_path, name):
    with pytest.raises(CheckpointError, match=name):
        load_checkpoint(tmp_path / name)


def test_the_newest_few_and_the_best_are_kept(tmp_path):
    for step, loss in ((1, 3.0), (2, 1.0), (3, 2.0), (4, None), (5, 2.5)):
        save(tmp_path, step, **({} if loss is None else {"validation_loss": loss}))
    empty(tmp_path / "step-00000001" / "state.json")
    prune(tmp_path, 2, "validation_loss")
    assert names(tmp_path) == ["step-00000002", "step-00000004", "step-00000005"]
    prune(tmp_path, 1)
    assert names(tmp_path) == ["step-00000005"]


def test_set_aside_is_out_of_sight(tmp_path):
    save(tmp_path, 1)
    assert set_aside(save(tmp_path, 2)).name == "aside-step-00000002"
    assert set_aside(save(tmp_path, 2)).name == "aside-step-00000002-2"
    assert [p.name for p in checkpoints_in(tmp_path)] == ["step-00000001"]


def test_whole_before_looks_at_earlier_steps_only(tmp_path):
    first, middle, last = (save(tmp_path, step) for step in (1, 2, 3))
    assert whole_before(middle) == first
    assert whole_before(first) is None
    assert whole_before(last) == middle


def calls_of_one_save(folder, monkeypatch):
    with monkeypatch.context() as patch:
        disk = Disk()
        install(patch, disk)
        save(folder, 2)
    assert set(disk.seen) == {"mkdir", "open", "write", "fsync", "rename"}
    return disk.count


@pytest.mark.parametrize("forever", [True, False])
def test_a_full_disk_at_any_call_loses_nothing(tmp_path, monkeypatch, forever):
    for at in range(1, calls_of_one_save(tmp_path / "counted", monkeypatch) + 1):
        folder = tmp_path / f"{at}"
        save(folder, 1)
        with monkeypatch.context() as patch:
            install(patch, Disk(at, forever))
            with pytest.raises(CheckpointError, match=r"step-00000002 could not be written \(No space left") as caught:
                save(folder, 2)
        assert "step-00000001, is untouched" in str(caught.value)
        assert not [name for name in names(folder) if name.startswith(".")]
        assert load_checkpoint(folder / "step-00000001").step == 1
        if (folder / "step-00000002").exists():  # only the sync after the rename failed
            assert load_checkpoint(folder / "step-00000002").step == 2
        else:
            assert load_checkpoint(save(folder, 2)).step == 2


def test_a_kill_at_any_call_leaves_only_whole_checkpoints(tmp_path, monkeypatch):
    partial = 0
    for at in range(1, calls_of_one_save(tmp_path / "counted", monkeypatch) + 1):
        folder = tmp_path / f"{at}"
        save(folder, 1)
        with monkeypatch.context() as patch:
            install(patch, Disk(at, kill=True))
            with pytest.raises(Killed):
                save(folder, 2)
        partial += ".step-00000002.partial" in names(folder)
        remove_leftovers(folder)
        assert {p.name for p in folder.iterdir()} == {p.name for p in checkpoints_in(folder)}
        assert [load_checkpoint(path).step for path in checkpoints_in(folder)] in ([1], [1, 2])
    assert partial > 5


def test_a_kill_while_removing_leaves_no_half_checkpoint(tmp_path, monkeypatch):
    import shutil

    save(tmp_path, 1)
    save(tmp_path, 2)
    with monkeypatch.context() as patch:
        calls = []

        def rmtree(path, ignore_errors):
            calls.append(path)
            if len(calls) == 2:
                (path / "model.safetensors").unlink()
                raise Killed

        patch.setattr(shutil, "rmtree", rmtree)
        with pytest.raises(Killed):
            prune(tmp_path, 1)
    assert [p.name for p in checkpoints_in(tmp_path)] == ["step-00000002"]
    remove_leftovers(tmp_path)
    assert names(tmp_path) == ["step-00000002"]
