# %% [markdown]
r"""
# Lesson 0. Automatic differentiation

Training a network means: how does one number, the loss, change when any of a million others changes a little? This
lesson builds the machine that answers, first for numbers in some sixty lines, then for arrays, and asks each time how
anyone knows that the answer is right. It proves:

- **L0.1** A derivative is the sum, over all paths through the graph, of the products of the derivatives along them.
- **L0.2** One walk back finds the derivatives by all nodes at once, if what several uses send is added up.
- **L0.3** A node may pass on what it got only when all that use it have sent theirs; such an order needs no recursion.
- **L0.4** The adjoint of broadcasting is a sum.
- **L0.5** The gradient rule of a matrix product is two matrix products; its Jacobian is never made.
- **L0.6** Central differences come close to the exact derivative, but not closer than rounding lets them.
- **L0.7** A test that sums the output lets a softmax pass whose gradient is zero.
- **L0.8** A random cotangent and a random direction let no wrong gradient pass, and minilm's gradients do.

In the code of all lessons `L` is the lesson itself: `L.ask` puts a prediction to you, `L.answer` and `L.said` compare
an answer and a number of the text with what was computed, `L.show` prints source of the library, `L.figure` saves a
picture, and `L.prove` tries every claim at the end. A task, such as "task L0.3", is a function for you to write; the
claims of its number tell whether it is right.
"""

# %%
import itertools
import math

import numpy as np

import minilm as ml
import minilm.functional as F
from minilm.autograd import GradientError, primitive, unbroadcast
from minilm.course import lesson
from minilm.course.figures import COLORS, MARKERS, STYLES, subplots

L = lesson("l00")
rng = np.random.default_rng(0)

# %% [markdown]
r"""
## The engine, part one: numbers that remember

A number that takes part in a computation keeps two things: its value, and pairs (source, derivative by that source).
For $y = a b$ these are $(a, b)$ and $(b, a)$; for $y = a + b$ they are $(a, 1)$ and $(b, 1)$. Nothing else is ever
needed: who was made from what is the **computation graph**, and the derivatives are written on its edges.
"""


# %%
class Value:
    """A number that remembers what it was made of: pairs (source, derivative of this number by that source)."""

    def __init__(self, data, sources=(), name=""):
        self.data, self.sources, self.name, self.grad = float(data), sources, name, 0.0

    def __add__(self, other):
        other = value(other)
        return Value(self.data + other.data, [(self, 1.0), (other, 1.0)], "+")

    def __mul__(self, other):
        other = value(other)
        return Value(self.data * other.data, [(self, other.data), (other, self.data)], "*")


# %%
def value(x):
    return x if isinstance(x, Value) else Value(x, name=str(x))


def power(a, n):
    return Value(a.data**n, [(a, n * a.data ** (n - 1))], f"^{n}")


def exp(a):
    return Value(math.exp(a.data), [(a, math.exp(a.data))], "exp")


def log(a):
    return Value(math.log(a.data), [(a, 1 / a.data)], "log")


def tanh(a):
    return Value(math.tanh(a.data), [(a, 1 - math.tanh(a.data) ** 2)], "tanh")


# %%
Value.__radd__, Value.__rmul__ = Value.__add__, Value.__mul__
Value.__neg__ = lambda a: a * -1
Value.__sub__ = lambda a, b: a + -value(b)
Value.__truediv__ = lambda a, b: a * power(value(b), -1)

x, w = Value(0.5, name="x"), Value(3.0, name="w")
y = tanh(w * x) + x * x
print(y.data, [(source.name, derivative) for source, derivative in y.sources])

# %% [markdown]
r"""
## L0.1 A derivative is a sum over paths

Let $x$ grow by $\varepsilon$. Every number made from it changes, each by $\varepsilon$ times a product of the
derivatives on the way; and where two ways meet, the changes add. So

$$\frac{\partial y}{\partial x} \;=\; \sum_{\text{paths } x \to \cdots \to y} \;\; \prod_{\text{edges on the path}}
\frac{\partial\,\text{consumer}}{\partial\,\text{source}}.$$

That is the chain rule, whole. Below: all paths from $x$ to $y = \tanh(w x) + x^2$. The product $x \cdot x$ uses $x$
twice, so two edges lead there, and two paths.
"""


