import json
import subprocess
import sys

import numpy as np
import pytest
from failing_disk import Disk, Killed, install

from minilm.errors import CheckpointError, ConfigError, TrainingError
from minilm.training import Run, read_log, save_checkpoint
from minilm.training.log import Log


class Tokenizer:
    def save(self, path):
        path.write_text('{"kind": "char"}')


def make(folder):
    return Run.create(folder, {"model": {"width": 8}}, Tokenizer(), command="minilm pretrain gpt")


def test_what_is_made_is_what_is_opened(tmp_path):
    make(tmp_path / "runs" / "first")
    run = Run(tmp_path / "runs" / "first")
    assert run.config["model"] == {"width": 8}
    assert json.loads(run.tokenizer.read_text()) == {"kind": "char"}
    assert run.latest() is None
    assert run.resume_command == f"minilm pretrain gpt --resume {run.folder}"
    with pytest.raises(CheckpointError, match="no checkpoint yet"):
        run.load()
    save_checkpoint(run.checkpoints, 3, {"a": np.ones(2)}, {}, {})
    save_checkpoint(run.checkpoints, 12, {"a": np.ones(2)}, {}, {})
    assert run.load().step == 12
    assert run.load("step-00000003").step == 3
    with pytest.raises(CheckpointError, match="step-00000004 is not there"):
        run.load("step-00000004")


def test_a_run_is_not_made_twice(tmp_path):
    run = make(tmp_path / "r")
    with pytest.raises(ConfigError, match=f"go on with `minilm pretrain gpt --resume {run.folder}`"):
        make(run.folder)


def test_a_folder_with_other_things_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"already holds thesis\.txt"):
        make(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("content", [None, "", "{", "[]", "{}"])
def test_what_is_no_run_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(CheckpointError, match="is no run"):
        Run(tmp_path)


@pytest.mark.parametrize("kill", [True, False])
def test_a_run_whose_making_broke_off_can_be_made_again(tmp_path, monkeypatch, kill):
    with monkeypatch.context() as patch:
        disk = Disk()
        install(patch, disk)
        make(tmp_path / "counted")
    assert disk.count >= 8
    for at in range(1, disk.count + 1):
        folder = tmp_path / f"{at}"
        with monkeypatch.context() as patch:
            install(patch, Disk(at, kill=kill))
            with pytest.raises(Killed if kill else ConfigError):
                make(folder)
        if not kill:
            assert not list(folder.glob(".*"))
        if not (folder / "config.json").exists():
            make(folder)
        assert Run(folder).config["model"] == {"width": 8}
        assert Run(folder).tokenizer.exists()


def test_two_trainings_do_not_share_a_folder(tmp_path):
    run = make(tmp_path / "r")
    program = "import sys; from minilm.training import Run\nwith Run(sys.argv[1]).lock(): print('held')"

    def other():
        return subprocess.run([sys.executable, "-c", program, run.folder], capture_output=True, text=True)

    with run.lock():
        with pytest.raises(ConfigError, match="another training"), Run(run.folder).lock():
            raise AssertionError
        assert "another training" in other().stderr
    assert other().stdout == "held\n"


# ------------------------------------------------------------------------------------------------------------- log


def records(*steps):
    return [{"step": step, "loss": 1 / step} for step in steps]


def written(path, *steps):
    log = Log(path, 0)
    for record in records(*steps):
        log.append(record)
    log.sync()
    log.close()


def test_log_reads_back_exactly(tmp_path):
    written(tmp_path / "log.jsonl", 1, 3, 7)
    assert read_log(tmp_path / "log.jsonl") == records(1, 3, 7)
    assert read_log(tmp_path / "none.jsonl") == []


def test_a_torn_last_line_is_left_out_and_then_cut_off(tmp_path):
    path = tmp_path / "log.jsonl"
    written(path, 1, 3)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"step": 4, "lo')
    assert read_log(path) == records(1, 3)
    Log(path, 10).close()
    assert path.read_bytes() == whole


def test_opening_cuts_off_later_steps(tmp_path):
    path = tmp_path / "log.jsonl"
    written(path, 1, 3, 7, 9)
    log = Log(path, 7)
    log.append(records(8)[0])
    log.close()
    assert read_log(path) == records(1, 3, 7, 8)


@pytest.mark.parametrize("line", ["nonsense", "3", '{"loss": 2}'])
def test_a_damaged_line_is_named(tmp_path, line):
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 1}\n' + line + '\n{"step": 3}\n')
    with pytest.raises(CheckpointError, match=r"log\.jsonl, line 2"):
        read_log(path)


def test_a_full_disk_is_one_sentence(tmp_path, monkeypatch):
    path = tmp_path / "log.jsonl"
    written(path, 1, 2)
    log = Log(path, 2)
    with monkeypatch.context() as patch:
        install(patch, Disk(1))
        with pytest.raises(TrainingError, match="could not be written"):
            log.append(records(3)[0])
        with pytest.raises(TrainingError, match="could not be written"):
            log.sync()
        with pytest.raises(TrainingError, match="could not be written"):
            Log(path, 1)
    log.close()
    assert read_log(path) == records(1, 2)
