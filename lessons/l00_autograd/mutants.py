"""What students write instead."""

import math

import numpy as np

import minilm.functional as F
from minilm.course import mutant

# ---------------------------------------------------------------------------------------------------------- L0.1 paths


@mutant(
    "L0.1",
    misconception="adding_along_a_path",
    hint="y = 3u and u = 2x: does y change 5 times or 6 times as fast as x?",
)
def sum_over_paths(edges, start, end):
    if start == end:
        return 0.0
    ways = [(d, c) for s, c, d in edges if s == start]
    return sum((d + sum_over_paths(edges, c, end) for d, c in ways), 0.0)


@mutant(
    "L0.1", misconception="first_path_only", hint="x may reach the end in several ways. Which of them may be left out?"
)
def sum_over_paths(edges, start, end):
    if start == end:
        return 1.0
    for source, consumer, derivative in edges:
        if source == start:
            return derivative * sum_over_paths(edges, consumer, end)
    return 0.0


@mutant(
    "L0.1",
    misconception="multiplying_the_paths",
    hint="Along a path, changes multiply. What do the changes do that arrive at the end by two paths?",
)
def sum_over_paths(edges, start, end):
    if start == end:
        return 1.0
    ways = [d * sum_over_paths(edges, c, end) for s, c, d in edges if s == start]
    return math.prod(way for way in ways if way) if any(ways) else 0.0


@mutant(
    "L0.1",
    misconception="parallel_edges_are_one",
    hint="In x * x the node x is used twice. How many edges lead from x to the product?",
)
def sum_over_paths(edges, start, end):
    if start == end:
        return 1.0
    ways = {c: d for s, c, d in edges if s == start}
    return sum((d * sum_over_paths(edges, c, end) for c, d in ways.items()), 0.0)


@mutant(
    "L0.1",
    misconception="average_of_paths",
    hint="If two paths both carry the change 1, does the end change by 1 or by 2?",
)
def sum_over_paths(edges, start, end):
    if start == end:
        return 1.0
    ways = [d * sum_over_paths(edges, c, end) for s, c, d in edges if s == start]
    return sum(ways) / len(ways) if ways else 0.0


@mutant("L0.1", misconception="direct_edges_only", hint="Which of your lines looks further than one edge?")
def sum_over_paths(edges, start, end):
    return 1.0 if start == end else float(sum(d for s, c, d in edges if s == start and c == end))


@mutant("L0.1", misconception="a_node_by_itself_is_zero", hint="How fast does a number change when it itself changes?")
def sum_over_paths(edges, start, end):
    direct = sum(d for s, c, d in edges if s == start and c == end)
    return float(direct + sum(d * sum_over_paths(edges, c, end) for s, c, d in edges if s == start and c != end))


@mutant(
    "L0.1", misconception="dead_ends_count", hint="A path that never reaches the end: what does the end feel of it?"
)
def sum_over_paths(edges, start, end):
    ways = [d * sum_over_paths(edges, c, end) for s, c, d in edges if s == start]
    return sum(ways) if ways and start != end else 1.0


@mutant(
    "L0.1", misconception="largest_path", hint="You keep the strongest path. Who told the end not to feel the others?"
)
def sum_over_paths(edges, start, end):
    if start == end:
        return 1.0
    ways = [d * sum_over_paths(edges, c, end) for s, c, d in edges if s == start]
    return max(ways, key=abs, default=0.0)


# ------------------------------------------------------------------------------------------------------ L0.2 backward


def walk(steps, values, local=None, order=None, seed=None):
    """The walk back, with a part of it replaced."""
    gradients = [0.0] * len(steps)
    gradients[-1] = 1.0
    gradients = seed(gradients) if seed else gradients
    for i in order(len(steps)) if order else reversed(range(len(steps))):
        operation, *sources = steps[i]
        a = [values[s] for s in sources]
        right = {"input": [], "+": [1.0, 1.0], "*": a[::-1], "tanh": [1 - values[i] ** 2]}
        found = (right | (local(a, values[i]) if local else {}))[operation]
        for s, d in zip(sources, found, strict=True):
            gradients[s] += gradients[i] * d
    return gradients


