"""The layers: boxes apart, edges downwards and never through a box."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from minilm.seeing.layout import Layout, _crossings, _Graph, _reorder, layered

ACROSS, ALONG, PASSING = 5.0, 10.0, 4.0


@st.composite
def graphs(draw) -> tuple[list[tuple[float, float]], list[tuple[int, int]]]:
    count = draw(st.integers(1, 14))
    sizes = [(draw(st.floats(5, 60)), draw(st.floats(5, 30))) for _ in range(count)]
    pairs = list(itertools.combinations(range(count), 2))
    edges = sorted(draw(st.sets(st.sampled_from(pairs), max_size=24))) if pairs else []
    return sizes, edges


def boxes(sizes, layout: Layout) -> list[tuple[float, float, float, float]]:
    return [(x - w / 2, y - h / 2, x + w / 2, y + h / 2) for (w, h), (x, y) in zip(sizes, layout.centres, strict=True)]


@given(graphs())
def test_boxes_are_apart_and_within_the_picture(graph) -> None:
    sizes, edges = graph
    layout = layered(sizes, edges, ACROSS, ALONG, PASSING)
    found = boxes(sizes, layout)
    for (l, t, r, b), (l2, t2, r2, b2) in itertools.combinations(found, 2):
        assert r + ACROSS <= l2 + 1e-6 or r2 + ACROSS <= l + 1e-6 or b + ALONG <= t2 + 1e-6 or b2 + ALONG <= t + 1e-6
    for l, t, r, b in found:
        assert l >= -1e-6 and r <= layout.width + 1e-6 and t >= -1e-6 and b <= layout.height + 1e-6


@given(graphs())
def test_edges_run_downwards_from_box_to_box_and_through_none(graph) -> None:
    sizes, edges = graph
    layout = layered(sizes, edges, ACROSS, ALONG, PASSING)
    found = boxes(sizes, layout)
    for (a, b), route in zip(edges, layout.routes, strict=True):
        (x0, y0), (x1, y1) = route[0], route[-1]
        assert abs(y0 - found[a][3]) < 1e-6 and found[a][0] <= x0 <= found[a][2]
        assert abs(y1 - found[b][1]) < 1e-6 and found[b][0] <= x1 <= found[b][2]
        assert all(p[1] <= q[1] + 1e-6 for p, q in itertools.pairwise(route))
        for (x, top), (_, bottom) in zip(route[0::2], route[1::2], strict=True):  # upright, beside the boxes of a layer
            for v, (l, t, r, low) in enumerate(found):
                beside = x <= l + 1e-6 or x >= r - 1e-6 or bottom <= t + 1e-6 or top >= low - 1e-6
                assert beside or v in (a, b)


@given(graphs())
def test_sorting_never_adds_crossings(graph) -> None:
    sizes, edges = graph
    laid = _Graph(sizes, edges, PASSING)
    before = _crossings(laid)
    assert before == crossings_one_by_one(laid)
    _reorder(laid)
    assert _crossings(laid) <= before
    assert sorted(v for row in laid.rows for v in row) == list(range(len(laid.widths)))


def crossings_one_by_one(graph: _Graph) -> int:
    """Every pair of edges between two layers, looked at."""
    at = {v: i for row in graph.rows for i, v in enumerate(row)}
    found = 0
    for row in graph.rows:
        pairs = [(at[v], at[w]) for v in row for w in graph.down[v]]
        found += sum((a - c) * (b - d) < 0 for (a, b), (c, d) in itertools.combinations(pairs, 2))
    return found


def test_a_crossing_that_need_not_be_is_undone() -> None:
    laid = _Graph([(10.0, 10.0)] * 4, [(0, 3), (1, 2)], PASSING)
    assert _crossings(laid) == 1
    _reorder(laid)
    assert _crossings(laid) == 0


def test_a_leaf_lies_just_above_who_reads_it_first() -> None:
    """0 -> 1 -> 2 -> 3 is a chain; 4 is read by 5 only, at its end, which 3 feeds too."""
    layout = layered([(10.0, 10.0)] * 6, [(0, 1), (1, 2), (2, 3), (3, 5), (4, 5)], ACROSS, ALONG, PASSING)
    assert layout.centres[4][1] == layout.centres[3][1]
    assert layout.centres[0][1] == 5.0 and layout.height == 5 * 10 + 4 * ALONG


def test_a_chain_is_straight() -> None:
    layout = layered([(10.0, 10.0), (40.0, 10.0), (20.0, 10.0)], [(0, 1), (1, 2)], ACROSS, ALONG, PASSING)
    assert len({round(x, 6) for x, _ in layout.centres}) == 1


def test_nothing_at_all() -> None:
    assert layered([], [], ACROSS, ALONG, PASSING) == Layout(0.0, 0.0, [], [])


def test_the_best_order_is_kept_though_the_last_sweep_was_worse() -> None:
    laid = _Graph([(10.0, 10.0)] * 7, [(0, 2), (0, 4), (0, 6), (1, 4), (1, 6), (2, 6), (3, 4), (3, 6), (4, 5)], PASSING)
    assert _crossings(laid) == 4
    _reorder(laid)
    assert _crossings(laid) == 3
