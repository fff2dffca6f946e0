"""Formulas as text: what is known is turned, what is not is kept, and Markdown changes none of it."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.markdown import Markdown

from minilm.course.tex import readable, unicode_math


@pytest.mark.parametrize(
    ("tex", "text"),
    [
        (r"y = \sum_s p_s v_s", "y = Σₛ pₛ vₛ"),
        (r"\frac{e^{\beta\, q \cdot k_s}}{\sum_{s'} e^{a_{s'}}}", "(e^(β q · kₛ)) / (Σₛ′ e^(aₛ′))"),
        (r"\hat m = \frac{m}{1-\beta_1^t}", "m̂ = m / (1-β₁ᵗ)"),
        (r"\left(\frac{N_c}{N}\right)^{\alpha_N}", "(N_c / N)^(α_N)"),
        (r"W_Q W_K^\top", "W_Q W_Kᵀ"),
        (r"s\le t", "s ≤ t"),
        (r"\operatorname{diag}(p) - p\,p^\top", "diag(p) - p pᵀ"),
        (r"K = 1{,}024", "K = 1,024"),
        (r"x^2_{ij}", "x²ᵢⱼ"),
        (r"\frac12 \sqrt K", "(1 / 2) √K"),
        (r"p - \eta\frac{m}{\sqrt v} + q", "p - η (m / √v) + q"),
        (r"-\ln\sum_v \frac{\frac ab}{c}", "-ln Σᵥ ((a / b) / c)"),
        (r"e^{\frac{a}{b}} \frac{\partial\, y}{\partial x_i}", "e^(a / b) (∂y / ∂xᵢ)"),
        (r"\mathbb{E}[x] \le \log_2 V", "E[x] ≤ log₂ V"),
        (r"\unknown{x}", "unknownx"),
        (r"a, \qquad b", "a, \u2003\u2003 b"),
        ("", ""),
    ],
)
def test_formulas(tex, text):
    assert unicode_math(tex) == text


@given(st.text(r"\{}_^$abc αfrac sqrt'2+", max_size=30))
def test_nothing_breaks_it(tex):
    assert isinstance(unicode_math(tex), str) and isinstance(readable(f"text ${tex}$ text"), str)


def drawn(markdown: str) -> str:
    out = io.StringIO()
    Console(file=out, width=80).print(Markdown(readable(markdown)))
    return out.getvalue()


def test_markdown_leaves_formulas_alone():
    said = drawn(
        r"With $a_{ts}\,b_{ts} * W_Q * W_K$ and $x_{[CLS]}$, **bold**, and `$code_s$`" "\n\n$$y_Q = x_K$$\n\nend"
    )
    assert "aₜₛ bₜₛ * W_Q * W_K" in said and "x_([CLS])" in said and "y_Q = x_K" in said and "**" not in said
    assert said.count("$") == 2 and "$code_s$" in said