# %%
def paths(end, start):
    """Every path from start to end: the names on it, and the product along it."""
    if end is start:
        yield [start.name], 1.0
    for source, derivative in end.sources:
        for names, product in paths(source, start):
            yield [*names, end.name], product * derivative


for names, product in paths(y, x):
    print(f"{' → '.join(names):20} {product:.4f}")
by_paths = sum(product for _, product in paths(y, x))
by_hand = w.data * (1 - math.tanh(w.data * x.data) ** 2) + 2 * x.data
print(f"{'sum':20} {by_paths:.4f}   by hand {by_hand:.4f}")

# %% [markdown]
r"""
As a definition this is perfect; as an algorithm it is not. **Predict** how many paths there are when a number is
doubled 20 times, each time by `y = y + y`.
"""
# %%
L.ask("L0.1a", "How many paths lead from x to y after 20 doublings y = y + y?",
      {"20": "direct_edges_only", "40, two for each": None, "1,048,576": True})  # fmt: skip


# %%
def doubled(n):
    x = y = Value(1.0, name="x")
    for _ in range(n):
        y = y + y
    return x, y


counts = {n: sum(1 for _ in paths(*reversed(doubled(n)))) for n in (1, 2, 3, 10)}
print(counts)
L.answer("L0.1a", f"{2**20:,}" if all(count == 2**n for n, count in counts.items()) else counts)
L.said("1,048,576", 2**20)

# %% [markdown]
r"""
## L0.2 One walk back finds all of them

The paths from $x$ all leave $x$ by some edge. Gather them by that first edge, and the sum becomes a recursion:

$$\bar x \;=\; \sum_{\text{consumers } c \text{ of } x} \frac{\partial c}{\partial x}\; \bar c, \qquad
\bar x := \frac{\partial y}{\partial x}, \quad \bar y = 1.$$

$\bar x$ is the **cotangent** of $x$. Start at the end with $1$; let each node send every source its own cotangent
times the derivative on the edge; what arrives at a node is added up. A node with several consumers is a **fan-out**,
and the plus sign is all there is to it. Each edge is used once: 40 products for the 1,048,576 paths of the doublings.
"""


# %%
def order(end):
    """All nodes that end was made from, each after its sources."""
    found, seen = [], set()

    def visit(node):
        if id(node) not in seen:
            seen.add(id(node))
            for source, _ in node.sources:
                visit(source)
            found.append(node)

    visit(end)
    return found


# %%
def backward(end):
    nodes = order(end)
    for node in nodes:
        node.grad = 0.0
    end.grad = 1.0
    for node in reversed(nodes):
        for source, derivative in node.sources:
            source.grad += node.grad * derivative
    return sum(len(node.sources) for node in nodes)  # the products that were made


backward(y)
print(f"walk {x.grad:.12f}   paths {by_paths:.12f}   by hand {by_hand:.12f};   and by w {w.grad:.6f}")
print("products for 20 doublings:", L.said("40", backward(doubled(20)[1])))

# %% [markdown]
r"""
The engine is complete. Its most frequent error is one character: `=` for `+=`. **Predict** what that does to
$y = x^2 + x$ at $x = 3$, whose derivative is $7$.
"""
# %%
L.ask("L0.2a", "y = x * x + x at x = 3, and every gradient that arrives overwrites the one before. x.grad is:",
      {"7 all the same": "overwriting", "1": None, "3": True, "6": "a_source_counts_once"})  # fmt: skip

# %%
x = Value(3.0, name="x")
y = x * x + x
y.grad = 1.0
for node in reversed(order(y)):
    for source, derivative in node.sources:
        source.grad = node.grad * derivative
    print(f"after {node.name or 'leaf':2} x.grad = {x.grad}")
L.answer("L0.2a", f"{x.grad:g}")

