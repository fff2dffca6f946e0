"""The picture of a graph: what it says is true, it can be read, and it leaves the graph as it was."""

import itertools
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import graphviz
import matplotlib.image
import numpy as np
import pytest

import minilm as ml
from minilm import functional as F
from minilm.errors import ConfigError, DTypeError, GraphError, ShapeError
from minilm.seeing import drawing
from minilm.seeing.drawing import BORDER, Drawing, _Figure, digraph, draw
from minilm.seeing.graph import CONSTANT, LEAF, OPERATION, describe, picture

ENGINES = ["matplotlib", *(["graphviz"] if shutil.which("dot") else [])]  # graphviz draws where its program is


def leaf(*shape: int, name: str = "", seed: int = 0) -> ml.Tensor:
    return ml.Tensor(np.random.default_rng(seed).standard_normal(shape), requires_grad=True, name=name)


def seen(
    t: ml.Tensor, values: bool = False, gradients: bool = False, parameters=None, cotangent=None, limit: int = 9999
):
    return picture(t, values, gradients, parameters, cotangent, limit)


@pytest.fixture
def block() -> tuple[ml.nn.Block, ml.Tensor]:
    layer = ml.nn.Block(8, 2, np.random.default_rng(0), dropout=0.1).set_generator(np.random.default_rng(1))
    return layer, ml.Tensor(leaf(2, 3, 8).data.astype(np.float32), requires_grad=True, name="h")


# -------------------------------------------------------------------------------------------------- what the boxes say


def test_a_small_graph_box_by_box() -> None:
    x, w = leaf(2, 3, name="x"), leaf(3, 4)
    found = seen(F.sum(F.tanh(x @ w) * 0.5 + np.ones(4), axis=0), parameters={"w": w})
    assert [(b.kind, b.title, b.lines) for b in found.boxes] == [
        (LEAF, "w", ("(3, 4) float64", "requires_grad")),
        (LEAF, "x", ("(2, 3) float64", "requires_grad")),
        (OPERATION, "matmul", ("(2, 4) float64",)),
        (OPERATION, "tanh", ("(2, 4) float64",)),
        (OPERATION, "multiply", ("(2, 4) float64", "b=0.5")),
        (CONSTANT, "constant", ("(4,) float64",)),
        (OPERATION, "add", ("(2, 4) float64",)),
        (OPERATION, "sum", ("(4,) float64", "axis=0")),
    ]
    assert sorted(found.edges) == [(0, 2), (1, 2), (2, 3), (3, 4), (4, 6), (5, 6), (6, 7)]
    assert all(not b.value and not b.gradient for b in found.boxes)


def test_one_edge_for_a_value_that_is_read_twice() -> None:
    x = leaf(2)
    assert seen(x * x).edges == [(0, 1)]


def test_options_are_short() -> None:
    x = leaf(2, 3, 4)
    assert seen(x[0, 1:, ..., None]).boxes[-1].lines[1:] == ("index=(0, 1:, …, None)",)
    assert seen(x[np.array([0, 1]), ::2]).boxes[-1].lines[1:] == ("index=((2,) int64, ::2)",)
    assert seen(F.concatenate([x, x], axis=1)).boxes[-1].lines[1:] == ("axis=1",)
    assert all(len(line) <= 34 for line in seen(x.reshape(2, 3, 4, *[1] * 20)).boxes[-1].lines[1:])
    attention = seen(F.self_attention(leaf(1, 2, 12), 2, causal=True)).boxes[-1]
    assert attention.lines == ("(1, 2, 4) float64", "heads=2", "causal=True")


def test_names_come_from_a_module_a_dict_pairs_or_the_tensor(block) -> None:
    layer, h = block
    titles = {b.title for b in seen(layer(h), parameters=layer).boxes if b.kind == LEAF}
    assert titles == {name for name, _ in layer.named_parameters()} | {"h"}
    x = leaf(2, name="own")
    for parameters, title in ((None, "own"), ({"other": x}, "other"), ([("third", x)], "third")):
        assert seen(F.exp(x), parameters=parameters).boxes[0].title == title
    assert seen(F.exp(leaf(2))).boxes[0].title == "Tensor"
    with pytest.raises(ConfigError, match="a module, a dict from names to Tensors, or pairs of them; got 'int'"):
        seen(F.exp(x), parameters=3)


def test_a_tensor_alone() -> None:
    assert seen(leaf(2)).boxes[0].kind == LEAF
    constant = seen(ml.Tensor([1.0, 2.0]), values=True)
    assert constant.boxes[0].kind == CONSTANT and constant.boxes[0].value == "value [1, 2]"


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.array(2.5), "2.5"),
        (np.array([[1.0, -2.0], [1 / 3, 1e-9]]), "[[1, -2], [0.3333, 1e-09]]"),
        (np.arange(6), "[0, 1, 2, 3, 4, 5]"),
        (np.arange(8), "min 0 max 7 mean 3.5"),
        (np.arange(10) > 2, "True at 7 of 10"),
        (np.r_[np.ones(9), np.nan, np.inf], "2 of 11 entries are NaN or infinite"),
        (np.full(7, 2e38, np.float32), "min 2e+38 max 2e+38 mean 2e+38"),
        (np.zeros((0, 3)), "[]"),
    ],
)
def test_arrays_in_a_few_words(array: np.ndarray, text: str) -> None:
    assert describe(array) == text


