"""The picture of a computation graph, by graphviz where it is installed, else by matplotlib."""

import html
import importlib.util
import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from minilm.autograd.tensor import Tensor
from minilm.errors import ConfigError, DTypeError
from minilm.i18n import tr
from minilm.seeing.graph import CONSTANT, LEAF, OPERATION, Box, Picture, picture
from minilm.seeing.layout import Layout, layered

INK, VALUE, GRADIENT = "#1f2933", "#0b62a3", "#a33c00"  # the two colours differ for every kind of eye, and in grey


class Style(NamedTuple):
    """How a kind of box looks: kinds differ in form and outline too, not by colour alone."""

    fill: str
    width: float
    dashed: bool = False
    rounded: bool = False


STYLES = {
    OPERATION: Style("#ffffff", 1.0, rounded=True),
    LEAF: Style("#cfe3f5", 1.8),
    CONSTANT: Style("#eeeeee", 1.0, dashed=True),
}


class Drawing:
    """A picture: shows itself in a notebook; `.svg` is its text, `.save(path)` writes .svg or .png.

    engine: which drew it, "graphviz" or "matplotlib".
    """

    def __init__(self, engine: str, render: Callable[[str], bytes]):
        self.engine = engine
        self._render = render
        self.svg = render("svg").decode()

    def _repr_svg_(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        return f"<Drawing by {self.engine}, {len(self.svg)} characters of SVG>"

    def save(self, path: str | Path) -> Path:
        """Write the picture, whole or not at all; the name ends in .svg or .png."""
        path = Path(path)
        kind = path.suffix.lower().removeprefix(".")
        if kind not in ("svg", "png"):
            raise ConfigError(tr("draw: {path} must end in .svg or .png", path=path))
        draft = path.with_name(f".{path.name}.partial")
        try:
            draft.write_bytes(self.svg.encode() if kind == "svg" else self._render("png"))
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
        return path


def draw(
    tensor: Tensor,
    values: bool = False,
    gradients: bool = False,
    parameters: Any = None,
    cotangent: Any = None,
    engine: str | None = None,
    limit: int = 3000,
) -> Drawing:
    """The computation graph of a Tensor: operations and the leaves that they start from, with shapes and dtypes.

    values: what each box holds; the forward is run once more for it. gradients: the cotangent that a backward from
    here would bring each box (leaves that have a `.grad` show that); nothing is freed or changed.
    parameters: names for leaves: a module, a dict from names to Tensors, or pairs. A Tensor's own `name` serves too.
    cotangent: of `tensor`, with `gradients`, where it is not a single number.
    engine: "graphviz" (its Python package and the program `dot`) or "matplotlib"; None: the first that is there.
    limit: of operations and leaves together. Errors: GraphError for a graph that was freed by a backward.
    """
    if not isinstance(tensor, Tensor):
        raise DTypeError(tr("draw: got {got}, wanted a Tensor", got=type(tensor).__name__))
    engine = _engine(engine)
    found = picture(tensor, values, gradients, parameters, cotangent, limit)
    if engine == "graphviz":
        source = digraph(found)
        return Drawing(engine, lambda kind: source.pipe(format=kind))
    figure = _Figure(found)
    return Drawing(engine, figure.render)


def _engine(wanted: str | None) -> str:
    there = importlib.util.find_spec("graphviz") is not None and shutil.which("dot") is not None
    if wanted not in (None, "graphviz", "matplotlib"):
        raise ConfigError(tr("draw: engine is 'graphviz' or 'matplotlib', not {got!r}", got=wanted))
    if wanted == "graphviz" and not there:
        raise ConfigError(
            tr(
                "draw: graphviz needs the extra 'minilm[draw]' and the program dot (apt-get install graphviz, brew "
                "install graphviz); engine='matplotlib' draws without"
            )
        )
    return wanted or ("graphviz" if there else "matplotlib")


def _texts(box: Box) -> list[tuple[str, str, bool]]:
    """(text, colour, bold) of each line of a box."""
    lines = [(box.title, INK, True), *[(line, INK, False) for line in box.lines]]
    lines += [(box.value, VALUE, False)] if box.value else []
    return lines + ([(box.gradient, GRADIENT, False)] if box.gradient else [])


# ---------------------------------------------------------------------------------------------------------- graphviz


def digraph(found: Picture) -> Any:
    """The picture as a Digraph of graphviz's Python package; `.source` is its text."""
    import graphviz

    graph = graphviz.Digraph(
        graph_attr={"rankdir": "TB", "ranksep": "0.35", "nodesep": "0.2"},
        node_attr={"fontname": "Helvetica,Arial,sans-serif", "fontsize": "10", "color": INK, "margin": "0.1,0.05"},
        edge_attr={"color": INK, "arrowsize": "0.6"},
    )
    for i, box in enumerate(found.boxes):
        style = STYLES[box.kind]
        words = ["filled", *(["rounded"] if style.rounded else []), *(["dashed"] if style.dashed else [])]
        graph.node(
            str(i),
            label=_html_label(box),
            shape="box",
            style=",".join(words),
            fillcolor=style.fill,
            penwidth=str(style.width),
        )
    graph.edges((str(a), str(b)) for a, b in found.edges)
    return graph


def _html_label(box: Box) -> str:
    lines = []
    for text, colour, bold in _texts(box):
        text = html.escape(text, quote=False)
        lines.append(f'<FONT COLOR="{colour}">{f"<B>{text}</B>" if bold else text}</FONT>')
    return f"<{'<BR/>'.join(lines)}>"


# ---------------------------------------------------------------------------------------------------------- matplotlib

FONT_SIZE, LINE, PADDING = 9.0, 12.0, 6.0  # points, as everything here
ACROSS, ALONG, PASSING, BORDER = 14.0, 26.0, 8.0, 12.0
PIXELS = 8e7  # of a PNG, at most


class _Figure:
    """The picture in layers, each box as large as its text."""

    def __init__(self, found: Picture):
        self.found = found
        self.sizes = [_size(box) for box in found.boxes]
        self.layout: Layout = layered(self.sizes, found.edges, ACROSS, ALONG, PASSING)

    def render(self, kind: str) -> bytes:
        """The picture as SVG or PNG; the same bytes each time."""
        import matplotlib

        metadata = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
        buffer = io.BytesIO()
        with matplotlib.rc_context({"svg.hashsalt": "minilm", "svg.fonttype": "path", "text.parse_math": False}):
            figure = self.compose()
            width, height = figure.get_size_inches()
            dpi = min(150.0, (PIXELS / (width * height)) ** 0.5)
            figure.savefig(buffer, format=kind, dpi=dpi, metadata=metadata)
        return buffer.getvalue()

    def compose(self) -> Any:
        """The figure of matplotlib, one unit a point."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        width, height = (side + 2 * BORDER for side in (self.layout.width, self.layout.height))
        figure = Figure(figsize=(width / 72, height / 72), facecolor="white")
        FigureCanvasAgg(figure)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(-BORDER, width - BORDER), ylim=(height - BORDER, -BORDER))
        axes.axis("off")
        self._draw_edges(axes)
        for box, centre, size in zip(self.found.boxes, self.layout.centres, self.sizes, strict=True):
            _draw_box(axes, box, centre, size)
        return figure

    def _draw_edges(self, axes: Any) -> None:
        from matplotlib.collections import PathCollection, PolyCollection
        from matplotlib.path import Path as Curve

        curves, heads = [], []
        for route in self.layout.routes:
            points, codes = [route[0], route[1]], [Curve.MOVETO, Curve.LINETO]
            for (x0, y0), (x1, y1), then in zip(route[1::2], route[2::2], route[3::2], strict=False):
                middle = (y0 + y1) / 2
                points += [(x0, middle), (x1, middle), (x1, y1), then]
                codes += [Curve.CURVE4] * 3 + [Curve.LINETO]
            curves.append(Curve(points, codes))
            x, y = route[-1]
            heads.append([(x, y), (x - 2.6, y - 6), (x + 2.6, y - 6)])
        axes.add_collection(PathCollection(curves, facecolors="none", edgecolors=INK, linewidths=0.8, zorder=1))
        axes.add_collection(PolyCollection(heads, facecolors=INK, edgecolors="none", zorder=2))


def _size(box: Box) -> tuple[float, float]:
    """Width and height of a box in points."""
    texts = _texts(box)
    return max(_width(text, bold) for text, _, bold in texts) + 2 * PADDING, len(texts) * LINE + 2 * PADDING - 2


def _width(text: str, bold: bool) -> float:
    from matplotlib.textpath import TextToPath

    return TextToPath().get_text_width_height_descent(text, _font(bold), ismath=False)[0]


def _font(bold: bool) -> Any:
    from matplotlib.font_manager import FontProperties

    return FontProperties(family="DejaVu Sans", size=FONT_SIZE, weight="bold" if bold else "normal")


def _draw_box(axes: Any, box: Box, centre: tuple[float, float], size: tuple[float, float]) -> None:
    from matplotlib.patches import FancyBboxPatch

    (x, y), (width, height), style = centre, size, STYLES[box.kind]
    form = "round,pad=0,rounding_size=6" if style.rounded else "square,pad=0"
    axes.add_patch(
        FancyBboxPatch(
            (x - width / 2, y - height / 2),
            width,
            height,
            boxstyle=form,
            facecolor=style.fill,
            edgecolor=INK,
            linewidth=style.width,
            linestyle=(0, (4, 2)) if style.dashed else "solid",
            zorder=3,
        )
    )
    texts = _texts(box)
    for i, (text, colour, bold) in enumerate(texts):
        line = y + (i - (len(texts) - 1) / 2) * LINE
        axes.text(x, line, text, color=colour, fontproperties=_font(bold), ha="center", va="center_baseline", zorder=4)