# %% [markdown]
r"""
### A neuron, a loss, and the way down

Nothing about this engine is a toy but its speed. A neuron with two inputs learns *or*: the loss falls because every
weight moves against its derivative.
"""
# %%
weights = [Value(0.1, name="w1"), Value(-0.2, name="w2"), Value(0.0, name="b")]
table = [((a, b), 1.0 if a or b else -1.0) for a, b in itertools.product((0, 1), repeat=2)]
losses = []
for _ in range(30):
    loss = value(0)
    for (a, b), wanted in table:
        loss = loss + power(tanh(weights[0] * a + weights[1] * b + weights[2]) - wanted, 2)
    backward(loss)
    losses.append(loss.data)
    for weight in weights:
        weight.data -= 0.2 * weight.grad
print(f"loss {losses[0]:.2f} → {L.said('less than 0.3', losses[-1]):.2f}")

# %% [markdown]
r"""
The loss of the four rows together ends below 0.3.

## L0.3 When a node may pass on

The walk needs an order: a node may send its cotangent on only when it is complete. The tempting short cut, to call
each source as soon as it has received something, sends parts of a cotangent again and again. **Predict** what it
gives for $a \to b = a + a \to c = b + b$, where $\partial c / \partial a = 4$.
"""
# %%
L.ask("L0.3a", "b = a + a, c = b + b; each node sends, then calls its sources to do the same. a.grad is:",
      {"4": "passing_on_at_once", "2": None, "8": True, "16": None})  # fmt: skip


# %%
def send_at_once(node):
    for source, derivative in node.sources:
        source.grad += node.grad * derivative
    for source, _ in node.sources:
        send_at_once(source)


a, c = doubled(2)
c.grad = 1.0
send_at_once(c)
L.answer("L0.3a", f"{a.grad:g}")
backward(c)
print(f"in order: {a.grad:g}")

# %% [markdown]
r"""
On a tree the short cut is right, which is why it passes so many first tests; it needs a node that is no leaf and is
used twice to fail.

An order in which every node stands after its sources is a **topological order**; the walk goes through it from the
end. There are many, and any will do: at the moment a node's turn comes, all that it was used for has been seen.
`order` above finds one by depth-first search, noting a node when its sources are done. But it calls itself, once for
every node of the longest path. A training step of a recurrent network, or simply a long sum, is such a path.
"""
# %%
total = Value(0.0)
for _ in range(20_000):
    total = total + 1.0
try:
    print("nodes in order:", len(order(total)))
except RecursionError as error:
    print("RecursionError:", error)

# %% [markdown]
r"""
The cure is a stack of one's own (task L0.3); minilm's engine has one. How much the walk saves is worth a picture: the
work of summing over paths against that of the walk, as doublings are added.
"""
# %%
depths = np.arange(1, 21)
fig, axes = subplots(width=6, height=3.6)
axes.plot(depths, [n * 2.0**n for n in depths], color=COLORS[1], linestyle=STYLES[1], marker=MARKERS[1],
          markersize=4, label="path by path: n 2ⁿ")  # fmt: skip
axes.plot(depths, [backward(doubled(int(n))[1]) for n in depths], color=COLORS[0], linestyle=STYLES[0],
          marker=MARKERS[0], markersize=4, label="one walk back: 2 n, counted")  # fmt: skip
axes.set_yscale("log")
axes.set_xticks(range(0, 21, 5))
axes.set(xlabel="doublings n (nodes in a row)", ylabel="products made", title="What a derivative costs")
axes.legend(frameon=False, fontsize=8)
L.figure(fig, "paths", "Products made to differentiate n doublings: by summing over all paths, and by one walk back.")

# %% [markdown]
r"""
## L0.4 From numbers to arrays

A million numbers are not a million `Value`s: they are some arrays, and the graph has a node for each operation on
whole arrays. One thing changes. The derivative of an array by an array is a matrix, the **Jacobian** $J$, with an
entry for each pair of entries. It is never made. What the walk needs is its product with a cotangent,
$\bar x = J^\top \bar y$, and for every operation there is a short formula for that: its **gradient rule**. So an edge
carries a function now, where it carried a number. All else stays as it was.
"""


# %%
class Array:
    """An array that remembers what it was made of: pairs (source, rule), rule(cotangent of this) → of the source."""

    def __init__(self, data, sources=()):
        self.data, self.sources, self.grad = np.asarray(data, np.float64), sources, None


def add(a, b):
    return Array(a.data + b.data, [(a, lambda g: unbroadcast(g, a.data.shape)),
                                   (b, lambda g: unbroadcast(g, b.data.shape))])  # fmt: skip