@mutant(
    "L0.2",
    misconception="overwriting",
    hint="A value that is used twice is sent two gradients. What is left of the first when the second arrives?",
)
def backward(steps, values):
    gradients = [0.0] * (len(steps) - 1) + [1.0]
    for i in reversed(range(len(steps))):
        operation, *sources = steps[i]
        a = [values[s] for s in sources]
        local = {"input": [], "+": [1.0, 1.0], "*": a[::-1], "tanh": [1 - values[i] ** 2]}[operation]
        for s, d in zip(sources, local, strict=True):
            gradients[s] = gradients[i] * d
    return gradients


@mutant(
    "L0.2",
    misconception="passing_on_at_once",
    hint="A node passes on what it has got so far, and again when more comes. How often is the first part sent?",
)
def backward(steps, values):
    gradients = [0.0] * (len(steps) - 1) + [1.0]

    def visit(i):
        operation, *sources = steps[i]
        a = [values[s] for s in sources]
        local = {"input": [], "+": [1.0, 1.0], "*": a[::-1], "tanh": [1 - values[i] ** 2]}[operation]
        for s, d in zip(sources, local, strict=True):
            gradients[s] += gradients[i] * d
        for s in sources:
            visit(s)

    visit(len(steps) - 1)
    return gradients


@mutant(
    "L0.2",
    misconception="from_the_front",
    hint="When the walk comes to the first step, what does it know of the gradient of the last?",
)
def backward(steps, values):
    return walk(steps, values, order=range)


@mutant("L0.2", misconception="own_factor", hint="y = a b: if only a moves, by which factor does y move: by a or by b?")
def backward(steps, values):
    return walk(steps, values, lambda a, y: {"*": a})


@mutant(
    "L0.2",
    misconception="tanh_of_the_output",
    hint="values holds what each step gave. Is values[i] the argument of tanh, or already tanh of it?",
)
def backward(steps, values):
    return walk(steps, values, lambda a, y: {"tanh": [1 - math.tanh(y) ** 2]})


@mutant(
    "L0.2",
    misconception="tanh_by_its_input",
    hint="The derivative of tanh is 1 - y². Which number is y: what went in, or what came out?",
)
def backward(steps, values):
    return walk(steps, values, lambda a, y: {"tanh": [1 - [*a, 0.0][0] ** 2]})


@mutant(
    "L0.2",
    misconception="no_cotangent",
    hint="The chain rule multiplies by what arrived from above. Where is that in your sum?",
)
def backward(steps, values):
    gradients = [0.0] * (len(steps) - 1) + [1.0]
    for i in reversed(range(len(steps))):
        operation, *sources = steps[i]
        a = [values[s] for s in sources]
        local = {"input": [], "+": [1.0, 1.0], "*": a[::-1], "tanh": [1 - values[i] ** 2]}[operation]
        for s, d in zip(sources, local, strict=True):
            gradients[s] += d
    return gradients


@mutant(
    "L0.2",
    misconception="a_source_counts_once",
    hint="In x * x the product has two arguments that happen to be one node. How much does each side send?",
)
def backward(steps, values):
    gradients = [0.0] * (len(steps) - 1) + [1.0]
    for i in reversed(range(len(steps))):
        operation, *sources = steps[i]
        a = [values[s] for s in sources]
        local = {"input": [], "+": [1.0, 1.0], "*": a[::-1], "tanh": [1 - values[i] ** 2]}[operation]
        for s, d in dict(zip(sources, local, strict=True)).items():
            gradients[s] += gradients[i] * d
    return gradients


@mutant(
    "L0.2",
    misconception="ones_to_begin_with",
    hint="Before the walk, what is known of the derivative by an unused value?",
)
def backward(steps, values):
    return walk(steps, values, seed=lambda gradients: [1.0] * len(gradients))


