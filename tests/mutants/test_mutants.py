"""The runner itself: what it plants, what it leaves out, and that it tells a caught mistake from one that is none."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import planting
import pytest
from equivalents import EQUIVALENT, read
from planting import ROOT, by_machine, candidates, files, left_out, make

HERE = Path(__file__).parent

pytestmark = pytest.mark.xdist_group("mutants")  # one process tries mutants for all

SOURCE = '''\
"""A docstring of 1 + 1."""

from typing import TYPE_CHECKING, Any

Axis = int | None
if TYPE_CHECKING:
    late = 1 + 1
__all__ = ["f"] + []


def f(x: "int | None", *, k: int = 3) -> "int | None":
    """More than 2 * 2."""
    é = x * 2 if x > 0 else -k
    if not x:
        raise ValueError(tr("wanted {n}", n=1 + 1))
    for a, b in zip([x], [k], strict=True):
        é = é + a + b
    return é
'''


def test_what_is_planted_and_what_is_left_out() -> None:
    mutants = list(by_machine({"a.py": SOURCE}, seed=0))
    changed = {m.before for m in mutants}
    assert changed == {
        'def f(x: "int | None", *, k: int = 3) -> "int | None":',
        "é = x * 2 if x > 0 else -k",
        "if not x:",
        "for a, b in zip([x], [k], strict=True):",
        "é = é + a + b",
    }
    after = {m.after for m in mutants}
    assert {"é = x + 2 if x > 0 else -k", "é = x * 2 if x >= 0 else -k", "é = x * 2 if x > 0 else k"} <= after
    assert "for a, b in []:" in {a.replace("  ", " ") for a in after}
    assert not any("/," in a or "strict=False" in a for a in after)
    assert len({m.source for m in mutants}) == len(mutants)
    for m in mutants:
        compile(m.source, "a.py", "exec")
        assert m.source.splitlines()[m.line - 1].strip() == m.after.split("\n")[0]
        assert SOURCE.splitlines()[m.line - 1].strip() == m.before.split("\n")[0]


def test_a_sample_is_drawn_by_its_seed_and_spread_over_the_files() -> None:
    sources = {f: (ROOT / f).read_text() for f in files() if "autograd/norms" in f or "nn/init" in f or "nn/lay" in f}
    one, same, other = ([m.key for m in by_machine(sources, seed, 12)] for seed in (1, 1, 2))
    assert one == same != other and len(one) == 12
    all_places = {f: len(candidates(f, source)) for f, source in sources.items()}
    drawn = list(by_machine(sources, 3, 40))
    for file, places in all_places.items():
        share = 40 * places / sum(all_places.values())
        assert abs(sum(m.file == file for m in drawn) - share) <= 1


def test_places_are_counted_in_characters() -> None:
    (_, end), *_ = left_out('é = tr("ñ") + 1\n')
    assert end == (1, 11)


def test_every_kind_of_operator_is_known() -> None:
    names = planting.operator_names()
    assert set(planting.OTHERS) < set(names)
    assert {"ReplaceBinaryOperator_Mul_Div", "ReplaceComparisonOperator_Lt_LtE"} <= set(names)


def test_mistakes_made_by_hand_apply_to_the_source_as_it_is() -> None:
    slips = tomllib.loads((HERE / "by_hand.toml").read_text("utf-8"))
    counts = {(f, s["why"]): (ROOT / f).read_text().count(s["old"]) for f, found in slips.items() for s in found}
    assert {key: count for key, count in counts.items() if count != 1} == {}


def test_equivalents_say_why() -> None:
    for entry in EQUIVALENT:
        assert len(entry.reason.split()) > 3, entry
        assert entry.before in "\n".join(line.strip() for line in (ROOT / entry.file).read_text().splitlines()), entry
    assert len({(e.file, e.before, e.after) for e in EQUIVALENT}) == len(EQUIVALENT)
    two = read('[["a.py"]]\nbefore = "x"\nafter = ["y", "z"]\nreason = "the same"')
    assert [(e.file, e.before, e.after) for e in two] == [("a.py", "x", "y"), ("a.py", "x", "z")]


# What follows runs in a process of its own, since a mutant takes minilm's place before anything has imported it.
TRIALS = """
import json, sys
sys.path.insert(0, sys.argv[1])
from by_hand import planted_by_hand
from planting import ROOT, make
from trials import CannotTest, judge, prepare, survey
import trials

trials.PATIENCE = 2.0
tests = ["tests/nn/test_layers.py"]
prepare(tests)
file = "minilm/nn/init.py"
source = (ROOT / file).read_text()
changes = {
    "bad": ("return std / math.sqrt(2 * layers)", "return std / math.sqrt(layers)"),
    "nothing": ("return std / math.sqrt(2 * layers)", "return (std / math.sqrt(2 * layers))"),
    "endless": ("return std / math.sqrt(2 * layers)", "while True: pass"),
    "broken": ("STD = 0.02", "STD = SDT"),
    "crash": ("return std / math.sqrt(2 * layers)", "__import__('os').abort()"),
}
mutants = [make(file, source, source.replace(*change), why) for why, change in changes.items()]
known = survey(1, tests)
found = {m.why: [o.kind, o.test, o.detail, o.tests] for m, o in judge(mutants, known, {file: source}, 2)}
try:
    list(planted_by_hand({file: source}, {file: [{"old": "a text long gone", "new": "", "why": "stale"}]}))
except CannotTest as error:
    found["stale"] = str(error)
found["untouched"] = (ROOT / file).read_text() == source
found["all"] = len(known.seconds)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found() -> dict:
    done = subprocess.run([sys.executable, "-c", TRIALS, str(HERE)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_mistake_is_killed_by_a_test_that_runs_it(found: dict) -> None:
    kind, test, detail, tests = found["bad"]
    assert kind == "killed" and test == "tests/nn/test_layers.py::test_residual_std[numpy]"
    assert detail.startswith("AssertionError")
    assert 0 < tests <= found["all"]
    assert found["untouched"]


def test_what_changes_nothing_survives_the_tests_that_run_it(found: dict) -> None:
    kind, _, _, tests = found["nothing"]
    assert kind == "survived"
    assert 0 < tests < found["all"]


def test_an_endless_loop_is_ended_and_named_so(found: dict) -> None:
    kind, test, *_ = found["endless"]
    assert kind == "timed out" and test.startswith("tests/nn/test_layers.py::")


def test_what_cannot_be_imported_is_no_kill(found: dict) -> None:
    kind, _, detail, _ = found["broken"]
    assert kind == "unimportable" and detail.startswith("NameError")


def test_a_crash_is_a_kill_that_says_so(found: dict) -> None:
    kind, _, detail, _ = found["crash"]
    assert kind == "killed" and "ended with -6" in detail


def test_a_hand_written_entry_whose_text_is_gone_says_so(found: dict) -> None:
    assert "“stale” no longer applies: its text is 0 times in minilm/nn/init.py" in found["stale"]
    assert "update it: 'a text long gone'" in found["stale"]


def test_lines_of_a_mutant() -> None:
    m = make("a.py", "x = 1\n\n  y = 2\nz = 3\n", "x = 1\n\nz = 3\n", "gone")
    assert (m.line, m.before, m.after, m.module) == (3, "y = 2", "", "a")