def multiply(a, b):
    return Array(a.data * b.data, [(a, lambda g: unbroadcast(g * b.data, a.data.shape)),
                                   (b, lambda g: unbroadcast(g * a.data, b.data.shape))])  # fmt: skip


# %%
def array_tanh(a):
    y = np.tanh(a.data)
    return Array(y, [(a, lambda g: g * (1 - y * y))])


def array_sum(a):
    return Array(a.data.sum(), [(a, lambda g: np.broadcast_to(g, a.data.shape))])


def array_backward(end, g=1.0):
    nodes = order(end)  # the same as for numbers
    for node in nodes:
        node.grad = np.zeros_like(node.data)
    end.grad = end.grad + g
    for node in reversed(nodes):
        for source, rule in node.sources:
            source.grad = source.grad + rule(node.grad)


# %% [markdown]
r"""
`unbroadcast` is the one new idea. Where shapes differ, NumPy repeats an array along axes of size 1, and along new
axes in front, until they fit: **broadcasting**. To repeat is to use several times, a fan-out; and a fan-out adds. So
the rule of broadcasting sums the cotangent over the axes that were repeated. In the language of linear maps: if $B$
repeats, $\langle g, B x\rangle = \langle B^\top g, x\rangle$, and $B^\top$, the **adjoint** of $B$, is a sum.

**Predict**: a row $b$ of shape (3,) is added to each of the 4 rows of $X$, and everything is summed up.
"""
# %%
L.ask("L0.4a", "y = sum(X + b), X of shape (4, 3), b of shape (3,). The gradient of b is:",
      {"[1, 1, 1]": "first_use_only", "[4, 4, 4]": True, "[12, 12, 12]": "sums_everything",
       "ones of shape (4, 3)": "broadcast_as_copy"})  # fmt: skip

# %%
X, b = Array(rng.standard_normal((4, 3))), Array(rng.standard_normal(3))
array_backward(array_sum(add(X, b)))
L.answer("L0.4a", str(b.grad.astype(int).tolist()))

g, row = rng.standard_normal((4, 3)), rng.standard_normal(3)
print("⟨g, B x⟩ =", (g * np.broadcast_to(row, g.shape)).sum(), "  ⟨Bᵀ g, x⟩ =", (unbroadcast(g, (3,)) * row).sum())

# %% [markdown]
r"""
### minilm's engine is this one, finished

`ml.Tensor` is `Array`. An operation is a function of plain arrays, with its gradient rule right beneath it; here are
tanh and its rule as they stand in the library, and then the same computation by both engines.
"""
# %%
L.show(F.tanh, F.tanh.rules["x"][0])

W, bias, x = (rng.standard_normal(shape) for shape in ((1, 3), (3,), (4, 1)))
ours = [Array(W), Array(bias), Array(x)]
array_backward(array_sum(array_tanh(add(multiply(ours[2], ours[0]), ours[1]))))
theirs = [ml.Tensor(a, requires_grad=True) for a in (W, bias, x)]
loss = F.sum(F.tanh(theirs[2] * theirs[0] + theirs[1]))
found = ml.grad(loss, theirs, retain_graph=True)
print(L.said("less than 1e-12", max(abs(o.grad - t.data).max() for o, t in zip(ours, found, strict=True))))

# %% [markdown]
r"""
They differ by less than 1e-12. And this is the graph: leaves above, the loss below, in each box the shape, the value
where it is small, and the cotangent that the walk brings. The row `bias` of shape (3,) meets an array of four rows,
and its cotangent is a row again.
"""
# %%
picture = ml.draw(loss, values=True, gradients=True, engine="matplotlib",
                  parameters={"W": theirs[0], "bias": theirs[1], "x": theirs[2]})  # fmt: skip
L.figure(picture, "graph", "The computation graph of sum(tanh(x W + bias)), drawn by ml.draw.")

