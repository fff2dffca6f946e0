"""The rules themselves: each finds what it should find, and lets pass what it should let pass."""

import numpy as np
import pytest
from prose import terms_in, units, unsupported_numbers
from script import function_length, names_used, read_script, resolve

import minilm as ml
import minilm.functional as F
from minilm.course import banks, find_lessons, session
from minilm.course.figures import subplots
from minilm.course.said import agrees
from minilm.errors import ConfigError


def bare(finding: str) -> str:
    """The number alone, of a finding."""
    return finding.partition(" in ")[0].strip("'")


class TestNumbers:
    @pytest.mark.parametrize(
        ("prose", "found"),
        [
            ("The loss is 0.83 nats.", ["0.83"]),
            ("GPT-2 has 124,439,808 parameters.", ["124,439,808"]),
            ("It is right in 83 % of cases.", ["83 %"]),
            ("It is right in 83% of cases.", ["83%"]),
            ("All 100 % of them.", ["100 %"]),
            ("A model of 117M parameters.", ["117M"]),
            ("It falls to −0.9.", ["−0.9"]),
            ("Between 0.1 and 0.2.", ["0.1", "0.2"]),
            ("From 13–20 steps.", ["13", "20"]),
            ("It takes 3.1e23 operations.", ["3.1e23"]),
            ("It takes 3.1 · 10²³ operations, to 10⁻⁹.", ["3.1e23", "1e-9"]),
            ("A width of 16.", ["16"]),
            ("a loss of .95", [".95"]),
            ("| model | loss |\n|---|---|\n| ours | 1.88 |", ["1.88"]),
            ("- a loss of 1.5\n- a loss of 1.6 (Smith 2020)", ["1.5"]),
            ("The loss is 1.5. Smith (2020) reports 1.6.", ["1.5"]),
            ("The loss is 1.5 (see below, 3 times).", ["1.5"]),
            ("In 1.5 of them (2020).", ["1.5"]),
            ("## Width 64", ["64"]),
            ("It is 1,234 long, that is 1234.", ["1,234", "1234"]),
        ],
    )
    def test_unsupported_ones_are_found(self, prose, found):
        assert [bare(finding) for finding in unsupported_numbers(prose, [])] == found

    @pytest.mark.parametrize(
        "prose",
        [
            "There are 12 heads, 3 of them in 2 layers.",
            "Since 2017, and before 1999.",
            "See section 13, equation 25, Table 21, Figure 33 and lesson 20.",
            "As L3.2 says, GPT-2, float64, UTF-8, x86_64 and the 20th do.",
            "Where $x = 0.37$ and `x = 0.38` and $$y = 0.39$$ hold.",
            "```python\nx = 0.37\n```",
            "The rate was 0.37 (Vaswani et al. 2017, section 5.3).",
            "Vaswani et al. (2017) took 0.37. ",
            "Kaplan and McCandlish (2020) took 0.37.",
            "It gave NaN in 512 tokens (pytorch/pytorch#41508, “Softmax of a row that is all −inf is NaN”).",
            "- 0.37 of them. It is more than in 1.5 of these (Smith 2020).",
            "[the paper](https://arxiv.org/abs/1706.03762)",
            "python 3.11",
        ],
    )
    def test_labels_trivial_and_sourced_ones_pass(self, prose):
        assert unsupported_numbers(prose, []) == []

    def test_what_is_said_or_stands_in_the_code_is_covered(self):
        prose = "It has 124,439,808 parameters, 83 % in blocks; a loss of about 1.90, a width of 64; it costs 10⁻⁹."
        said = ["124,439,808", "83%", "about 1.90", "less than 1e-9"]
        assert unsupported_numbers(prose, said, [64]) == []
        assert [bare(f) for f in unsupported_numbers(prose, [*said[:2], "1.9", said[3]], [65])] == ["1.90", "64"]

    def test_a_source_covers_its_sentence_alone(self):
        prose = "We find 0.37. They found 0.38 (Smith et al. 2020, p. 3). We find 0.39."
        assert [bare(finding) for finding in unsupported_numbers(prose, [])] == ["0.37", "0.39"]

    def test_sentences_do_not_end_within_names(self):
        assert list(units("As Vaswani et al. (2017) say, e.g. Here. So it is.")) == [
            "As Vaswani et al. (2017) say, e.g. Here.",
            "So it is.",
        ]


