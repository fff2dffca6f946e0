"""Boxes of a directed graph in layers, so that every edge points down and few cross (Sugiyama et al. 1981).

Four steps: a layer for each box; an edge over several layers passes through a point of its own in each; the order in a
layer that has few crossings; places across that keep edges straight.
"""

from bisect import bisect_right, insort
from collections.abc import Sequence
from typing import NamedTuple

Point = tuple[float, float]
ORDER_SWEEPS, PLACE_SWEEPS = 12, 24
SOURCE, THROUGH = (
    0.05,
    2.0,
)  # how much sources and passing edges count, beside a box in the midst, when places are sought


class Layout(NamedTuple):
    """The middles of the boxes, and for each edge the points that it passes: y grows downwards, all is ≥ 0."""

    width: float
    height: float
    centres: list[Point]
    routes: list[list[Point]]


class _Graph:
    """The boxes, and beyond them a point of no height for each layer that an edge passes."""

    def __init__(self, sizes: Sequence[Point], edges: Sequence[tuple[int, int]], passing: float):
        self.widths = [w for w, _ in sizes]
        self.layer = _layers(len(sizes), edges)
        self.up: list[list[int]] = [[] for _ in sizes]  # neighbours in the layer above
        self.down: list[list[int]] = [[] for _ in sizes]
        self.chains = [self._chain(a, b, passing) for a, b in edges]
        self.weight = [SOURCE if not above else 1.0 for above in self.up[: len(sizes)]]
        self.weight += [THROUGH] * (len(self.up) - len(sizes))
        self.rows: list[list[int]] = [[] for _ in range(max(self.layer, default=-1) + 1)]
        for v in reversed(range(len(self.widths))):  # last arguments are numbered first
            self.rows[self.layer[v]].append(v)

    def _chain(self, a: int, b: int, passing: float) -> list[int]:
        """An edge from a to b as boxes and passing points, one in each layer."""
        chain = [a]
        for layer in range(self.layer[a] + 1, self.layer[b]):
            chain.append(len(self.widths))
            self.widths.append(passing)
            self.layer.append(layer)
            self.up.append([])
            self.down.append([])
        chain.append(b)
        for v, w in zip(chain, chain[1:], strict=False):
            self.down[v].append(w)
            self.up[w].append(v)
        return chain