# %% [markdown]
r"""
## L0.5 A matrix product and its rule

Almost all the work of a network is $Y = A B$ with $A$ of shape $(n, k)$, $B$ of $(k, m)$. Move $A$ by a little $dA$:
$Y$ moves by $dA\,B$, and a loss with the cotangent $G$ of $Y$ by

$$\langle G, dA\,B\rangle = \operatorname{tr}(G^\top dA\, B) = \operatorname{tr}(B\,G^\top dA) =
\langle G B^\top, dA\rangle .$$

So $\bar A = G B^\top$, and in the same way $\bar B = A^\top G$. The shapes alone would have told: from $G$ and $B$
there is one product of the shape of $A$. The Jacobian that is not made would have been large. **Predict** how large.
"""
# %%
L.ask("L0.5a", "A and B have shape (64, 64). How many entries has the Jacobian of A B by A?",
      {"4,096": None, "262,144": None, "16,777,216": True})  # fmt: skip

# %%
n = 4
A, B = (ml.Tensor(rng.standard_normal((n, n)), requires_grad=True) for _ in range(2))
J = ml.jacobian(F.matmul(A, B), A)
print(f"for {n} × {n} matrices: shape {J.shape}, {J.size} entries, {np.count_nonzero(J.data)} of them not zero")
L.answer("L0.5a", f"{64**4:,}" if J.size == n**4 else J.size)
L.said("16,777,216", 64**4)
share = np.count_nonzero(J.data) / J.size
print(f"share that is not zero: 1 in {L.said('4', 1 / share):.0f}")

# %% [markdown]
r"""
16,777,216 entries, all zero but one in $n$ and full of repetitions, for a rule of $2 n^3$ operations. That is why no
engine stores Jacobians, and why this one lets you see one only on request.

## L0.6 Is it right? Differences, and what rounding does to them

A gradient rule is a claim about a function, so the function can testify: move the input, look at the output.
One-sided differences have an error of order $h$, **central differences** one of order $h^2$, as their Taylor series
say:

$$\frac{f(x + h) - f(x)}{h} = f' + \tfrac{h}{2} f'' + \dots, \qquad
\frac{f(x + h) - f(x - h)}{2 h} = f' + \tfrac{h^2}{6} f''' + \dots$$

So take $h$ as small as can be? **Predict.**
"""
# %%
L.ask("L0.6a", "In float64, which step gives central differences of exp(sin x) the smallest error?",
      {"1e-2": None, "1e-5": True, "1e-8": "one_sided", "1e-15": None})  # fmt: skip


# %%
def one_sided(f, x, h):
    return (f(x + h) - f(x)) / h


def central(f, x, h):
    return (f(x + h) - f(x - h)) / (2 * h)


def five_point(f, x, h):
    return (8 * (f(x + h) - f(x - h)) - (f(x + 2 * h) - f(x - 2 * h))) / (12 * h)


# %%
def errors(rule, steps, kind=np.float64, at=1.0):
    """|difference - derivative| of exp(sin x), relative."""
    exact = math.cos(at) * math.exp(math.sin(at))
    return [abs(float(rule(lambda x: np.exp(np.sin(x)), kind(at), kind(h))) - exact) / exact for h in steps]


options = ["1e-2", "1e-5", "1e-8", "1e-15"]
L.answer("L0.6a", min(options, key=lambda h: errors(central, [float(h)])[0]))

# %%
steps = 10.0 ** np.arange(-15, 0.01, 0.25)
rules = {"one-sided, float64": (one_sided, np.float64), "central, float64": (central, np.float64),
         "five points, float64": (five_point, np.float64), "central, float32": (central, np.float32)}  # fmt: skip
fig, axes = subplots(width=6.5, height=4)
for i, (name, (rule, kind)) in enumerate(rules.items()):
    found = np.maximum(errors(rule, steps, kind), 1e-16)
    axes.loglog(steps, found, color=COLORS[i], linestyle=STYLES[i], marker=MARKERS[i], markersize=3, label=name)
axes.set(xlabel="step h", ylabel="relative error", title="Differences of exp(sin x) at x = 1", ylim=(1e-16, 30))
axes.legend(frameon=False, fontsize=8)
L.figure(fig, "steps", "The error of a difference falls with the step until rounding, which grows as 1/h, takes over.")

# %%
best = {name: min(errors(rule, steps, kind)) for name, (rule, kind) in rules.items()}
for name, error in best.items():
    print(f"{name:22} best relative error {error:.0e}")
