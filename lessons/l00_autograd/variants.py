"""Other right answers."""

import math

import numpy as np

import minilm.functional as F
from minilm.course import variant


@variant("L0.1", "back from the end")
def sum_over_paths(edges, start, end):
    return 1.0 if start == end else sum((d * sum_over_paths(edges, start, s) for s, c, d in edges if c == end), 0.0)


@variant("L0.1", "forward, node by node")
def sum_over_paths(edges, start, end):
    found = {start: 1.0}
    for node in range(start, end + 1):
        arriving = [found.get(s, 0.0) * d for s, c, d in edges if c == node]
        found[node] = 1.0 if node == start else math.fsum(arriving)
    return found.get(end, 0.0)


@variant("L0.1", "by every path, written out")
def sum_over_paths(edges, start, end):
    total, open_paths = 0.0, [(start, 1.0)]
    while open_paths:
        node, product = open_paths.pop()
        total += product if node == end else 0.0
        open_paths += [(c, product * d) for s, c, d in edges if s == node and node != end]
    return total


@variant("L0.2", "by asking each value who uses it")
def backward(steps, values):
    gradients = [0.0] * len(steps)
    gradients[-1] = 1.0
    for j in reversed(range(len(steps) - 1)):
        for i in range(j + 1, len(steps)):
            operation, *places = steps[i]
            for k, place in enumerate(places):
                if place == j:
                    slope = {"+": 1.0, "*": values[places[1 - k]] if operation == "*" else 0.0}
                    gradients[j] += gradients[i] * slope.get(operation, 1 - values[i] * values[i])
    return gradients


@variant("L0.2", "by cases")
def backward(steps, values):
    found = np.zeros(len(steps))
    found[-1] = 1
    for i in range(len(steps) - 1, -1, -1):
        if steps[i][0] == "+":
            found[steps[i][1]] += found[i]
            found[steps[i][2]] += found[i]
        elif steps[i][0] == "*":
            _, a, b = steps[i]
            found[a] += found[i] * values[b]
            found[b] += found[i] * values[a]
        elif steps[i][0] == "tanh":
            found[steps[i][1]] += found[i] / math.cosh(math.atanh(values[i])) ** 2
    return found.tolist()


@variant("L0.2", "by solving for all at once")
def backward(steps, values):
    W = np.zeros((len(steps), len(steps)))  # W[i, j] is the derivative of step j by step i
    for j, (operation, *places) in enumerate(steps):
        for k, i in enumerate(places):
            W[i, j] += {"+": 1.0, "tanh": 1 - values[j] ** 2}.get(operation, values[places[k - 1]])
    return np.linalg.solve(np.eye(len(steps)) - W, np.eye(len(steps))[-1]).tolist()


@variant("L0.3", "by counting users: first those that nobody waits for, then reversed")
def topological_order(sources, end):
    reachable, stack = {end}, [end]
    while stack:
        new = set(sources[stack.pop()]) - reachable
        reachable |= new
        stack += new
    waiting = dict.fromkeys(reachable, 0)
    for node in reachable:
        for source in sources[node]:
            waiting[source] += 1
    order, ready = [], [end]
    while ready:
        node = ready.pop()
        order.append(node)
        for source in sources[node]:
            waiting[source] -= 1
            if not waiting[source]:
                ready.append(source)
    return order[::-1]


@variant("L0.3", "with an iterator for each open node")
def topological_order(sources, end):
    order, seen, stack = [], {end}, [(end, iter(sources[end]))]
    while stack:
        node, rest = stack[-1]
        source = next((s for s in rest if s not in seen), None)
        if source is None:
            order.append(node)
            stack.pop()
        else:
            seen.add(source)
            stack.append((source, iter(sources[source])))
    return order