# ------------------------------------------------------------------------------------------------ values and gradients


@pytest.mark.parametrize("fast", [True, False])
def test_values_are_those_of_the_forward(fast: bool) -> None:
    rng = np.random.default_rng(5)
    with ml.fast(fast):
        x, w = leaf(2, 3), leaf(3, 2)
        h = F.dropout(F.linear(x, w), 0.5, rng)
        p = F.softmax(h)
        found = seen(p[0] * 2, values=True)
    by_title = {b.title: b for b in found.boxes}
    assert by_title["multiply"].value == f"value {describe(2 * p.numpy()[0])}"
    assert by_title["softmax" if fast else "divide"].value == f"value {describe(p.numpy())}"
    assert by_title["masked_scale" if fast else "multiply"] is not None
    assert any(b.value == f"value {describe(h.numpy())}" for b in found.boxes)  # the same entries dropped
    assert all(b.value for b in found.boxes)


def test_gradients_are_those_of_a_backward() -> None:
    x, w = leaf(2, 3, name="x"), leaf(3, 2, name="w", seed=1)
    h = F.tanh(x @ w)
    y = h * h + h
    u = np.random.default_rng(2).standard_normal((2, 2))
    found = {b.title: b.gradient for b in seen(y, gradients=True, cotangent=u).boxes}
    gx, gw, gh = ml.grad(y, [x, w, h], u, retain_graph=True)
    assert found["tanh"] == f"gradient {describe(gh.numpy())}"
    assert found["x"] == f"gradient {describe(gx.numpy())}" and found["w"] == f"gradient {describe(gw.numpy())}"
    assert found["add"] == f"gradient {describe(u)}"
    assert x.grad is None and w.grad is None
    y.backward(u, retain_graph=True)
    x.grad.data[...] = 7
    assert {b.title: b.gradient for b in seen(y, gradients=True, cotangent=u).boxes}[
        "x"
    ] == f".grad {describe(np.full((2, 3), 7.0))}"
    np.testing.assert_array_equal(w.grad.numpy(), gw.numpy())


def test_drawing_leaves_the_graph_as_it_was(block) -> None:
    layer, h = block
    y = F.sum(layer(h) * np.random.default_rng(3).standard_normal((2, 3, 8), np.float32))
    before = y.item()
    expected = [g.numpy() for g in ml.grad(y, layer.parameters(), retain_graph=True)]
    seen(y, values=True, gradients=True)
    assert y.item() == before
    y.backward()
    for p, g in zip(layer.parameters(), expected, strict=True):
        np.testing.assert_array_equal(p.grad.numpy(), g)


def test_what_cannot_be_drawn_is_said() -> None:
    x = leaf(2, 3)
    with pytest.raises(DTypeError, match="draw: got ndarray, wanted a Tensor"):
        draw(x.numpy())
    y = F.exp(x)
    with pytest.raises(GraphError, match="a cotangent of that shape is needed"):
        draw(y, gradients=True)
    with pytest.raises(ShapeError, match="cotangent of shape"):
        draw(y, gradients=True, cotangent=np.ones(2))
    with pytest.raises(ConfigError, match="2 operations and leaves, more than 1: .* limit=2"):
        draw(y, limit=1)
    with pytest.raises(ConfigError, match="'graphviz' or 'matplotlib', not 'dot'"):
        draw(y, engine="dot")
    z = F.log(y)
    x.data[...] = 1
    with pytest.raises(GraphError, match="changed in place"):
        draw(z, values=True)
    draw(z)
    w = F.exp(leaf(2))
    w.backward(np.ones(2))
    with pytest.raises(GraphError, match="freed by an earlier backward.*retain_graph=True"):
        draw(w)
    with pytest.raises(GraphError, match="nothing in the graph"):
        draw(ml.Tensor(1.0), gradients=True)


# --------------------------------------------------------------------------------------------------------- the picture


