import os

import pytest

from minilm import cores


def test_cores_are_physical_allowed_and_within_the_quota(tmp_path, monkeypatch):
    for cpu in range(8):  # hyperthreads 0-4, 1-5, 2-6, 3-7 share a core
        topology = tmp_path / f"cpu{cpu}" / "topology"
        topology.mkdir(parents=True)
        (topology / "thread_siblings_list").write_text(f"{cpu % 4},{cpu % 4 + 4}\n")
    real = cores._siblings
    monkeypatch.setattr(cores, "_siblings", lambda cpu: real(cpu, tmp_path))
    monkeypatch.setattr(cores, "_quota", lambda: float("inf"))
    for allowed, count in ((range(8), 4), ({0, 4}, 1), ({0, 1, 5}, 2), ({0, 9}, 2)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, a=allowed: set(a), raising=False)
        assert cores.available_cores() == count
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    for quota, count in ((2.0, 2), (1.5, 2), (0.5, 1), (16.0, 4)):
        monkeypatch.setattr(cores, "_quota", lambda q=quota: q)
        assert cores.available_cores() == count


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, float("inf")),
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, float("inf")),
        ({"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2.0),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, float("inf")),
        ({"cpu.max": "nonsense"}, float("inf")),
    ],
)
def test_quota_of_the_control_group(tmp_path, files, quota):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert cores._quota(tmp_path) == quota
