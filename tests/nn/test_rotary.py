"""Rotary positions: distance alone matters; each scaling by its formula, written out pair by pair; what is refused."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minilm.autograd import Tensor
from minilm.backend import asarray, to_numpy
from minilm.errors import ConfigError
from minilm.nn.rotary import (
    DynamicScaling,
    LinearScaling,
    Llama3Scaling,
    LongRopeScaling,
    Rotary,
    Scaling,
    YarnScaling,
    rope_scaling,
)

pytestmark = pytest.mark.every_device

K, THETA, C = 16, 500.0, 32
PLAIN = np.array([THETA ** (-2 * i / K) for i in range(K // 2)])
SCALINGS = [
    Scaling(),
    LinearScaling(2.5),
    DynamicScaling(2.5, C),
    YarnScaling(4.0, C, beta_fast=2.0, beta_slow=0.5),
    Llama3Scaling(4.0, 1.0, 4.0, C),
    LongRopeScaling(tuple(1 + i / 9 for i in range(8)), tuple(2.0 + i for i in range(8)), C, 4.0),
]


def frequencies(scaling, length=0):
    return to_numpy(scaling.frequencies(THETA, K, scaling.stage(length)))


def turned(x, positions, rotary):
    """x (K,) at each of the positions."""
    rows = Tensor(np.broadcast_to(x, (1, 1, len(positions), len(x))).copy())
    return rotary(np.array(positions), np.float64).turn(rows).numpy()[0, 0]


@pytest.mark.parametrize("scaling", SCALINGS, ids=lambda s: s.kind)
@given(st.integers(0, 90), st.integers(0, 90), st.integers(0, 9))
def test_a_score_depends_on_the_distance_alone(scaling, m, n, shift):
    rotary, (q, k) = Rotary(K, THETA, scaling), np.random.default_rng(0).standard_normal((2, K))
    last = 99  # of a text whose length is the same each time
    at = [(turned(q, [m + s, last], rotary)[0], turned(k, [n + s, last], rotary)[0]) for s in (0, shift)]
    (q0, k0), (q1, k1) = at
    assert abs(q0 @ k0 - q1 @ k1) <= 1e-10
    assert m == n or abs(q0 @ k0 - scaling.amplitude**2 * (q @ k)) > 1e-6


def test_a_position_turns_each_pair_by_its_angle():
    x = np.random.default_rng(0).standard_normal(K)
    found = turned(x, [0, 7], Rotary(K, THETA))
    np.testing.assert_array_equal(found[0], x)
    for i, f in enumerate(PLAIN):
        a, b, angle = x[i], x[i + K // 2], 7 * f
        assert found[1, i] == pytest.approx(a * math.cos(angle) - b * math.sin(angle), rel=1e-12)
        assert found[1, i + K // 2] == pytest.approx(b * math.cos(angle) + a * math.sin(angle), rel=1e-12)


def test_rows_may_stand_at_different_positions():
    rotary = Rotary(K, THETA)
    both = rotary(np.array([[0, 1, 2], [0, 0, 5]]), np.float32)
    assert both.cos.shape == (2, 1, 3, K // 2) and both.cos.dtype == both.sin.dtype == np.float32
    for row, positions in enumerate(([0, 1, 2], [0, 0, 5])):
        alone = rotary(asarray(np.array(positions)), np.float32)
        assert alone.cos.shape == (3, K // 2)
        for found, wanted in zip(both, alone, strict=True):
            np.testing.assert_array_equal(to_numpy(found)[row, 0], to_numpy(wanted))


def test_far_positions_are_exact_in_float32():
    """Position · frequency in float32 would be off by 4e-3 there."""
    cos, sin = Rotary(K, THETA)(np.array([100_003]), np.float32)
    np.testing.assert_allclose(to_numpy(cos)[0], np.cos(100_003 * PLAIN), atol=1e-7)
    np.testing.assert_allclose(to_numpy(sin)[0], np.sin(100_003 * PLAIN), atol=1e-7)


# --------------------------------------------------------------------------------------------------------- scalings


def test_without_scaling_frequencies_are_powers_of_theta():
    np.testing.assert_allclose(frequencies(Scaling()), PLAIN, rtol=1e-14)
    assert Rotary(K).theta == 1e4


def test_linear_scaling_squeezes_positions():
    np.testing.assert_allclose(frequencies(LinearScaling(2.5)), PLAIN / 2.5, rtol=1e-14)


@pytest.mark.parametrize("length", [1, C, C + 1, 3 * C])
def test_dynamic_scaling_grows_theta_with_the_length(length):
    stretch = max(1, 2.5 * length / C - 1.5)
    theta = THETA * stretch ** (K / (K - 2))
    wanted = [theta ** (-2 * i / K) for i in range(K // 2)]
    np.testing.assert_allclose(frequencies(DynamicScaling(2.5, C), length), wanted, rtol=1e-13)
    assert wanted[-1] == pytest.approx(PLAIN[-1] / stretch)  # the slowest pair is squeezed by just that


@pytest.mark.parametrize("truncate", [True, False])
def test_yarn_keeps_fast_pairs_and_squeezes_slow_ones(truncate):
    scaling = YarnScaling(4.0, C, beta_fast=2.0, beta_slow=0.5, truncate=truncate)
    first, last = (K * math.log(C / (2 * math.pi * turns)) / (2 * math.log(THETA)) for turns in (2.0, 0.5))
    if truncate:
        first, last = math.floor(first), math.ceil(last)
    assert 0 < first < last < K // 2 - 1, "the example shows all three parts"
    for i, f in enumerate(frequencies(scaling)):
        share = min(max((i - first) / (last - first), 0), 1)
        assert f == pytest.approx(PLAIN[i] / 4 * share + PLAIN[i] * (1 - share), rel=1e-13)


def test_yarn_sharpens_scores():
    assert YarnScaling(4.0, C).amplitude == pytest.approx(0.1 * math.log(4) + 1)
    assert YarnScaling(1.0, C).amplitude == 1
    assert YarnScaling(4.0, C, attention_factor=0.7).amplitude == 0.7
    two = YarnScaling(4.0, C, mscale=0.7, mscale_all_dim=1.3).amplitude
    assert two == pytest.approx((0.07 * math.log(4) + 1) / (0.13 * math.log(4) + 1))
    assert YarnScaling(4.0, C, mscale=0.7).amplitude == YarnScaling(4.0, C).amplitude
    assert (YarnScaling(2.0, C).beta_fast, YarnScaling(2.0, C).beta_slow, YarnScaling(2.0, C).truncate) == (32, 1, True)


def test_llama3_keeps_short_waves_and_squeezes_long_ones():
    found = frequencies(Llama3Scaling(4.0, 0.5, 4.0, C))
    parts = set()
    for f, wanted in zip(found, PLAIN, strict=True):
        wave = 2 * math.pi / wanted
        if wave < C / 4.0:
            part, scaled = "short", wanted
        elif wave > C / 0.5:
            part, scaled = "long", wanted / 4
        else:
            smooth = (C / wave - 0.5) / (4.0 - 0.5)
            part, scaled = "between", (1 - smooth) * wanted / 4 + smooth * wanted
        parts.add(part)
        assert f == pytest.approx(scaled, rel=1e-13)
    assert len(parts) == 3, "the example shows all three parts"


def test_longrope_divides_by_one_list_or_the_other():
    scaling = SCALINGS[-1]
    for length, factors in ((1, scaling.short_factor), (C, scaling.short_factor), (C + 1, scaling.long_factor)):
        np.testing.assert_allclose(frequencies(scaling, length), PLAIN / np.array(factors), rtol=1e-14)
    assert scaling.amplitude == pytest.approx(math.sqrt(1 + math.log(4) / math.log(C)))
    ones = (1.0,) * 8
    assert LongRopeScaling(ones, ones, C, 1.0).amplitude == 1
    assert LongRopeScaling(ones, ones, C, 4.0, attention_factor=1.5).amplitude == 1.5


@pytest.mark.parametrize("scaling", SCALINGS, ids=lambda s: s.kind)
def test_cos_and_sin_are_those_of_the_scaled_angles(scaling):
    positions = np.array([0, 3, 2 * C])
    cos, sin = Rotary(K, THETA, scaling)(positions, np.float64)
    angles = positions[:, None] * frequencies(scaling, 2 * C + 1)
    np.testing.assert_allclose(to_numpy(cos), scaling.amplitude * np.cos(angles), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(to_numpy(sin), scaling.amplitude * np.sin(angles), rtol=1e-12, atol=1e-14)


def test_the_stage_says_when_frequencies_change():
    at = lambda scaling: [Rotary(K, THETA, scaling).stage(np.arange(n)) for n in (1, C, C + 1, C + 2)]  # noqa: E731
    assert at(DynamicScaling(2.0, C)) == [C, C, C + 1, C + 2]
    assert at(SCALINGS[-1]) == [0, 0, 1, 1]
    assert all(len(set(at(scaling))) == 1 for scaling in SCALINGS if not scaling.varies)


# ------------------------------------------------------------------------------------------------ settings, refusals


@pytest.mark.parametrize("scaling", SCALINGS[1:], ids=lambda s: s.kind)
def test_settings_come_and_go_as_json_has_them(scaling):
    settings = {n: list(v) if isinstance(v, tuple) else v for n, v in scaling.to_dict().items()}
    assert settings["kind"] == scaling.kind
    assert rope_scaling(settings) == scaling


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"kind": "mrope"}, "kind is 'mrope'; it must be one of 'linear', 'dynamic', 'yarn', 'llama3', 'longrope'"),
        ({"factor": 2.0}, "kind is None"),
        ({"kind": "linear"}, "rope_scaling linear: it has the settings factor; missing: factor; unknown: -"),
        ({"kind": "linear", "factor": 2.0, "beta": 1}, "unknown: beta"),
        ({"kind": "linear", "factor": 0}, "rope_scaling linear: factor is 0; it must be a number above 0"),
        ({"kind": "linear", "factor": None}, "factor is None"),
        ({"kind": "linear", "factor": "2"}, "factor is '2'"),
        ({"kind": "dynamic", "factor": 2.0, "original_context": -8}, "original_context is -8"),
        ({"kind": "yarn", "factor": 2.0, "original_context": 8, "mscale": math.nan}, "mscale is nan"),
        (
            {"kind": "llama3", "factor": 2.0, "original_context": 8, "low_freq_factor": 4.0, "high_freq_factor": 4.0},
            "high_freq_factor is 4.0; it must be above low_freq_factor, 4.0",
        ),
        (
            {"kind": "longrope", "factor": 2.0, "original_context": 8, "short_factor": [1.0], "long_factor": [True]},
            "long_factor is True",
        ),
    ],
)
def test_settings_that_cannot_be(settings, said):
    with pytest.raises(ConfigError) as error:
        rope_scaling(settings)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("width", "scaling", "said"),
    [
        (7, None, "head_width is 7; rotary positions turn pairs of features, so it must be even"),
        (2, DynamicScaling(2.0, 8), "rope_scaling dynamic: head_width is 2; it must be at least 4"),
        (4, SCALINGS[-1], "short_factor has 8 numbers; it needs one for each of the 2 pairs"),
        (16, LongRopeScaling((1.0,) * 8, (1.0,) * 7, 8, 2.0), "long_factor has 7 numbers"),
    ],
)
def test_heads_that_cannot_turn(width, scaling, said):
    with pytest.raises(ConfigError, match=said):
        Rotary(width, THETA, scaling)