class TestSaid:
    @pytest.mark.parametrize(
        ("text", "value", "right"),
        [
            ("1.88", 1.8849, True),
            ("1.88", 1.8751, True),
            ("1.88", 1.8851, False),
            ("1.88", 1.8749, False),
            ("about 1.9", 1.81, True),
            ("about 1.9", 1.79, False),
            ("83 %", 0.834, True),
            ("83 %", 0.836, False),
            ("83%", 83, False),
            ("124,439,808", 124439808, True),
            ("124,439,808", 124439809, False),
            ("124M", 124439808, True),
            ("−0.9", -0.93, True),
            ("-0.9", 0.93, False),
            ("3.1e23", 3.14e23, True),
            ("3.1e23", 3.2e23, False),
            ("2 · 10⁻⁹", 2.4e-9, True),
            ("10⁻⁹", 2.4e-9, False),
            (".95", 0.951, True),
            ("more than 0.95", 0.96, True),
            ("more than 0.95", 0.94, False),
            ("less than 10⁻⁹", 1e-10, True),
            ("less than 10⁻⁹", 1e-8, False),
            ("at most 3", 3, True),
            ("1.88", float("nan"), False),
            ("more than 0.95", float("inf"), False),
        ],
    )
    def test_a_value_agrees_if_it_rounds_to_what_is_printed(self, text, value, right):
        assert agrees(text, value) is right

    @pytest.mark.parametrize("text", ["no number", "1.5 and 1.6", "perhaps 1.5", ""])
    def test_what_is_no_number_is_refused(self, text):
        with pytest.raises(ConfigError, match="said "):
            agrees(text, 1.5)


def test_terms_are_found_as_words():
    prose = "Causal masks, a *residual*; `layer norm`, $residuals$, self-attention, unmasked."
    assert terms_in(prose, ["causal mask", "residual", "layer norm", "attention", "mask"]) == [
        "causal mask",
        "residual",
        "mask",
    ]
    assert terms_in("a causal\nmask", ["causal mask"]) == ["causal mask"]


class TestNames:
    def test_all_ways_to_import_are_seen(self):
        source = """
import minilm
import minilm as ml
import minilm.functional as F
from minilm import functional as G, nn, Tensor
from minilm.nn import Linear as L
from minilm.training.optim import AdamW
from minilm.course import claim
import numpy as np
a = minilm.grad, ml.optim.AdamW, ml.models.GPT.from_pretrained("x"), F.softmax(np.exp(1)), G.exp, nn.LayerNorm(3).weight
b = Tensor(1).shape, L, AdamW, claim("L1.1", ""), other.F.gelu
"""
        used = names_used(source)
        assert set(used) == {
            "grad", "training.optim.AdamW", "models.GPT", "F.softmax", "F.exp", "nn.LayerNorm", "Tensor", "nn.Linear",
        }  # fmt: skip
        assert used["F.softmax"] is F.softmax and used["nn.Linear"] is ml.nn.Linear

    def test_what_comes_through_minilm_but_is_not_minilms_is_free(self):
        source = "from minilm.course.strategies import integers, st\nst.binary, integers(1, 2), st.sampled_from([1])"
        assert names_used(source) == {}

    def test_two_names_of_one_thing_are_one(self):
        assert (
            resolve("optim.AdamW")
            is resolve("training.optim.AdamW")
            is names_used("from minilm.training import AdamW\nAdamW")["training.AdamW"]
        )
        assert resolve("F.softmax") is F.softmax and resolve("Tensor") is ml.Tensor
        with pytest.raises((AttributeError, ModuleNotFoundError)):
            resolve("F.soft_max")


def test_lengths_of_functions():
    head = '@deco(\n    1\n)\ndef f(\n    x,\n):\n    """Doc\n    string."""\n'
    source = f"import math\n\n\n{head}    # why\n    y = x\n\n    return y\n"
    namespace: dict = {"deco": lambda n: lambda f: f}
    exec(source, namespace)
    assert function_length(namespace["f"], source) == 5


def test_a_script_is_read(tmp_path):
    path = tmp_path / "lesson.py"
    path.write_text('''# %% [markdown]
r"""
# Title $x$
"""
# %%
L.ask("L1.1a", "Q?", {"a": None, "b": True})
# %%
n = 64
L.answer("L1.1a", "b")
L.said("0.5", n / 128)
L.figure(fig, "name", "Caption 0.5.")
''')
    script = read_script(path)
    assert script.prose == ["# Title $x$"] and script.captions == ["Caption 0.5."] and script.said == ["0.5"]
    assert script.calls == [("ask", "L1.1a", 6), ("answer", "L1.1a", 8)] and list(script.asked) == ["L1.1a"]
    assert {64, 128} <= script.literals and np.all([cell.line for cell in script.cells] == [2, 6, 8])


def test_a_figure_of_either_kind_is_saved(tmp_path, monkeypatch):
    monkeypatch.setattr(session.RUN, "out", tmp_path)
    L = session.Lesson(banks.Bank(find_lessons()[0]))
    figure, _ = subplots()
    x = ml.Tensor(np.ones(2), requires_grad=True)
    for name, drawn in (("plot", figure), ("graph", ml.draw(x * x, engine="matplotlib"))):
        assert L.figure(drawn, name, "A caption.").read_bytes().startswith(b"\x89PNG")