@mutant(
    "L0.2",
    misconception="the_value_as_seed",
    hint="The walk starts with the derivative of the last value by itself. Is that the value?",
)
def backward(steps, values):
    return walk(steps, values, seed=lambda gradients: [*gradients[:-1], values[-1]])


@mutant(
    "L0.2", misconception="a_sum_shares", hint="y = a + b. If a grows by 1 and b stays, does y grow by 1 or by a half?"
)
def backward(steps, values):
    return walk(steps, values, lambda a, y: {"+": [0.5, 0.5]})


# --------------------------------------------------------------------------------------------------------- L0.3 order


@mutant(
    "L0.3",
    misconception="recursion",
    hint="How many calls are open at once when the graph is a chain? What does sys.getrecursionlimit() say?",
)
def topological_order(sources, end):
    order, seen = [], set()

    def visit(node):
        if node not in seen:
            seen.add(node)
            for source in sources[node]:
                visit(source)
            order.append(node)

    visit(end)
    return order


@mutant(
    "L0.3",
    misconception="on_entering",
    hint="You note a node when you come to it. Have its sources been noted by then?",
)
def topological_order(sources, end):
    order, seen, stack = [], set(), [end]
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            order.append(node)
            stack += sources[node]
    return order


@mutant(
    "L0.3",
    misconception="entering_reversed",
    hint="A node may be reached by a short way first and by a long way later. Which of the two decides its place?",
)
def topological_order(sources, end):
    order, seen, stack = [], set(), [end]
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            order.append(node)
            stack += sources[node]
    return order[::-1]


@mutant(
    "L0.3",
    misconception="breadth_first",
    hint="Layer by layer from the end: what if one node lies in the first layer and in the third as well?",
)
def topological_order(sources, end):
    order, front = {end: None}, [end]
    while front:
        front = [s for s in dict.fromkeys(s for node in front for s in sources[node]) if s not in order]
        order |= dict.fromkeys(front)
    return list(order)[::-1]


@mutant(
    "L0.3",
    misconception="seen_when_pushed",
    hint="A node is marked when it is put on the stack, and then a longer way to it is found. What happens there?",
)
def topological_order(sources, end):
    order, seen, stack = [], {end}, [(end, False)]
    while stack:
        node, finished = stack.pop()
        if finished:
            order.append(node)
            continue
        stack.append((node, True))
        for source in sources[node]:
            if source not in seen:
                seen.add(source)
                stack.append((source, False))
    return order


@mutant(
    "L0.3",
    misconception="no_memory_of_visits",
    hint="A node that two others use is reached twice. How often may it stand in the order?",
)
def topological_order(sources, end):
    order, stack = [], [(end, False)]
    while stack:
        node, finished = stack.pop()
        if finished:
            order.append(node)
        else:
            stack += [(node, True), *((s, False) for s in dict.fromkeys(sources[node]))]
    return order


@mutant(
    "L0.3",
    misconception="by_number",
    hint="The numbers say nothing about who was made first. What would sort by need instead?",
)
def topological_order(sources, end):
    found, stack = {end}, [end]
    while stack:
        new = [s for s in sources[stack.pop()] if s not in found]
        found.update(new)
        stack += new
    return sorted(found)


@mutant(
    "L0.3",
    misconception="the_whole_graph",
    hint="Some nodes have nothing to do with the end. Must a walk back from the end visit them?",
)
def topological_order(sources, end):
    order, seen, stack = [], set(), [(node, False) for node in range(len(sources))]
    while stack:
        node, finished = stack.pop()
        if finished:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack += [(node, True), *((s, False) for s in sources[node])]
    return order


@mutant("L0.3", misconception="end_first", hint="The rule is: sources first. Where does that put the end?")
def topological_order(sources, end):
    order, seen, stack = [], set(), [(end, False)]
    while stack:
        node, finished = stack.pop()
        if finished:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack += [(node, True), *((s, False) for s in sources[node])]
    return order[::-1]