L.said("less than 1e-9", best["central, float64"])
L.said("less than 1e-11", best["five points, float64"])
L.said("more than 1e-7", best["central, float32"])

# %% [markdown]
r"""
Each curve falls with its power of $h$ to the right, and rises as $1/h$ to the left, where the two values agree in
nearly all their digits and the difference keeps only the noise. The best central difference is off by less than 1e-9
of the derivative, five points by less than 1e-11, and in float32 nothing comes nearer than 1e-7: a gradient is
checked in float64 or not at all.

## L0.7 A test that sums proves nothing

A check needs one number to differentiate, and the usual one is `f(x).sum()`. Its cotangent is all ones: the test asks
the rule one question only. **Softmax** is the function

$$p_i = \frac{e^{x_i}}{\sum_j e^{x_j}}, \qquad \bar x = p \odot (\bar p - \langle \bar p, p\rangle),$$

positive numbers that sum to 1 whatever $x$ is. **Predict** what the test says of a softmax whose rule returns zeros.
"""
# %%
L.ask("L0.7a", "The rule of a softmax returns zeros. softmax(x).sum() is compared with central differences. It:",
      {"fails: a gradient is not zero": "gradient_of_a_sum", "passes": True,
       "fails only for large x": None})  # fmt: skip


# %%
def softmax_with(rule):
    """A new operation: softmax, with the gradient rule rule(g, p)."""

    @primitive
    def softmax(x):
        e = np.exp(x - x.max(-1, keepdims=True))
        return e / e.sum(-1, keepdims=True)

    softmax.vjp("x")(lambda g, y: rule(g, y))
    return softmax


# %%
def disagreement(f, x, u, v):
    """|slope of ⟨u, f⟩ along v, by differences − by the gradient rule|."""
    t = ml.Tensor(x, requires_grad=True)
    exact = float((ml.grad(f(t), t, u).data * v).sum())
    return abs(five_point(lambda s: float((u * f(x + s * v)).sum()), 0.0, 1e-3) - exact)


x, v = rng.standard_normal((2, 5)), rng.standard_normal((2, 5))
lazy = softmax_with(lambda g, p: 0 * g)
by_the_sum = disagreement(lazy, x, np.ones((2, 5)), v)
print(f"the test that sums finds a disagreement of {L.said('less than 1e-10', by_the_sum):.0e}")
L.answer("L0.7a", "passes" if by_the_sum < 1e-10 else "fails")

# %% [markdown]
r"""
It disagrees by less than 1e-10, which is rounding. The sum of the outputs is 1 for every $x$, so the right gradient
of the test *is* zero, and so is that of anything times the right one. The cure costs one line: instead of ones take a
random cotangent $u$, that is, test $\sum_i u_i f_i(x)$. Five rules under both tests:
"""


# %%
def right(g, p):
    return p * g - p * (g * p).sum(-1, keepdims=True)


candidates = {"right": right, "zeros": lambda g, p: 0 * g, "7 times right": lambda g, p: 7 * right(g, p),
              "mean of g for ⟨g, p⟩": lambda g, p: p * (g - g.mean(-1, keepdims=True)),
              "g ⊙ p only": lambda g, p: g * p}  # fmt: skip
u = rng.standard_normal((2, 5))
rows = [(name, disagreement(softmax_with(rule), x, np.ones((2, 5)), v), disagreement(softmax_with(rule), x, u, v))
        for name, rule in candidates.items()]  # fmt: skip
for name, ones, random in rows:
    print(f"{name:22} sum {ones:.0e}   random cotangent {random:.0e}")
L.said("3", sum(ones < 1e-9 for _, ones, _ in rows[1:]))
L.said("0", sum(random < 1e-3 for _, _, random in rows[1:]))

# %%
fig, axes = subplots(width=6.5, height=3.2)
at = np.arange(len(rows))
for i, (label, column) in enumerate((("test that sums", 1), ("random cotangent", 2))):
    axes.scatter([max(row[column], 1e-16) for row in rows], at + 0.12 * (1 - 2 * i), color=COLORS[i],
                 marker=MARKERS[i], s=36, label=label, zorder=3)  # fmt: skip
