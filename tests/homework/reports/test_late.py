"""Lateness: what a rule says is what is taken off, at every boundary, and what is unclear is refused."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minilm.errors import ConfigError, DataError
from minilm.homework.late import policy, read_times, without_times

DEADLINE = "2026-03-01T23:59:00-06:00"
AT = datetime(2026, 3, 2, 5, 59, tzinfo=UTC)


def off(rule: str, after: timedelta, earned: float = 8, of: float = 10, **how) -> float:
    found = policy(DEADLINE, rule, **how).late(AT + after, earned, of)
    return 0 if found is None else found[1]


class TestRules:
    @pytest.mark.parametrize(
        ("rule", "hours", "taken"),
        [
            ("10% per day, at most 50%", 0, 0),
            ("10% per day, at most 50%", 0.01, 1),
            ("10% per day, at most 50%", 24, 1),
            ("10% per day, at most 50%", 24.01, 2),
            ("10% per day, at most 50%", 24 * 30, 5),
            ("10% per day", 24 * 30, 8),  # never more than was earned
            ("12.5 % per week", 1, 1.25),
            ("2,5% cada hora, máximo 20%", 3, 0.75),
            ("10% por día, como máximo 50%", 30, 2),
            ("1 point per day, at most 3 points", 24 * 9, 3),
            ("1 punto por día", 25, 2),
            ("50% of earned per day", 1, 4),
            ("50% de lo obtenido por día, hasta 60%", 40, 4.8),
        ],
    )
    def test_take_off(self, rule, hours, taken):
        assert off(rule, timedelta(hours=hours)) == pytest.approx(taken, abs=1e-9)

    def test_a_tenth_is_a_tenth(self):
        """In binary 0.1 · 3 is more than 0.3."""
        assert off("10% per day", timedelta(days=3), earned=1, of=1) == 0.3

    def test_grace_excuses_and_shifts_nothing(self):
        assert off("10% per day", timedelta(minutes=15), grace=15) == 0
        assert off("10% per day", timedelta(minutes=15, seconds=1), grace=15) == 1
        assert off("10% per day", timedelta(hours=24, minutes=1), grace=15) == 2

    def test_a_zone_is_a_zone(self):
        found = policy("2026-03-01T23:59", "10% per day", zone="America/Mexico_City")
        assert found.deadline == AT == policy("2026-03-01 23:59", "10% per day", zone="-06:00").deadline
        assert found.late(datetime(2026, 3, 2, 5, 59, tzinfo=timezone(timedelta(0))), 1, 1) is None

    def test_says_how_late(self):
        rule = policy(DEADLINE, "10% per day")
        assert rule.late(AT + timedelta(days=1, hours=2, seconds=1), 8, 10) == ("1 d 2 h 1 min", 2)
        assert rule.late(AT + timedelta(seconds=1), 8, 10) == ("1 min", 1)

    @given(st.timedeltas(timedelta(0), timedelta(days=99)), st.timedeltas(timedelta(0), timedelta(days=9)),
           st.sampled_from(["10% per day, at most 50%", "1% per hour", "2 points per week"]))  # fmt: skip
    def test_later_is_never_cheaper(self, after, more, rule):
        assert 0 <= off(rule, after) <= off(rule, after + more) <= 8

    @pytest.mark.parametrize(
        "rule",
        [
            "",
            "10 per day",
            "10% a fortnight",
            "10% per day, at most 3 points",
            "1 point of earned per day",
            "-1% a day",
        ],
    )
    def test_an_unclear_rule_is_refused(self, rule):
        with pytest.raises(ConfigError, match="late policy"):
            policy(DEADLINE, rule)

    def test_so_are_other_unclear_things(self):
        with pytest.raises(ConfigError, match="in no time zone"):
            policy("2026-03-01T23:59", "10% per day")
        with pytest.raises(ConfigError, match="deadline 'tomorrow'"):
            policy("tomorrow", "10% per day")
        with pytest.raises(ConfigError, match="no time zone 'Moon/Base'"):
            policy(DEADLINE, "10% per day", zone="Moon/Base")
        with pytest.raises(ConfigError, match="the grace is -1"):
            policy(DEADLINE, "10% per day", grace=-1)


class TestTimes:
    def read(self, tmp_path, text: str, zone: str | None = None):
        (tmp_path / "times.csv").write_text(text, "utf-8")
        return read_times(tmp_path / "times.csv", zone)

    @pytest.mark.parametrize(
        "text",
        [
            "ana,2026-03-01T23:59:00-06:00\n",
            "\ufeffstudent;time\r\nana;2026-03-02T05:59Z\r\n\r\n",
            "nombre\tHora\tEstudiante\nAna\t2026-03-01 23:59\tana\n",
            "student,time\nana,2026-03-01T20:00-06:00\nana,2026-03-01T23:59-06:00\nana,2026-02-01T23:59-06:00\n",
        ],
    )
    def test_are_read(self, tmp_path, text):
        assert self.read(tmp_path, text, "America/Mexico_City") == {"ana": AT}

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("student,time\nana,yesterday\n", "line 2: 'yesterday' is no time"),
            ("ana,2026-03-01T23:59\n", "line 1: '2026-03-01T23:59' is in no time zone"),
            ("ana,2026-03-01T23:59Z\nluis\n", "line 2: wanted are a student and a time"),
            ("ana,2026-03-01T23:59Z\n ,2026-03-01T23:59Z\n", "line 2: wanted are"),
        ],
    )
    def test_what_is_none_is_named(self, tmp_path, text, said):
        with pytest.raises(DataError, match=said):
            self.read(tmp_path, text)

    def test_an_empty_table_has_nobody(self, tmp_path):
        assert self.read(tmp_path, "") == {}
        assert without_times({"a": AT}, ["a", "b"]) == ["b"]
