"""What students write instead, and the question that leads on."""

import math

import numpy as np

import minilm.functional as F
from minilm.course import mutant

from .tasks import cache_bytes as bytes_of
from .tasks import corrupt as corrupt_of
from .tasks import grouped_attention as attention_of
from .tasks import relative_bucket as bucket_of
from .tasks import rms_norm as norm_of
from .tasks import rotate as rotate_of
from .tasks import swiglu as swiglu_of

# ----------------------------------------------------------------------------------------------------------- L9.1


@mutant(
    "L9.1",
    misconception="mean_is_subtracted",
    hint="Add 2 to all features. Should the result stay as it is? That is what a layer norm does.",
)
def rms_norm(x, weight, epsilon):
    x = x - F.mean(x, -1, keepdims=True)
    return norm_of(x, weight, epsilon)


@mutant(
    "L9.1",
    misconception="epsilon_outside_the_root",
    hint="With ε = 1 and x = (1, 1), what is √(mean x² + ε), and what √(mean x²) + ε?",
)
def rms_norm(x, weight, epsilon):
    return weight * x / (F.sqrt(F.mean(x * x, -1, keepdims=True) + 1e-30) + epsilon)


@mutant(
    "L9.1",
    misconception="divided_by_the_length",
    hint="You divide by the root of a sum. Which mean square does the result have: 1, or 1 / D?",
)
def rms_norm(x, weight, epsilon):
    return weight * x / F.sqrt(F.sum(x * x, -1, keepdims=True) + epsilon)


@mutant("L9.1", misconception="root_is_forgotten", hint="Make x twice as long: does your result stay, or is it halved?")
def rms_norm(x, weight, epsilon):
    return weight * x / (F.mean(x * x, -1, keepdims=True) + epsilon)


@mutant(
    "L9.1",
    misconception="mean_over_everything",
    hint="Two vectors in one array: may one change what becomes of the other?",
)
def rms_norm(x, weight, epsilon):
    return weight * x / F.sqrt(F.mean(x * x) + epsilon)


@mutant(
    "L9.1",
    misconception="mean_over_positions",
    hint="The mean runs over the features of one vector. Which axis is that?",
)
def rms_norm(x, weight, epsilon):
    return weight * x / F.sqrt(F.mean(x * x, 0, keepdims=True) + epsilon)


@mutant("L9.1", misconception="weight_is_forgotten", hint="Change the weight: does your result change?")
def rms_norm(x, weight, epsilon):
    return norm_of(x, np.ones(x.shape[-1]), epsilon)


@mutant(
    "L9.1",
    misconception="one_is_added_to_the_weight",
    hint="Some models keep w − 1 instead of w. What does the task want where the weight is 0?",
)
def rms_norm(x, weight, epsilon):
    return norm_of(x, 1.0 + weight, epsilon)


@mutant(
    "L9.1",
    misconception="epsilon_is_squared",
    hint="ε is added to the mean square as it is. What do you add for ε = 0.125?",
)
def rms_norm(x, weight, epsilon):
    return norm_of(x, weight, epsilon * epsilon)


@mutant(
    "L9.1",
    misconception="root_is_a_constant",
    hint="The root depends on x as well. What is the derivative of x / |x|, if it is not 1 / |x|?",
)
def rms_norm(x, weight, epsilon):
    root = np.sqrt((x.numpy() ** 2).mean(-1, keepdims=True) + epsilon)
    return weight * x / root


@mutant(
    "L9.1", misconception="mean_of_absolute_values", hint="Which mean do you take of (3, 4): 3.5, or the root of 12.5?"
)
def rms_norm(x, weight, epsilon):
    size = F.mean(F.sqrt(x * x + 1e-30), -1, keepdims=True)
    return weight * x / F.sqrt(size * size + epsilon)


@mutant(
    "L9.1", misconception="norm_after_the_weight", hint="Is it x that is normalised, or w x? Try a weight of (1, 10)."
)
def rms_norm(x, weight, epsilon):
    return norm_of(weight * x, np.ones(x.shape[-1]), epsilon)