@mutant("L0.3", misconception="without_the_end", hint="Where does the walk back start, if the end is not in the order?")
def topological_order(sources, end):
    order, seen, stack = [], set(), [(end, False)]
    while stack:
        node, finished = stack.pop()
        if finished:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack += [(node, True), *((s, False) for s in sources[node])]
    return order[:-1]


# --------------------------------------------------------------------------------------------------- L0.4 unbroadcast


def axes(g, shape):
    """(those that the shape lacks, those where it has 1), as axes of g."""
    extra = len(g.shape) - len(shape)
    return tuple(range(extra)), tuple(i + extra for i, n in enumerate(shape) if n == 1)


@mutant(
    "L0.4",
    misconception="mean_for_sum",
    hint="If every use sends 1 and there are four uses, does the value receive 4 or 1?",
)
def unbroadcast(g, shape):
    extra, stretched = axes(g, shape)
    return F.mean(g, extra + stretched).reshape(tuple(shape))


@mutant(
    "L0.4",
    misconception="new_axes_only",
    hint="(3, 1) broadcasts to (3, 4) without a new axis. What happens to the axis of size 1?",
)
def unbroadcast(g, shape):
    return F.sum(g, axes(g, shape)[0])


@mutant(
    "L0.4",
    misconception="stretched_axes_only",
    hint="(3,) broadcasts to (4, 3) by a new axis in front. Who sums over that one?",
)
def unbroadcast(g, shape):
    return F.sum(g, axes(g, shape)[1], True)


@mutant(
    "L0.4",
    misconception="axes_from_the_left",
    hint="Shapes are aligned at their ends. Which axis of g belongs to axis 0 of the shape?",
)
def unbroadcast(g, shape):
    extra = len(g.shape) - len(shape)
    wrong = [i for i, n in enumerate(shape) if n == 1 and i < len(g.shape)]
    return F.sum(g, tuple(dict.fromkeys([*range(extra), *wrong]))).reshape(tuple(shape))


@mutant(
    "L0.4", misconception="first_use_only", hint="You keep what one of the uses sends. Where do the others send theirs?"
)
def unbroadcast(g, shape):
    extra = len(g.shape) - len(shape)
    for _ in range(extra):
        g = g[0]
    return g[tuple(slice(0, n) for n in shape)] if shape else g


@mutant(
    "L0.4",
    misconception="axes_are_lost",
    hint="After a sum over an axis of size 1 that axis is gone. What shape was asked for?",
)
def unbroadcast(g, shape):
    extra, stretched = axes(g, shape)
    return F.sum(g, extra + stretched)


@mutant(
    "L0.4",
    misconception="sums_everything",
    hint="Two entries of the shape are used in different places. Why should they receive the same sum?",
)
def unbroadcast(g, shape):
    return F.sum(g) * np.ones(shape)


@mutant(
    "L0.4",
    misconception="broadcast_as_copy",
    hint="You give back g as it came. What shape must the cotangent of a value have?",
)
def unbroadcast(g, shape):
    return g


@mutant("L0.4", misconception="other_axes_too", hint="Which axes were not stretched? Does anything repeat along them?")
def unbroadcast(g, shape):
    extra, stretched = axes(g, shape)
    total = F.sum(g, extra + stretched).reshape(tuple(shape))
    return F.sum(total, 0, True) * np.ones(shape) if shape else total


# ------------------------------------------------------------------------------------------------------- L0.5 matmul


@mutant("L0.5", misconception="cotangents_swapped", hint="The first result belongs to a. Has it a's shape?")
def matmul_backward(g, a, b):
    return F.matmul(a.T, g), F.matmul(g, b.T)


@mutant(
    "L0.5",
    misconception="no_transpose",
    hint="g is (n, m) and b is (k, m). Which of the two must be turned so that they can be multiplied?",
)
def matmul_backward(g, a, b):
    return F.matmul(g, b), F.matmul(a, g)


@mutant(
    "L0.5",
    misconception="result_transposed",
    hint="Are the shapes of your results those of a and b, or of their transposes?",
)
def matmul_backward(g, a, b):
    return F.matmul(b, g.T), F.matmul(g.T, a)


