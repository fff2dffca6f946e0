"""What the README shows really runs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_examples_run(tmp_path: Path) -> None:
    """A GPT in ten lines learns, the one-line check passes, and the engine shows itself, in one session as typed."""
    example, check, seeing = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(example.strip().splitlines()) <= 16
    script = tmp_path / "example.py"
    example, check = example.replace("range(100)", "range(30)"), check.replace("ml.gradcheck", "assert ml.gradcheck")
    script.write_text(example + check + seeing)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, cwd=tmp_path)
    loss, text = done.stdout.split(" ", 1)
    assert (tmp_path / "loss.svg").read_text().startswith("<?xml") and "softmax" in text
    assert 1.5 < float(loss) < 4  # from ln 96 = 4.6 at the start
    assert text.startswith("The ")


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