# ----------------------------------------------------------------------------------------------------------- L9.2


@mutant(
    "L9.2",
    misconception="neighbours_are_pairs",
    hint="Both orders are in use. Which features does the task pair: 0 with 1, or 0 with K/2?",
)
def rotate(x, positions, theta):
    h = x.shape[-1] // 2
    angles = positions[:, None] * theta ** (-np.arange(h) / h)
    cos, sin = np.cos(angles), np.sin(angles)
    a, b = x[..., ::2], x[..., 1::2]
    return F.stack([a * cos - b * sin, b * cos + a * sin], -1).reshape(*x.shape)


@mutant(
    "L9.2",
    misconception="two_orders_are_mixed",
    hint="A pair turns by one angle. Which angle have you for feature i, and which for feature i + K/2?",
)
def rotate(x, positions, theta):
    h = x.shape[-1] // 2
    angles = positions[:, None] * theta ** (-np.arange(h) / h)
    wide = np.repeat(angles, 2, axis=-1)  # made for neighbours
    turned = F.concatenate([-x[..., h:], x[..., :h]], -1)  # made for halves
    return x * np.cos(wide) + turned * np.sin(wide)


@mutant(
    "L9.2",
    misconception="turned_backwards",
    hint="For the pair (1, 0) and a quarter turn the task gives (0, 1). What do you get?",
)
def rotate(x, positions, theta):
    return rotate_of(x, -positions, theta)


@mutant(
    "L9.2", misconception="reflected", hint="Is the length of (a, b) kept? One of your two sines has the wrong sign."
)
def rotate(x, positions, theta):
    h = x.shape[-1] // 2
    angles = positions[:, None] * theta ** (-np.arange(h) / h)
    cos, sin = np.cos(angles), np.sin(angles)
    a, b = x[..., :h], x[..., h:]
    return F.concatenate([a * cos - b * sin, b * cos - a * sin], -1)


@mutant(
    "L9.2",
    misconception="positions_restart",
    hint="The positions are given. What happens to those that are read after a cache of ten?",
)
def rotate(x, positions, theta):
    return rotate_of(x, np.arange(x.shape[-2]), theta)


@mutant(
    "L9.2",
    misconception="exponent_is_half",
    hint="With K = 4 the two pairs turn by t and t θ^(−1/2). By how much does your second one turn?",
)
def rotate(x, positions, theta):
    h = x.shape[-1] // 2
    angles = positions[:, None] * theta ** (-np.arange(h) / (2 * h))
    cos, sin = np.cos(angles), np.sin(angles)
    a, b = x[..., :h], x[..., h:]
    return F.concatenate([a * cos - b * sin, b * cos + a * sin], -1)


@mutant(
    "L9.2",
    misconception="all_pairs_turn_alike",
    hint="If all pairs turn by t, how do distances of 0 and 2π, nearly 6, differ?",
)
def rotate(x, positions, theta):
    h = x.shape[-1] // 2
    angles = positions[:, None] * np.ones(h)
    cos, sin = np.cos(angles), np.sin(angles)
    a, b = x[..., :h], x[..., h:]
    return F.concatenate([a * cos - b * sin, b * cos + a * sin], -1)


@mutant(
    "L9.2",
    misconception="positions_from_one",
    hint="What is done to the vector at position 0? Scores do not tell, but a cache that counts from 0 will.",
)
def rotate(x, positions, theta):
    return rotate_of(x, positions + 1, theta)


@mutant(
    "L9.2",
    misconception="slow_pairs_first",
    hint="Which pair turns by a whole radian a step: the first or the last one?",
)
def rotate(x, positions, theta):
    h = x.shape[-1] // 2
    angles = positions[:, None] * theta ** (-np.arange(h) / h)
    angles = angles[:, ::-1]
    cos, sin = np.cos(angles), np.sin(angles)
    a, b = x[..., :h], x[..., h:]
    return F.concatenate([a * cos - b * sin, b * cos + a * sin], -1)