@variant("L0.3", "sorted by the longest way from a leaf")
def topological_order(sources, end):
    height: dict[int, int] = {}
    stack = [end]
    while stack:
        node = stack[-1]
        missing = [s for s in sources[node] if s not in height]
        if missing:
            stack += missing
        else:
            height[node] = 1 + max((height[s] for s in sources[node]), default=0)
            stack.pop()
    return sorted(height, key=lambda node: height[node])


@variant("L0.4", "axis by axis")
def unbroadcast(g, shape):
    while len(g.shape) > len(shape):
        g = F.sum(g, 0)
    for axis, size in enumerate(shape):
        if size == 1:
            g = F.sum(g, axis, True)
    return g


@variant("L0.4", "by einsum")
def unbroadcast(g, shape):
    letters = "abcdefgh"[: len(g.shape)]
    own = letters[len(letters) - len(shape) :]
    kept = "".join(a for a, size in zip(own, shape, strict=True) if size != 1)
    return F.einsum(f"{letters}->{kept}", g).reshape(tuple(shape))


@variant("L0.4", "by the places that each entry is used at")
def unbroadcast(g, shape):
    n = math.prod(shape)
    places = np.broadcast_to(np.arange(n).reshape(shape), g.shape)
    parts = [F.sum(g * (places == i)) for i in range(n)]
    return F.stack(parts).reshape(tuple(shape)) if parts else g


@variant("L0.5", "by einsum")
def matmul_backward(g, a, b):
    return F.einsum("nm,km->nk", g, b), F.einsum("nk,nm->km", a, g)


@variant("L0.5", "by sums over broadcast products")
def matmul_backward(g, a, b):
    n, k, m = a.shape[0], a.shape[1], b.shape[1]
    wide = g.reshape(n, 1, m)
    return F.sum(wide * b.reshape(1, k, m), 2), F.sum(wide * a.reshape(n, k, 1), 0)


@variant("L0.5", "row by row, as outer products")
def matmul_backward(g, a, b):
    rows = [F.matmul(b, g[i]) for i in range(g.shape[0])]
    outer = [F.matmul(a[i].reshape(-1, 1), g[i].reshape(1, -1)) for i in range(g.shape[0])]
    return F.stack(rows), sum(outer[1:], start=outer[0])


@variant("L0.6", "with the identity's rows")
def numeric_gradient(A, b, c, x, step):
    f = lambda x: 0.5 * (x @ A @ x) + b @ x + c * (x**3).sum()  # noqa: E731
    return np.array([f(x + step * e) - f(x - step * e) for e in np.eye(len(x))]) / (2 * step)


@variant("L0.6", "in place, and put back")
def numeric_gradient(A, b, c, x, step):
    f = lambda x: 0.5 * (x @ A @ x) + b @ x + c * (x**3).sum()  # noqa: E731
    gradient = []
    for i in range(len(x)):
        before = x[i]
        x[i] = before + step
        above = f(x)
        x[i] = before - step
        gradient.append((above - f(x)) / (2 * step))
        x[i] = before
    return np.array(gradient)


@variant("L0.6", "as the mean of the two one-sided differences")
def numeric_gradient(A, b, c, x, step):
    f = lambda x: 0.5 * (x @ A @ x) + b @ x + c * (x**3).sum()  # noqa: E731
    moves = step * np.eye(len(x))
    return np.array([((f(x + e) - f(x)) / step + (f(x) - f(x - e)) / step) / 2 for e in moves])


@variant("L0.7", "by the whole Jacobian of each row")
def softmax_backward(g, p):
    T, V = p.shape
    J = p.reshape(T, V, 1) * np.eye(V) - p.reshape(T, V, 1) * p.reshape(T, 1, V)
    return F.matmul(g.reshape(T, 1, V), J).reshape(T, V)


@variant("L0.7", "multiplied out")
def softmax_backward(g, p):
    gp = g * p
    return gp - p * F.sum(gp, -1, True)


@variant("L0.7", "row by row")
def softmax_backward(g, p):
    return F.stack([p[t] * (g[t] - F.sum(g[t] * p[t])) for t in range(p.shape[0])])
