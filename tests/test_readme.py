"""What the README shows really runs."""

import contextlib
import io
import re
import subprocess
import sys
from pathlib import Path

import pytest

import minilm as ml

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_examples_run(tmp_path: Path) -> None:
    """A GPT in ten lines learns, the one-line check passes, and the engine shows itself, in one session as typed."""
    example, check, seeing, _ = EXAMPLES
    assert len(example.strip().splitlines()) <= 16
    script = tmp_path / "example.py"
    example, check = example.replace("range(100)", "range(30)"), check.replace("ml.gradcheck", "assert ml.gradcheck")
    script.write_text(example + check + seeing)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, cwd=tmp_path)
    loss, text = done.stdout.split(" ", 1)
    assert (tmp_path / "loss.svg").read_text().startswith("<?xml") and "softmax" in text
    assert 1.5 < float(loss) < 4  # from ln 96 = 4.6 at the start
    assert text.startswith("The ")


def test_a_folder_that_others_published_is_read_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example of published models, on a small LLaMA; what it writes is what it read."""
    tokenizer = ml.text.ByteBPE.train("the cat and the other cat" * 9, 262)
    config = ml.models.LlamaConfig(tokenizer.vocab_size, context=64, width=16, layers=1, heads=2)
    ml.models.Llama(config, seed=0).save_pretrained(tmp_path / "folder")
    tokenizer.save_files(tmp_path / "folder")
    monkeypatch.chdir(tmp_path)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(EXAMPLES[-1], {"ml": ml})
    assert said.getvalue().startswith("The ") and len(said.getvalue()) > 10
    copy, original = (ml.models.Model.from_pretrained(name).state_dict() for name in ("copy", "folder"))
    assert copy.keys() == original.keys() and all((copy[name] == original[name]).all() for name in copy)


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#]+)\)", README))
def test_links_lead_somewhere(target: str) -> None:
    assert (ROOT / target).exists()


def test_commands_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"`?make ([a-z]+)`?", README)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_house_is_as_described() -> None:
    for path in re.findall(r"`((?:minilm|lessons|docs)/[\w/.]*)`", README):
        assert (ROOT / path).exists(), path