@mutant(
    "L9.2",
    misconception="position_is_added",
    hint="Is the length of a vector of zeros still 0 after you? Nothing is added here, vectors are turned.",
)
def rotate(x, positions, theta):
    h = x.shape[-1] // 2
    angles = positions[:, None] * theta ** (-np.arange(h) / h)
    return x + F.concatenate([np.sin(angles), np.cos(angles)], -1)


@mutant(
    "L9.2", misconception="angle_is_a_part_of_a_turn", hint="cos and sin take radians. Is an angle of 1 a whole turn?"
)
def rotate(x, positions, theta):
    h = x.shape[-1] // 2
    angles = positions[:, None] * theta ** (-np.arange(h) / h)
    angles = 2 * np.pi * angles
    cos, sin = np.cos(angles), np.sin(angles)
    a, b = x[..., :h], x[..., h:]
    return F.concatenate([a * cos - b * sin, b * cos + a * sin], -1)


@mutant(
    "L9.2",
    misconception="theta_is_the_frequency",
    hint="θ is what frequencies are powers of. What is the fastest frequency, for i = 0?",
)
def rotate(x, positions, theta):
    h = x.shape[-1] // 2
    angles = positions[:, None] / (theta * (1 + np.arange(h)))
    cos, sin = np.cos(angles), np.sin(angles)
    a, b = x[..., :h], x[..., h:]
    return F.concatenate([a * cos - b * sin, b * cos + a * sin], -1)


@mutant(
    "L9.2",
    misconception="only_one_half_turns",
    hint="A rotation changes both numbers of a pair. Which one do you hand back as it came?",
)
def rotate(x, positions, theta):
    h = x.shape[-1] // 2
    angles = positions[:, None] * theta ** (-np.arange(h) / h)
    cos, sin = np.cos(angles), np.sin(angles)
    a, b = x[..., :h], x[..., h:]
    return F.concatenate([a * cos - b * sin, b], -1)


# ----------------------------------------------------------------------------------------------------------- L9.3


@mutant(
    "L9.3",
    misconception="gate_and_up_exchanged",
    hint="Which of the two is bent by silu? Double the other one: the result should double.",
)
def swiglu(x, w_gate, w_up, w_down):
    return swiglu_of(x, w_up, w_gate, w_down)


@mutant(
    "L9.3",
    misconception="sigmoid_is_the_gate",
    hint="silu(z) is z times sigmoid(z). What passes a gate at 800: what goes up, or 800 times that?",
)
def swiglu(x, w_gate, w_up, w_down):
    return (F.sigmoid(x @ w_gate) * (x @ w_up)) @ w_down


@mutant("L9.3", misconception="gate_is_a_relu", hint="How much passes where the gate is −1? silu(−1) is not 0.")
def swiglu(x, w_gate, w_up, w_down):
    return (F.maximum(x @ w_gate, 0.0) * (x @ w_up)) @ w_down


@mutant("L9.3", misconception="gate_is_a_gelu", hint="GELU's gate makes GEGLU. What is silu(1), and what is gelu(1)?")
def swiglu(x, w_gate, w_up, w_down):
    return (F.gelu(x @ w_gate) * (x @ w_up)) @ w_down


@mutant("L9.3", misconception="both_are_bent", hint="Is your result linear in W_up?")
def swiglu(x, w_gate, w_up, w_down):
    up = x @ w_up
    return swiglu_of(x, w_gate, w_up, w_down) if up.shape[0] == 0 else (_silu(x @ w_gate) * _silu(up)) @ w_down


@mutant(
    "L9.3",
    misconception="bent_after_the_product",
    hint="Is silu taken of the gate, or of the product? Change the sign of W_up: what should happen?",
)
def swiglu(x, w_gate, w_up, w_down):
    return _silu((x @ w_gate) * (x @ w_up)) @ w_down


@mutant("L9.3", misconception="nothing_is_bent", hint="A gate at −800 should be shut. What passes yours?")
def swiglu(x, w_gate, w_up, w_down):
    return ((x @ w_gate) * (x @ w_up)) @ w_down