def _layers(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """The longest way from a source; a source itself lies just above the first that it feeds."""
    layer, fed = [0] * count, [False] * count
    for a, b in sorted(edges, key=lambda e: e[1]):
        layer[b] = max(layer[b], layer[a] + 1)
        fed[b] = True
    for v in range(count):
        if not fed[v]:
            layer[v] = min((layer[b] for a, b in edges if a == v), default=1) - 1
    return layer


def layered(
    sizes: Sequence[Point], edges: Sequence[tuple[int, int]], across: float, along: float, passing: float
) -> Layout:
    """Places for boxes of these (width, height).

    edges: (from, to), every box being numbered after those that feed it. across, along: the least distance of boxes in
    a layer, and of layers. passing: the room of an edge that passes between boxes.
    """
    graph = _Graph(sizes, edges, passing)
    _reorder(graph)
    x = _place(graph, across)
    tops, y = [], 0.0
    for row in graph.rows:
        height = max([sizes[v][1] for v in row if v < len(sizes)], default=0.0)
        tops.append((y, y + height))
        y += height + along
    centres = [(x[v], sum(tops[graph.layer[v]]) / 2) for v in range(len(sizes))]
    routes = _routes(graph, sizes, x, tops, centres)
    width = max((x[v] + graph.widths[v] / 2 for v in range(len(x))), default=0.0)
    return Layout(width, max(0.0, y - along), centres, routes)


# ------------------------------------------------------------------------------------------------ the order in a layer


def _reorder(graph: _Graph) -> None:
    """Sweep down and up, each layer sorted by where its neighbours lie; keep the order with the fewest crossings."""
    best, fewest = [list(row) for row in graph.rows], _crossings(graph)
    for sweep in range(ORDER_SWEEPS):
        downwards = sweep % 2 == 0
        neighbours = graph.up if downwards else graph.down
        for row in graph.rows if downwards else reversed(graph.rows):
            _sort_by_neighbours(graph, row, neighbours)
        crossings = _crossings(graph)
        if crossings < fewest:
            best, fewest = [list(row) for row in graph.rows], crossings
    graph.rows = best


def _sort_by_neighbours(graph: _Graph, row: list[int], neighbours: list[list[int]]) -> None:
    """The barycentre heuristic; who has no neighbour there keeps its place among the others."""
    rank = {v: i for r in {graph.layer[w] for v in row for w in neighbours[v]} for i, v in enumerate(graph.rows[r])}
    centre = {v: sum(rank[w] for w in neighbours[v]) / len(neighbours[v]) for v in row if neighbours[v]}
    ordered = iter(sorted(centre, key=lambda v: centre[v]))
    row[:] = [next(ordered) if v in centre else v for v in row]


def _crossings(graph: _Graph) -> int:
    """How many pairs of edges between neighbouring layers cross."""
    total = 0
    for row, below in zip(graph.rows, graph.rows[1:], strict=False):
        rank = {v: i for i, v in enumerate(below)}
        ends: list[int] = []
        for v in row:
            for t in sorted(rank[w] for w in graph.down[v]):
                total += len(ends) - bisect_right(ends, t)
                insort(ends, t)
    return total


# ---------------------------------------------------------------------------------------------------- places across


def _place(graph: _Graph, across: float) -> list[float]:
    """x of every box and passing point: as near to its neighbours' as the least distances in its layer allow."""
    x = [0.0] * len(graph.widths)
    for row in graph.rows:
        _spread(graph, row, x, across, [x[v] for v in row])
    for sweep in range(PLACE_SWEEPS):
        ways = (graph.up,) if sweep % 3 == 0 else (graph.down,) if sweep % 3 == 1 else (graph.up, graph.down)
        for row in graph.rows if sweep % 2 == 0 else reversed(graph.rows):
            wished = []
            for v in row:
                near = [w for way in ways for w in way[v]]
                weight = sum(graph.weight[w] for w in near)
                wished.append(sum(graph.weight[w] * x[w] for w in near) / weight if near else x[v])
            _spread(graph, row, x, across, wished)
    left = min((x[v] - graph.widths[v] / 2 for v in range(len(x))), default=0.0)
    return [place - left for place in x]


def _spread(graph: _Graph, row: list[int], x: list[float], across: float, wished: list[float]) -> None:
    """The places nearest to those wished, in weighted least squares, with the row in its order, nothing too near."""
    offsets, offset = [], 0.0
    for i, v in enumerate(row):
        offset += (graph.widths[row[i - 1]] + graph.widths[v]) / 2 + across if i else 0.0
        offsets.append(offset)
    blocks: list[tuple[float, float, int]] = []  # Σ weight · place, Σ weight, number: pool adjacent violators
    for v, wish, offset in zip(row, wished, offsets, strict=True):
        total, weight, n = graph.weight[v] * (wish - offset), graph.weight[v], 1
        while blocks and blocks[-1][0] / blocks[-1][1] > total / weight:
            before = blocks.pop()
            total, weight, n = total + before[0], weight + before[1], n + before[2]
        blocks.append((total, weight, n))
    places = [total / weight for total, weight, n in blocks for _ in range(n)]
    for v, place, offset in zip(row, places, offsets, strict=True):
        x[v] = place + offset


def _routes(
    graph: _Graph, sizes: Sequence[Point], x: list[float], tops: list[Point], centres: list[Point]
) -> list[list[Point]]:
    """Each edge leaves below a box, passes the layers between upright, and arrives from above."""
    out, into = _ports(graph, sizes, x)
    routes = []
    for e, chain in enumerate(graph.chains):
        a, b = chain[0], chain[-1]
        route = [(x[a] + out[e], centres[a][1] + sizes[a][1] / 2), (x[a] + out[e], tops[graph.layer[a]][1])]
        for v in chain[1:-1]:
            route += [(x[v], tops[graph.layer[v]][0]), (x[v], tops[graph.layer[v]][1])]
        route += [(x[b] + into[e], tops[graph.layer[b]][0]), (x[b] + into[e], centres[b][1] - sizes[b][1] / 2)]
        routes.append(route)
    return routes


def _ports(graph: _Graph, sizes: Sequence[Point], x: list[float]) -> tuple[list[float], list[float]]:
    """Where along its box's edge each edge leaves and arrives, so that those of one box stand apart and in order."""
    out, into = [0.0] * len(graph.chains), [0.0] * len(graph.chains)
    for ports, end, next_to in ((out, 0, 1), (into, -1, -2)):
        at: dict[int, list[int]] = {}
        for e, chain in enumerate(graph.chains):
            at.setdefault(chain[end], []).append(e)
        for v, ends in at.items():
            ends.sort(key=lambda e: x[graph.chains[e][next_to]])
            for i, e in enumerate(ends):
                ports[e] = ((i + 1) / (len(ends) + 1) - 0.5) * 0.8 * sizes[v][0]
    return out, into
