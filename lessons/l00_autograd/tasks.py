"""The tasks of lesson 0."""

import numpy as np

import minilm.functional as F
from minilm.course import task


@task("L0.1", worked=True)
def sum_over_paths(edges, start, end):
    """The derivative of node `end` by node `start`: over all paths, the sum of the products of local derivatives.

    edges: a list of (source, consumer, derivative): the node `consumer` was made from the node `source`, and
    `derivative` is its derivative by it. Nodes are whole numbers, and every source is smaller than its consumer. A
    pair of nodes may be joined by several edges, as in x * x. -> a float; 1.0 where start is end, 0.0 where no path
    leads from start to end.
    """
    if start == end:
        return 1.0
    total = 0.0
    for source, consumer, derivative in edges:
        if source == start:
            total += derivative * sum_over_paths(edges, consumer, end)
    return total


@task("L0.2", points=2, keep=2)
def backward(steps, values):
    """The derivative of the last value by every value, in one walk back. -> a list of floats, one for each step.

    steps: a list of lists, [operation, places of its arguments …]: ["input"], ["+", i, j], ["*", i, j], ["tanh", i],
    with i and j smaller than the step's own place; i and j may be equal. values: what each step gave, floats. A value
    that the last one does not depend on has the derivative 0.0; the last has 1.0.
    """
    gradients = [0.0] * len(steps)
    gradients[-1] = 1.0
    for i in reversed(range(len(steps))):
        operation, *sources = steps[i]
        given = [values[source] for source in sources]
        local = {"input": [], "+": [1.0, 1.0], "*": given[::-1], "tanh": [1 - values[i] ** 2]}[operation]
        for source, derivative in zip(sources, local, strict=True):
            gradients[source] += gradients[i] * derivative
    return gradients


@task("L0.3", points=2)
def topological_order(sources, end):
    """The nodes that `end` was made from, and `end`, each once and after all its own sources. -> a list of numbers.

    sources: a list of lists; sources[i] holds the nodes that node i was made from (a node may be there twice). The
    numbers of the nodes say nothing about their order. Any order that keeps the rule is right. There may be tens of
    thousands of nodes in a row, more than Python lets a function call itself.
    """
    order, seen, stack = [], set(), [(end, False)]
    while stack:
        node, finished = stack.pop()
        if finished:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack += [(source, False) for source in sources[node]]
    return order


@task("L0.4", points=2)
def unbroadcast(g, shape):
    """The adjoint of broadcasting: what an array of that shape receives when its broadcast form receives g.

    g: an array; shape: a tuple of whole numbers that broadcasts to g's shape (sizes equal or 1, aligned at the end, and
    possibly fewer). -> an array of that shape: each entry is the sum of g over all the places where it was used.
    """
    extra = len(g.shape) - len(shape)
    stretched = [i + extra for i, size in enumerate(shape) if size == 1]
    return F.sum(g, (*range(extra), *stretched)).reshape(tuple(shape))


@task("L0.5", points=2)
def matmul_backward(g, a, b):
    """The cotangents of a and b where y = a @ b has the cotangent g. -> (of a, of b), of the shapes of a and b.

    a: (n, k), b: (k, m), g: (n, m). No Jacobian is needed, and no loop.
    """
    return F.matmul(g, b.T), F.matmul(a.T, g)


@task("L0.6", points=2, keep=1, plain=True)
def numeric_gradient(A, b, c, x, step):
    """The gradient of f at x by central differences: entry i is (f(x + h eᵢ) - f(x - h eᵢ)) / 2h, h = step. -> (n,)

    f(x) = xᵀ A x / 2 + bᵀ x + c Σ xᵢ³. A: (n, n), any; b, x: (n,); c, step: numbers. These are NumPy arrays. The
    function is to be evaluated, not differentiated by hand.
    """

    def f(x):
        return 0.5 * (x @ A @ x) + b @ x + c * (x**3).sum()

    gradient = np.zeros(len(x))
    for i in range(len(x)):
        move = np.zeros(len(x))
        move[i] = step
        gradient[i] = (f(x + move) - f(x - move)) / (2 * step)
    return gradient


@task("L0.7", points=2)
def softmax_backward(g, p):
    """The cotangent of x where p = softmax(x), row by row, has the cotangent g: p ⊙ (g - ⟨g, p⟩).

    g, p: (T, V); every row of p is positive and sums to 1. -> (T, V). ⟨g, p⟩ is a number of its own for each row.
    """
    return p * (g - F.sum(g * p, -1, True))