@mutant("L9.3", misconception="gate_is_added", hint="If W_up is 0, what goes up, and what should come out?")
def swiglu(x, w_gate, w_up, w_down):
    return (_silu(x @ w_gate) + x @ w_up) @ w_down


@mutant("L9.3", misconception="nothing_is_gated", hint="Change W_up: does your result change?")
def swiglu(x, w_gate, w_up, w_down):
    return _silu(x @ w_gate) @ w_down


@mutant(
    "L9.3",
    misconception="gates_share_one",
    hint="Does one feature's gate depend on the others? The softmax makes them compete.",
)
def swiglu(x, w_gate, w_up, w_down):
    return (F.softmax(x @ w_gate) * (x @ w_up)) @ w_down


@mutant(
    "L9.3",
    misconception="bent_on_the_way_out",
    hint="After W_down nothing is bent: what comes out may be as negative as it likes.",
)
def swiglu(x, w_gate, w_up, w_down):
    return _silu(((x @ w_gate) * (x @ w_up)) @ w_down)


def _silu(z):
    return z * F.sigmoid(z)


# ----------------------------------------------------------------------------------------------------------- L9.4


@mutant(
    "L9.4",
    misconception="heads_are_tiled",
    hint="With 4 query heads and 2 of keys, which head of keys does query head 1 read: 0, as its neighbour does, or 1?",
)
def grouped_attention(query, key, value):
    (H, T, K), G = query.shape, key.shape[0]
    of = np.arange(H) % G
    scores = query @ F.swapaxes(key[of], -1, -2) / math.sqrt(K)
    weights = F.softmax(F.where(np.tri(T, dtype=bool), scores, -math.inf))
    return weights @ value[of]


@mutant(
    "L9.4",
    misconception="all_read_the_first_head",
    hint="One head for all is multi-query attention. What are the others there for?",
)
def grouped_attention(query, key, value):
    H, T, K = query.shape
    of = np.zeros(H, int)
    scores = query @ F.swapaxes(key[of], -1, -2) / math.sqrt(K)
    weights = F.softmax(F.where(np.tri(T, dtype=bool), scores, -math.inf))
    return weights @ value[of]


@mutant(
    "L9.4",
    misconception="scaled_by_the_model_width",
    hint="A score sums K products, those of one head. By the root of what do you divide?",
)
def grouped_attention(query, key, value):
    (H, T, K), G = query.shape, key.shape[0]
    of = np.arange(H) // (H // G)
    scores = query @ F.swapaxes(key[of], -1, -2) / math.sqrt(H * K)
    weights = F.softmax(F.where(np.tri(T, dtype=bool), scores, -math.inf))
    return weights @ value[of]


@mutant("L9.4", misconception="no_causal_mask", hint="Which positions may position 0 read?")
def grouped_attention(query, key, value):
    (H, T, K), G = query.shape, key.shape[0]
    of = np.arange(H) // (H // G)
    scores = query @ F.swapaxes(key[of], -1, -2) / math.sqrt(K)
    weights = F.softmax(F.where(np.ones((T, T), bool), scores, -math.inf))
    return weights @ value[of]


@mutant("L9.4", misconception="itself_is_hidden", hint="What does position 0 read, if it may not read itself?")
def grouped_attention(query, key, value):
    (H, T, K), G = query.shape, key.shape[0]
    of = np.arange(H) // (H // G)
    scores = query @ F.swapaxes(key[of], -1, -2) / math.sqrt(K)
    weights = F.softmax(F.where(np.tri(T, k=-1, dtype=bool), scores, -math.inf))
    return weights @ value[of]


@mutant(
    "L9.4",
    misconception="values_are_tiled",
    hint="Keys and values of one head belong together. Does query head 1 read both of the same head?",
)
def grouped_attention(query, key, value):
    (H, T, K), G = query.shape, key.shape[0]
    of = np.arange(H) // (H // G)
    scores = query @ F.swapaxes(key[of], -1, -2) / math.sqrt(K)
    weights = F.softmax(F.where(np.tri(T, dtype=bool), scores, -math.inf))
    return weights @ value[np.arange(H) % G]