@mutant(
    "L0.5", misconception="order_of_factors", hint="Is the cotangent of b aᵀg or g aᵀ? Which of the two has b's shape?"
)
def matmul_backward(g, a, b):
    return F.matmul(b.T, g), F.matmul(g, a.T)


@mutant(
    "L0.5",
    misconception="no_cotangent_in_a_product",
    hint="Your result does not contain g. Can it be right for a loss that weighs the entries of y differently?",
)
def matmul_backward(g, a, b):
    ones = np.ones(g.shape)
    return F.matmul(ones, b.T), F.matmul(a.T, ones)


@mutant(
    "L0.5",
    misconception="elementwise_product",
    hint="Each entry of a meets every column of b. Where is the sum over those columns?",
)
def matmul_backward(g, a, b):
    return a * F.sum(g, -1, True), b * F.sum(g, 0, True)


@mutant(
    "L0.5", misconception="mean_over_rows", hint="Every row of a sends b a part. Are the parts added up, or averaged?"
)
def matmul_backward(g, a, b):
    return F.matmul(g, b.T), F.matmul(a.T, g) / a.shape[0]


@mutant(
    "L0.5",
    misconception="own_matrix",
    hint="y is linear in a, with coefficients from b. Can the cotangent of a depend on a itself?",
)
def matmul_backward(g, a, b):
    return F.matmul(g, F.matmul(a.T, g).T), F.matmul(a.T, F.matmul(a, b))


@mutant("L0.5", misconception="one_of_the_two", hint="Both factors are differentiated. What did b get?")
def matmul_backward(g, a, b):
    return F.matmul(g, b.T), 0 * b


@mutant(
    "L0.5",
    misconception="minus_sign",
    hint="If b grows, does a b grow or shrink? What is the sign of the second cotangent?",
)
def matmul_backward(g, a, b):
    return F.matmul(g, b.T), -F.matmul(a.T, g)


# ------------------------------------------------------------------------------------------------------ L0.6 numeric


def function(A, b, c):
    return lambda x: 0.5 * (x @ A @ x) + b @ x + c * (x**3).sum()


@mutant(
    "L0.6",
    misconception="one_sided",
    hint="(f(x + h) - f(x)) / h: which power of h is its error? And if x - h is used as well?",
)
def numeric_gradient(A, b, c, x, step):
    f = function(A, b, c)
    return np.array([(f(x + step * e) - f(x)) / step for e in np.eye(len(x))])


@mutant(
    "L0.6", misconception="from_below", hint="You step to one side only. What does the step to the other side cancel?"
)
def numeric_gradient(A, b, c, x, step):
    f = function(A, b, c)
    return np.array([(f(x) - f(x - step * e)) / step for e in np.eye(len(x))])


@mutant("L0.6", misconception="divided_by_the_step", hint="From x - h to x + h: how long is that way?")
def numeric_gradient(A, b, c, x, step):
    f = function(A, b, c)
    return np.array([(f(x + step * e) - f(x - step * e)) / step for e in np.eye(len(x))])


@mutant(
    "L0.6", misconception="all_entries_at_once", hint="You move every entry of x together. Which derivative is that?"
)
def numeric_gradient(A, b, c, x, step):
    f = function(A, b, c)
    return np.full(len(x), (f(x + step) - f(x - step)) / (2 * step))


@mutant(
    "L0.6", misconception="not_put_back", hint="After the first entry was moved, where is x when you move the second?"
)
def numeric_gradient(A, b, c, x, step):
    f, gradient = function(A, b, c), np.zeros(len(x))
    for i in range(len(x)):
        x[i] += step
        above = f(x)
        x[i] -= 2 * step
        gradient[i] = (above - f(x)) / (2 * step)
    return gradient


@mutant("L0.6", misconception="integer_result", hint="Of which kind are the numbers of the array that you write into?")
def numeric_gradient(A, b, c, x, step):
    f, gradient = function(A, b, c), np.zeros(len(x), int)
    for i, e in enumerate(np.eye(len(x))):
        gradient[i] = (f(x + step * e) - f(x - step * e)) / (2 * step)
    return gradient


