"""No hostile submission gains a point, stops the batch, or leaves a process or a file."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import corpus
import pytest

from minilm.homework import sandbox
from minilm.homework.zygote import Zygote

ROOT = Path(__file__).parents[2]
LINUX = sys.platform == "linux"
AS_ROOT = LINUX and os.geteuid() == 0
USER = 61234  # no account's

# Those that differ most; all of them are tried among the slow tests.
SAMPLE = ["ask_for_the_answer", "daemon", "early_answers", "fork_bomb", "gc_search", "kill_all", "lying_array",
          "lying_header", "many_files", "patch_on_disk", "pickles", "read_the_lessons"]  # fmt: skip


def report(results):
    found = list(results)
    return "\n".join(map(str, found)), [result.name for result in found if result.trouble]


def has_walls(zygote):
    """A machine that lacks the walls is a machine on which the attacks would do harm."""
    return not sandbox.missing_for_strict(zygote.layers)


def test_a_sample(zygote, references):
    if not has_walls(zygote):
        pytest.fail(f"this machine cannot run hostile files: {zygote.layers}")
    text, trouble = report(corpus.run(zygote, references("l03"), SAMPLE, examples=1))
    assert not trouble, text


def test_there_are_enough():
    assert len(corpus.names()) >= 45 and set(SAMPLE) <= set(corpus.names())
    for name in corpus.names():
        text = (corpus.ATTACKS / f"{name}.py").read_text()
        assert '"""' in text.split("\n")[0] + text.split("\n")[1], f"{name} does not say what it tries"


def test_it_sees_an_attack_that_succeeds(references, tmp_path, monkeypatch):
    """With the walls away, a harmless one gets its point, and another leaves its mark."""
    (tmp_path / "leave.py").write_text(
        "import os\n"
        f"open('{tmp_path}/{corpus.MARK}', 'w')\n"
        "def scores(query, key):\n    return query @ key.swapaxes(-1, -2) / query.shape[-1] ** 0.5\n"
    )
    monkeypatch.setattr(corpus, "ATTACKS", tmp_path)
    monkeypatch.chdir(tmp_path)
    with Zygote(["session"]) as open_zygote:
        (result,) = corpus.run(open_zygote, references("l03"), ["leave"])
    assert result.trouble == ["gained a point (['PASSED'])", f"left file {tmp_path}/{corpus.MARK}"]


# ------------------------------------------------------------------------------------------- as others, with less walls


def run_as(user, *arguments):
    """The corpus's own command, as root or as an ordinary user, in a process of its own."""
    packages = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    environment = {
        "PATH": os.defpath, "MINILM_LANG": "en", "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": os.pathsep.join([str(ROOT), *packages]),
    }  # fmt: skip
    prefix = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []
    for python in dict.fromkeys([sys.executable, shutil.which("python3", path="/usr/bin:/usr/local/bin") or ""]):
        command = [*prefix, python, "-s"]
        tried = subprocess.run(
            [*command, "-c", "import numpy, minilm"], env=environment, cwd=ROOT, capture_output=True, check=False
        ) if python else None  # fmt: skip
        if tried is not None and tried.returncode == 0:
            return subprocess.run(
                [*command, "tests/homework/corpus.py", *arguments], env=environment, cwd=ROOT, capture_output=True,
                text=True, check=False,
            )  # fmt: skip
    return None


def check_all(user, *arguments):
    ran = run_as(user, *arguments)
    if ran is None:
        pytest.fail("an ordinary user can run no Python with NumPy here: the corpus was not tried as one")
    print(ran.stdout)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.count("\n") == len(corpus.names()) + 2


@pytest.mark.slow
class TestAll:
    def test_with_every_wall(self):
        check_all(None, "--claims", "4")

    def test_without_namespaces(self):
        check_all(None, "--layers", "uid,landlock,seccomp")

    @pytest.mark.skipif(not AS_ROOT, reason="only root can become an ordinary user; the tests above ran as one")
    def test_as_an_ordinary_user(self):
        check_all(USER)

    @pytest.mark.skipif(not AS_ROOT, reason="only root can become an ordinary user; the tests above ran as one")
    def test_as_an_ordinary_user_without_namespaces(self):
        check_all(USER, "--layers", "landlock,seccomp")