@mutant(
    "L9.4", misconception="scores_are_not_scaled", hint="Scores are divided by √K, here as everywhere. Which K is that?"
)
def grouped_attention(query, key, value):
    H, T, G = *query.shape[:2], key.shape[0]
    of = np.arange(H) // (H // G)
    scores = query @ F.swapaxes(key[of], -1, -2)
    weights = F.softmax(F.where(np.tri(T, dtype=bool), scores, -math.inf))
    return weights @ value[of]


@mutant(
    "L9.4",
    misconception="queries_are_averaged",
    hint="The keys are shared, the queries are not. Should two query heads of a group read the same?",
)
def grouped_attention(query, key, value):
    (H, T, K), G = query.shape, key.shape[0]
    mean = F.mean(query.reshape(G, H // G, T, K), 1)
    return attention_of(mean, key, value)[np.arange(H) // (H // G)]


@mutant(
    "L9.4", misconception="key_and_value_exchanged", hint="What is matched with the query, and what is handed over?"
)
def grouped_attention(query, key, value):
    return attention_of(query, value, key)


@mutant(
    "L9.4",
    misconception="mask_is_transposed",
    hint="Position t reads s ≤ t. Which triangle of the scores, rows t, columns s, is that?",
)
def grouped_attention(query, key, value):
    (H, T, K), G = query.shape, key.shape[0]
    of = np.arange(H) // (H // G)
    scores = query @ F.swapaxes(key[of], -1, -2) / math.sqrt(K)
    weights = F.softmax(F.where(np.tri(T, dtype=bool).T, scores, -math.inf))
    return weights @ value[of]


@mutant(
    "L9.4",
    misconception="group_size_and_number_exchanged",
    hint="With 6 query heads and 2 of keys, groups have 3 queries. How many have yours?",
)
def grouped_attention(query, key, value):
    (H, T, K), G = query.shape, key.shape[0]
    of = np.minimum(np.arange(H) // G, G - 1)
    scores = query @ F.swapaxes(key[of], -1, -2) / math.sqrt(K)
    weights = F.softmax(F.where(np.tri(T, dtype=bool), scores, -math.inf))
    return weights @ value[of]


@mutant(
    "L9.4",
    misconception="only_one_reader_teaches",
    hint="A shared key is read by a whole group. Whose gradients should it get?",
)
def grouped_attention(query, key, value):
    n = query.shape[0] // key.shape[0]
    heads = []
    for j in range(query.shape[0]):
        k, v = (a[j // n : j // n + 1] for a in (key, value))
        k, v = (k, v) if j % n == 0 else (k.detach(), v.detach())
        heads.append(attention_of(query[j : j + 1], k, v))
    return F.concatenate(heads, 0)


# ----------------------------------------------------------------------------------------------------------- L9.5


@mutant("L9.5", misconception="only_keys_are_kept", hint="To read a past position one needs its key. And what else?")
def cache_bytes(batch, tokens, layers, heads, kv_heads, width, number):
    return bytes_of(batch, tokens, layers, heads, kv_heads, width, number) // 2


@mutant(
    "L9.5", misconception="query_heads_are_kept", hint="How many heads of keys are there: as many as heads of queries?"
)
def cache_bytes(batch, tokens, layers, heads, kv_heads, width, number):
    return bytes_of(batch, tokens, layers, heads, heads, width, number)


@mutant("L9.5", misconception="queries_are_kept_too", hint="Who asks a past position's query again?")
def cache_bytes(batch, tokens, layers, heads, kv_heads, width, number):
    K = width // heads
    return batch * tokens * layers * (heads + 2 * kv_heads) * K * number


@mutant(
    "L9.5",
    misconception="head_width_by_shared_heads",
    hint="A head is D / H wide, however few heads of keys there are. What does sharing save then?",
)
def cache_bytes(batch, tokens, layers, heads, kv_heads, width, number):
    return 2 * batch * tokens * layers * kv_heads * (width // kv_heads) * number


@mutant("L9.5", misconception="bits_for_bytes", hint="How many bytes has a number of 16 bits?")
def cache_bytes(batch, tokens, layers, heads, kv_heads, width, number):
    return 8 * bytes_of(batch, tokens, layers, heads, kv_heads, width, number)


@mutant("L9.5", misconception="one_layer", hint="Does the second layer read the first layer's keys, or its own?")
def cache_bytes(batch, tokens, layers, heads, kv_heads, width, number):
    return bytes_of(batch, tokens, 1, heads, kv_heads, width, number)


@mutant("L9.5", misconception="one_text", hint="Do the texts of a batch share their keys?")
def cache_bytes(batch, tokens, layers, heads, kv_heads, width, number):
    return bytes_of(1, tokens, layers, heads, kv_heads, width, number)


@mutant(
    "L9.5",
    misconception="scores_are_kept",
    hint="What grows with the square of the length is the work of all tokens together. What is kept of each token?",
)
def cache_bytes(batch, tokens, layers, heads, kv_heads, width, number):
    return bytes_of(batch, tokens * tokens, layers, heads, kv_heads, width, number)


@mutant(
    "L9.5",
    misconception="group_size_for_number_of_groups",
    hint="Of 8 query heads that share 2 heads of keys: how many heads are kept, 2 or 4?",
)
def cache_bytes(batch, tokens, layers, heads, kv_heads, width, number):
    return bytes_of(batch, tokens, layers, heads, heads // kv_heads, width, number)


@mutant("L9.5", misconception="a_number_for_each_head", hint="A key is a vector. How many numbers has it?")
def cache_bytes(batch, tokens, layers, heads, kv_heads, width, number):
    return 2 * batch * tokens * layers * kv_heads * number


@mutant(
    "L9.5", misconception="last_token_is_not_kept", hint="After t tokens were read, of how many are the keys there?"
)
def cache_bytes(batch, tokens, layers, heads, kv_heads, width, number):
    return bytes_of(batch, tokens - 1, layers, heads, kv_heads, width, number)


# ----------------------------------------------------------------------------------------------------------- L9.6


@mutant(
    "L9.6",
    misconception="past_and_future_exchanged",
    hint="distance is s − t, with t the reader. Is a negative one before the reader or after it?",
)
def relative_bucket(distance, both_ways, buckets, max_distance):
    return bucket_of(-distance, both_ways, buckets, max_distance)


@mutant(
    "L9.6",
    misconception="future_is_mirrored",
    hint="Who may not read the future has no bucket for it: it counts as 0, not as the past.",
)
def relative_bucket(distance, both_ways, buckets, max_distance):
    return bucket_of(distance if both_ways else -abs(distance), both_ways, buckets, max_distance)


@mutant(
    "L9.6",
    misconception="half_is_never_used",
    hint="Without a future, how many buckets are there for the past: all of them, or half?",
)
def relative_bucket(distance, both_ways, buckets, max_distance):
    if both_ways:
        return bucket_of(distance, True, buckets, max_distance)
    return bucket_of(min(distance, 0), True, buckets, max_distance)


@mutant("L9.6", misconception="zero_counts_as_future", hint="In which half is distance 0, a position's own?")
def relative_bucket(distance, both_ways, buckets, max_distance):
    n = buckets // 2
    return n if both_ways and distance == 0 else bucket_of(distance, both_ways, buckets, max_distance)


@mutant(
    "L9.6",
    misconception="far_is_not_the_last",
    hint="What becomes of distances beyond max_distance: may a bucket be as large as you like?",
)
def relative_bucket(distance, both_ways, buckets, max_distance):
    n = buckets // 2 if both_ways else buckets
    d = abs(distance) if both_ways else max(-distance, 0)
    e = n // 2
    place = d if d < e else e + math.floor(e * math.log(d / e) / math.log(max_distance / e))
    return place + n if both_ways and distance > 0 else place


@mutant(
    "L9.6",
    misconception="far_is_counted_like_near",
    hint="Have the distances 40 and 41 a bucket each? Only the near ones have.",
)
def relative_bucket(distance, both_ways, buckets, max_distance):
    n = buckets // 2 if both_ways else buckets
    d = abs(distance) if both_ways else max(-distance, 0)
    e = n // 2
    place = d if d < e else min(n - 1, d)
    return place + n if both_ways and distance > 0 else place


@mutant(
    "L9.6",
    misconception="rounded_to_the_nearest",
    hint="Where does the second of the wide buckets begin? ⌊ ⌋ rounds down.",
)
def relative_bucket(distance, both_ways, buckets, max_distance):
    n = buckets // 2 if both_ways else buckets
    d = abs(distance) if both_ways else max(-distance, 0)
    e = n // 2
    place = d if d < e else min(n - 1, e + round(e * math.log(d / e) / math.log(max_distance / e)))
    return place + n if both_ways and distance > 0 else place


@mutant(
    "L9.6", misconception="rounded_up", hint="Which bucket has the distance e + 1, next to the first of the wide ones?"
)
def relative_bucket(distance, both_ways, buckets, max_distance):
    n = buckets // 2 if both_ways else buckets
    d = abs(distance) if both_ways else max(-distance, 0)
    e = n // 2
    place = d if d < e else min(n - 1, e + math.ceil(e * math.log(d / e) / math.log(max_distance / e)))
    return place + n if both_ways and distance > 0 else place


@mutant(
    "L9.6", misconception="logarithm_begins_at_one", hint="The wide buckets begin at e. Which logarithm is 0 there?"
)
def relative_bucket(distance, both_ways, buckets, max_distance):
    n = buckets // 2 if both_ways else buckets
    d = abs(distance) if both_ways else max(-distance, 0)
    e = n // 2
    place = d if d < e else min(n - 1, e + math.floor(e * math.log(d) / math.log(max_distance)))
    return place + n if both_ways and distance > 0 else place


@mutant(
    "L9.6", misconception="wide_buckets_begin_at_zero", hint="Is the bucket of e smaller than that of e − 1 in yours?"
)
def relative_bucket(distance, both_ways, buckets, max_distance):
    n = buckets // 2 if both_ways else buckets
    d = abs(distance) if both_ways else max(-distance, 0)
    e = n // 2
    place = d if d < e else min(n - 1, math.floor(e * math.log(d / e) / math.log(max_distance / e)))
    return place + n if both_ways and distance > 0 else place


@mutant(
    "L9.6",
    misconception="far_is_max_distance_over_n",
    hint="At which distance should the last bucket be full: where ln(d / e) is ln(max_distance / e). And in yours?",
)
def relative_bucket(distance, both_ways, buckets, max_distance):
    n = buckets // 2 if both_ways else buckets
    d = abs(distance) if both_ways else max(-distance, 0)
    e = n // 2
    place = d if d < e else min(n - 1, e + math.floor(e * math.log(d / e) / math.log(max_distance / n)))
    return place + n if both_ways and distance > 0 else place


@mutant(
    "L9.6",
    misconception="sides_are_not_halved",
    hint="With 32 buckets and both sides, how many are for the past? Is any number of yours 32 or more?",
)
def relative_bucket(distance, both_ways, buckets, max_distance):
    n = buckets
    d = abs(distance) if both_ways else max(-distance, 0)
    e = n // 2
    place = d if d < e else min(n - 1, e + math.floor(e * math.log(d / e) / math.log(max_distance / e)))
    return place + n if both_ways and distance > 0 else place


@mutant(
    "L9.6",
    misconception="sides_are_not_told_apart",
    hint="Both sides may be read. How would a model know which is which?",
)
def relative_bucket(distance, both_ways, buckets, max_distance):
    return bucket_of(-abs(distance), both_ways, buckets, max_distance)


# ----------------------------------------------------------------------------------------------------------- L9.7


@mutant("L9.7", misconception="no_sentinel_at_the_end", hint="How does a decoder know that the last span is over?")
def corrupt(ids, spans, sentinels):
    shown, target = corrupt_of(ids, spans, sentinels)
    return shown, target[:-1]


@mutant(
    "L9.7",
    misconception="one_sentinel_for_all",
    hint="If two places have the same mark, to which does an answer belong?",
)
def corrupt(ids, spans, sentinels):
    return corrupt_of(ids, spans, [sentinels[0]] * len(sentinels))


@mutant("L9.7", misconception="sentinels_from_the_right", hint="Which span has the first sentinel: the leftmost one?")
def corrupt(ids, spans, sentinels):
    used = len(spans) + 1
    return corrupt_of(ids, spans, sentinels[:used][::-1] + sentinels[used:])


@mutant(
    "L9.7",
    misconception="a_mark_for_each_token",
    hint="BERT marks every token. How long is the input, if a span of three has one mark?",
)
def corrupt(ids, spans, sentinels):
    shown, target, at = [], [], 0
    for sentinel, (start, end) in zip(sentinels, spans, strict=False):
        shown += [*ids[at:start], *[sentinel] * (end - start)]
        target += [sentinel, *ids[start:end]]
        at = end
    return shown + ids[at:], [*target, sentinels[len(spans)]]


@mutant("L9.7", misconception="answers_run_together", hint="Where does one answer end and the next begin?")
def corrupt(ids, spans, sentinels):
    shown, target = corrupt_of(ids, spans, sentinels)
    return shown, [t for t in target if t not in sentinels] + [sentinels[len(spans)]]


@mutant(
    "L9.7",
    misconception="mark_after_its_tokens",
    hint="The decoder writes from left to right. Should it first say which span it answers, or last?",
)
def corrupt(ids, spans, sentinels):
    target = []
    for sentinel, (start, end) in zip(sentinels, spans, strict=False):
        target += [*ids[start:end], sentinel]
    return corrupt_of(ids, spans, sentinels)[0], [*target, sentinels[len(spans)]]


@mutant(
    "L9.7", misconception="end_is_included", hint="Is the token at `end` part of the span? Count the tokens of (2, 4)."
)
def corrupt(ids, spans, sentinels):
    return corrupt_of(ids, [(start, end + 1) for start, end in spans], sentinels)


@mutant("L9.7", misconception="what_follows_is_lost", hint="What stands after the last span?")
def corrupt(ids, spans, sentinels):
    shown, target = corrupt_of(ids, spans, sentinels)
    rest = len(ids) - spans[-1][1]
    return shown[: len(shown) - rest], target


@mutant(
    "L9.7",
    misconception="target_is_the_whole_text",
    hint="What is shown need not be answered again. That is what makes the target short.",
)
def corrupt(ids, spans, sentinels):
    return corrupt_of(ids, spans, sentinels)[0], [sentinels[0], *ids, sentinels[len(spans)]]


@mutant("L9.7", misconception="spans_are_left_in", hint="Can the answer be read in the question?")
def corrupt(ids, spans, sentinels):
    shown, at = [], 0
    for sentinel, (start, end) in zip(sentinels, spans, strict=False):
        shown += [*ids[at:start], sentinel, *ids[start:end]]
        at = end
    return shown + ids[at:], corrupt_of(ids, spans, sentinels)[1]


@mutant(
    "L9.7",
    misconception="first_mark_is_left_out",
    hint="The target says of each span which one it is. Of the first one too?",
)
def corrupt(ids, spans, sentinels):
    shown, target = corrupt_of(ids, spans, sentinels)
    return shown, target[1:]


@mutant(
    "L9.7",
    misconception="last_mark_is_used_again",
    hint="The end has a sentinel of its own. Which one have you put there?",
)
def corrupt(ids, spans, sentinels):
    shown, target = corrupt_of(ids, spans, sentinels)
    return shown, [*target[:-1], sentinels[len(spans) - 1]]


@mutant(
    "L9.7",
    misconception="marks_of_the_target_are_one_ahead",
    hint="Which mark has the first place in the input, and which its answer?",
)
def corrupt(ids, spans, sentinels):
    return corrupt_of(ids, spans, sentinels)[0], corrupt_of(ids, spans, sentinels[1:])[1]