@mutant(
    "L0.6",
    misconception="relative_step",
    hint="A step of h times x: what happens where x is 0, and what must you divide by?",
)
def numeric_gradient(A, b, c, x, step):
    f = function(A, b, c)
    return np.array([(f(x * (1 + step * e)) - f(x * (1 - step * e))) / (2 * step) for e in np.eye(len(x))])


@mutant(
    "L0.6",
    misconception="by_hand_without_the_transpose",
    hint="You differentiated by hand. Does x occur once or twice in xᵀ A x, and what if A is not symmetric?",
)
def numeric_gradient(A, b, c, x, step):
    return A @ x + b + 3 * c * x**2 + c * step**2


@mutant(
    "L0.6",
    misconception="second_difference",
    hint="f(x + h) - 2 f(x) + f(x - h) measures how a slope changes. Which order of derivative is wanted?",
)
def numeric_gradient(A, b, c, x, step):
    f = function(A, b, c)
    return np.array([(f(x + step * e) - 2 * f(x) + f(x - step * e)) / step**2 for e in np.eye(len(x))])


@mutant("L0.6", misconception="minus_minus", hint="Which of the two values comes first? Try f(x) = x.")
def numeric_gradient(A, b, c, x, step):
    f = function(A, b, c)
    return np.array([(f(x - step * e) - f(x + step * e)) / (2 * step) for e in np.eye(len(x))])


# ------------------------------------------------------------------------------------------------------ L0.7 softmax


@mutant(
    "L0.7",
    misconception="gradient_of_a_sum",
    hint="Yours is right where every entry of g is 1. Which losses have such a cotangent?",
)
def softmax_backward(g, p):
    return 0 * g * p


@mutant(
    "L0.7",
    misconception="own_score_only",
    hint="Raising one score lowers the probabilities of all others. Where are these in your formula?",
)
def softmax_backward(g, p):
    return g * p * (1 - p)


@mutant(
    "L0.7",
    misconception="no_normalisation",
    hint="p = e / Σ e: you differentiated the numerator. What about the denominator?",
)
def softmax_backward(g, p):
    return g * p


@mutant(
    "L0.7",
    misconception="mean_of_g",
    hint="What is taken off g is its mean. Does every entry count the same in that mean?",
)
def softmax_backward(g, p):
    return p * (g - F.mean(g, -1, True))


@mutant(
    "L0.7", misconception="sum_over_rows", hint="Each row was normalised by itself. Over which axis do you sum g ⊙ p?"
)
def softmax_backward(g, p):
    return p * (g - F.sum(g * p, 0, True))


@mutant(
    "L0.7", misconception="one_sum_for_all", hint="Each row was normalised by itself. How many sums ⟨g, p⟩ are there?"
)
def softmax_backward(g, p):
    return p * (g - F.sum(g * p))


@mutant("L0.7", misconception="unweighted_sum", hint="⟨g, p⟩ is a sum of products. Of what is yours a sum?")
def softmax_backward(g, p):
    return p * (g - F.sum(g, -1, True))


@mutant(
    "L0.7",
    misconception="probability_not_applied",
    hint="An entry whose p is almost 0 cannot move. Does it in your formula?",
)
def softmax_backward(g, p):
    return g - F.sum(g * p, -1, True)


@mutant("L0.7", misconception="minus_p", hint="p - y belongs to softmax and a loss together. Where is the loss here?")
def softmax_backward(g, p):
    return p - g


@mutant(
    "L0.7",
    misconception="sum_without_its_axis",
    hint="A sum over the last axis has shape (T,). Against which axis of (T, V) does it broadcast?",
)
def softmax_backward(g, p):
    return p * (g - F.sum(g * p, -1))


@mutant("L0.7", misconception="added_instead", hint="Add 1 to every g. Which sign makes that change nothing?")
def softmax_backward(g, p):
    return p * (g + F.sum(g * p, -1, True))