axes.axvline(1e-9, color=COLORS[5], linewidth=1, linestyle=STYLES[4])
axes.set_xscale("log")
axes.set_yticks(at, [row[0] for row in rows])
axes.invert_yaxis()
axes.set(xlim=(3e-17, 100), xlabel="disagreement found (left of the line: passes)", ylabel="gradient rule",
         title="What two tests see of five rules")  # fmt: skip
axes.legend(frameon=False, fontsize=8, loc="center", bbox_to_anchor=(0.62, 0.75))
L.figure(fig, "tests", "Left of the dashed line a rule passes: three wrong ones pass the sum, none the cotangent.")

# %% [markdown]
r"""
Of the four wrong rules 3 pass the test that sums, and 0 the other. It is the same for a layer whose outputs have mean
zero, and for any function with a constant hidden in it.

## L0.8 Why a random direction is enough

For a cotangent $u$ and a direction $v$ the test compares $\langle u, J v\rangle$, the slope, with
$\langle J^\top u, v\rangle$, the gradient's word. Say the rule uses $J + E$ with an error $E \ne 0$. Then they differ
by $u^\top E\, v$, which is zero only on a surface of measure zero in the space of $(u, v)$: a random pair finds it
with probability one, however few of the entries are wrong, for the price of five evaluations. `ml.gradcheck` does
this, and if it finds something it looks entry by entry and says where:
"""
# %%
try:
    ml.gradcheck(softmax_with(lambda g, p: 7 * right(g, p)), x)
except GradientError as error:
    print(error)
w, b = rng.standard_normal((5, 3)), rng.standard_normal(3)
print("minilm's own softmax of tanh(x w + b), and the gradient of its gradient:",
      ml.gradcheck(lambda x, w, b: F.softmax(F.tanh(F.matmul(x, w) + b)), x, w, b, order=2))  # fmt: skip

# %% [markdown]
r"""
The second order comes for nothing: gradient rules are written with the same operations, so that they can be
differentiated like anything else.

## What goes wrong in practice

- *Passing on at once.* The walk without an order has been proposed for micrograd as a simplification more than once;
  its author answered that it fails where a value that is no leaf is used again (karpathy/micrograd#64, “Simplified
  backpropagation removing toposort”; karpathy/micrograd#96, “Why topological sort is needed?”). In another library
  the same thing came as a report that $x \cdot x a$ and its like give 7 for 6 (sebgao/cTensor#5).
- *Recursion.* A long expression overflows Python's stack in an engine that sorts by recursion (karpathy/micrograd#90,
  “Changed the backward method implementation from recursive to stack”).
- *Broadcasting.* When PyTorch learned to broadcast, gradients kept the large shape at first (pytorch/pytorch#1787,
  “autograd doesn't follow broadcasting”); summing over axes counted from the wrong end is the next mistake
  (HomericIntelligence/Odyssey#2080).
- *Tests that sum.* Planted mistakes in the softmax of a teaching framework went unnoticed, because every one of its
  tests summed the output before going back (harvard-edge/cs249r_book#2053, “add softmax backward coverage for
  non-uniform gradients”).
- *float32.* “Wrong automatic gradient for Linear-Layer” was a check in single precision (pytorch/pytorch#5351).

## Summary

| | |
|---|---|
| chain rule | sum over paths of products along them; one walk back does it in one product an edge |
| cotangent | $\bar x = \partial\,\text{loss} / \partial x$, of the shape of $x$ |
| fan-out | what the uses send is added, `+=` |
| order | each node after all its consumers; a stack, no recursion |
| gradient rule | $\bar x = J^\top \bar y$ without $J$; for $Y = AB$: $\bar A = G B^\top$, $\bar B = A^\top G$ |
| broadcasting | its adjoint is the sum over the repeated axes |
| differences | central, float64; the error has a floor where rounding meets the step |
| check | random cotangent, random direction; never a plain sum |

**Sources.** Linnainmaa (1976) for the walk back; Rumelhart, Hinton and Williams (1986) for its use in networks;
Griewank and Walther (2008), chapters 3 and 4, for adjoints, rules and their cost; Baydin et al. (2018) for a survey;
Abramowitz and Stegun (1964), section 25.3, for the differences. The engine's first part follows the idea of
micrograd.
"""
# %%
L.prove()