@pytest.mark.parametrize("engine", ENGINES)
def test_the_svg_is_whole_and_the_same_each_time(block, engine: str, tmp_path: Path) -> None:
    layer, h = block
    y = layer(h)
    first, second = (draw(y, values=True, parameters=layer, engine=engine) for _ in range(2))
    assert first.svg == second.svg == first._repr_svg_()
    root = ElementTree.fromstring(first.svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert first.engine == engine and engine in repr(first)
    for word in ("self_attention", "attention.qkv.weight", "masked_scale", "(2, 3, 8) float"):
        assert word in first.svg
    assert not re.search(r"\b20\d\d-\d\d-\d\d", first.svg)  # no date
    assert first.save(tmp_path / "a.svg").read_text(encoding="utf-8") == first.svg
    image = matplotlib.image.imread(first.save(str(tmp_path / "a.PNG")))
    assert image.shape[0] > 300 and image.std() > 0.01
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.PNG", "a.svg"]


def test_other_graphs_look_otherwise() -> None:
    x = leaf(2)
    svgs = {draw(y, engine="matplotlib").svg for y in (F.exp(x), F.tanh(x), F.exp(F.exp(x)), x * x)}
    assert len(svgs) == 4


@pytest.mark.parametrize("fast", [True, False])
def test_texts_lie_in_their_boxes_and_boxes_apart(block, fast: bool) -> None:
    layer, h = block
    with ml.fast(fast):
        y = F.sum(layer(h))
        figure = _Figure(seen(y, values=True, gradients=True, parameters=layer)).compose()
    figure.canvas.draw()
    (axes,) = figure.axes
    patches = [p.get_window_extent() for p in axes.patches]
    whole = figure.bbox
    for a, b in itertools.combinations(patches, 2):
        assert not a.overlaps(b)
    assert all(whole.x0 <= p.x0 and p.x1 <= whole.x1 and whole.y0 <= p.y0 and p.y1 <= whole.y1 for p in patches)
    lines = [t.get_window_extent() for t in axes.texts]
    assert len(lines) > 60 and len(patches) > 20
    for line in lines:
        inside = [p for p in patches if p.x0 <= line.x0 and line.x1 <= p.x1 and p.y0 <= line.y0 and line.y1 <= p.y1]
        assert len(inside) == 1
    for a, b in itertools.combinations(lines, 2):
        assert not (a.x0 < b.x1 and b.x0 < a.x1 and min(a.y1, b.y1) - max(a.y0, b.y0) > 1.5)


def test_words_that_formulas_and_markup_know_are_only_words() -> None:
    x = leaf(2, name="$x_{$ <b> & \\n \u03bb")
    drawn = draw(F.exp(x), engine="matplotlib")
    ElementTree.fromstring(drawn.svg)
    source = digraph(seen(F.exp(x))).source
    assert "$x_{$ &lt;b&gt; &amp;" in source


def test_large_graphs_are_laid_out(block) -> None:
    model = ml.models.GPT(ml.models.GPTConfig(31, context=8, width=12, layers=12, heads=3), seed=0)
    ids = np.random.default_rng(0).integers(0, 31, (2, 8))
    figure = _Figure(seen(model.loss(ids, ids), parameters=model))
    assert len(figure.found.boxes) > 270
    assert figure.layout.height > 12 * 8 * 40
    assert figure.layout.width + 2 * BORDER < 2000


# ------------------------------------------------------------------------------------------------------------ graphviz


def test_the_source_for_graphviz() -> None:
    x = leaf(2, name="x")
    source = digraph(seen(F.exp(x) + np.ones(2), values=True)).source
    nodes = re.findall(r"^\t(\d+) \[label=<(.*)> (.*)\]$", source, re.MULTILINE)
    assert [re.sub("<[^>]*>", " ", label).split()[0] for _, label, _ in nodes] == ["x", "exp", "constant", "add"]
    assert re.findall(r"(\d+) -> (\d+)", source) == [("0", "1"), ("1", "3"), ("2", "3")]
    assert "requires_grad" in nodes[0][1] and "(2,) float64" in nodes[1][1] and "value [1, 1]" in nodes[2][1]
    styles = [dict(re.findall(r'(\w+)="?([^" ]+)"?', style)) for *_, style in nodes]
    assert [s["style"] for s in styles] == ["filled", "filled,rounded", "filled,dashed", "filled,rounded"]


def test_graphviz_draws_where_it_is(monkeypatch) -> None:
    asked = []

    def pipe(self, format):
        asked.append((format, self.source))
        return b"<svg/>" if format == "svg" else b"png"

    monkeypatch.setattr(graphviz.Digraph, "pipe", pipe)
    monkeypatch.setattr(shutil, "which", lambda name: "/bin/" + name)
    drawn = draw(F.exp(leaf(2)))
    assert drawn.engine == "graphviz" and drawn.svg == "<svg/>" and "exp" in asked[0][1]
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert draw(F.exp(leaf(2))).engine == "matplotlib"
    with pytest.raises(ConfigError, match=re.escape("the extra 'minilm[draw]' and the program dot")):
        draw(F.exp(leaf(2)), engine="graphviz")
    monkeypatch.setattr(shutil, "which", lambda name: "/bin/" + name)
    monkeypatch.setattr(drawing.importlib.util, "find_spec", lambda name: None)
    assert draw(F.exp(leaf(2))).engine == "matplotlib"


# -------------------------------------------------------------------------------------------------------------- saving


def test_a_picture_that_cannot_be_saved_leaves_the_old_one(tmp_path: Path) -> None:
    def render(kind: str) -> bytes:
        if kind == "png":
            raise RuntimeError
        return b"<svg/>"

    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    drawn = Drawing("matplotlib", render)
    with pytest.raises(RuntimeError):
        drawn.save(path)
    with pytest.raises(ConfigError, match=r"must end in \.svg or \.png"):
        drawn.save(tmp_path / "a.pdf")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
    (tmp_path / "b.svg").mkdir()
    with pytest.raises(OSError):
        drawn.save(tmp_path / "b.svg")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "b.svg"]
