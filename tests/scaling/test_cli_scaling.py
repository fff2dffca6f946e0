"""`minilm scaling`: what it prints, for people and for programs, what it writes, what it refuses."""

import json

import matplotlib.image
import numpy as np
import pytest

from minilm.cli import app
from minilm.scaling import plots
from minilm.scaling.published import EPOCH


def minilm(*args, capsys):
    """(exit status, stdout, stderr) of a command line."""
    try:
        status = app.main(["scaling", *map(str, args)])
    except SystemExit as stopped:
        status = stopped.code
    said = capsys.readouterr()
    return status or 0, said.out, said.err


def printed(*args, capsys):
    status, out, err = minilm(*args, capsys=capsys)
    assert (status, err) == (0, ""), err
    return out


class TestLaws:
    def test_what_models_cost(self, capsys):
        lines = printed("laws", capsys=capsys).splitlines()
        assert lines[0].split("\t")[3:6] == ["6 N D, FLOPs", "as printed", "PF-days"]
        rows = {line.split("\t")[0]: line.split("\t")[1:] for line in lines[1:-1]}
        assert rows["gpt3-175b"][:5] == ["174,604,259,328", "3e+11", "3.14e+23", "3.14e+23", "3,638"]
        assert rows["llama-65b"][2:4] == ["5.48e+23", "–"]
        found = json.loads(printed("laws", "--json", capsys=capsys))
        assert len(found) == len(rows) and found[0]["flops"] == 6 * 125_226_240 * 300e9

    def test_at_a_size_and_data(self, capsys):
        lines = printed("laws", "--parameters", "1.5e9", "--tokens", "2.2e10", capsys=capsys).splitlines()
        for line in (
            "Kaplan 2020\tL(N), nats a token\t2.304",
            "Kaplan 2020\tL(N, D), nats a token\t2.313",
            "Besiroglu 2024\tL(N, D), nats a token\t2.471",
            "both\tC = 6 N D, FLOPs\t1.98e+20",
        ):
            assert line in lines
        assert "learning rate" not in printed("laws", "--parameters", "1e11", capsys=capsys)

    def test_at_a_budget(self, capsys):
        found = json.loads(printed("laws", "--compute", "5.76e23", "--json", capsys=capsys))
        assert found["Hoffmann 2022: best N"] == pytest.approx(32.2e9, rel=2e-3)
        assert found["Besiroglu 2024: tokens a parameter"] == pytest.approx(18.4, abs=0.05)
        assert found["Kaplan 2020: C in PF-days"] == pytest.approx(5.76e23 / 8.64e19)

    def test_refuses_what_has_no_logarithm(self, capsys):
        status, out, err = minilm("laws", "--tokens", "-5", capsys=capsys)
        assert (status, out) == (1, "") and err == "minilm: --tokens is -5.0; it must be above 0\n"


class TestFit:
    @pytest.fixture
    def file(self, tmp_path):
        """Three isoFLOP profiles of five sizes, every run with its loss at a tenth and a third of its tokens."""
        rng, rows = np.random.default_rng(0), []
        for C in (1e18, 1e19, 1e20):
            for n in EPOCH.optimum(C)[0] * np.geomspace(0.2, 5, 5):
                for D in C / 6 / n * np.array([0.1, 0.3, 1.0]):
                    loss = EPOCH.loss(n, D) * np.exp(0.001 * rng.standard_normal())
                    rows.append(f"{n},{D},{loss},{C},{EPOCH.E},{C:.0e} {n:.3g}")
        path = tmp_path / "runs.csv"
        path.write_text("\n".join(["parameters,tokens,loss,budget,floor,run", *rows]) + "\n")
        return path

    @pytest.fixture
    def quick(self, monkeypatch):
        """Only one kind of picture is rendered; all of them by the slow test beneath."""
        real = plots._save
        monkeypatch.setattr(plots, "_save", lambda figure, path: real(figure, path) if path.stem == "laws" else path)

    @pytest.mark.slow
    def test_every_kind_of_picture_is_drawn_whole(self, file, tmp_path, capsys):
        printed("fit", file, "--out", tmp_path / "out", "--replicas", 30, capsys=capsys)
        pictures = {path.stem: matplotlib.image.imread(path) for path in (tmp_path / "out").glob("*.png")}
        assert set(pictures) == {"laws", "isoflop", "envelope", "residuals", "constants"}
        assert all(image.shape[0] > 300 and image[..., :3].std() > 0.01 for image in pictures.values())

    def test_prints_constants_and_draws(self, file, tmp_path, quick, capsys):
        out = printed("fit", file, "--out", tmp_path / "out", "--replicas", 30, capsys=capsys)
        assert "\nL(N, D) = A N^-alpha + B D^-beta + E\t1.0000\t15\tA\t" in out and "bootstrap interval (95 %)" in out
        assert "flops: the fitted floor is" in out and "the known one 1.8172" in out
        assert "predicted over measured of the others" in out
        assert "\nisoFLOP parabolas\t" in out and "\nenvelope of the learning curves\t" in out
        assert "not fitted: parameters: too few different runs (1)" in out
        for name in ("laws", "isoflop", "envelope", "residuals", "constants"):
            assert f"picture: {tmp_path / 'out' / name}.png" in out
        assert {path.name for path in (tmp_path / "out").iterdir()} == {"fits.json", "laws.png"}
        image = matplotlib.image.imread(tmp_path / "out" / "laws.png")  # a torn one would not load
        assert image.shape[0] > 300 and image[..., :3].std() > 0.01
        found = json.loads((tmp_path / "out" / "fits.json").read_text())
        law = found["laws"]["L(N, D) = A N^-alpha + B D^-beta + E"]["constants"]
        low, high = law["alpha"]["interval"]
        assert low < law["alpha"]["value"] < high and abs(law["alpha"]["value"] - EPOCH.alpha) < 0.1
        assert found["best"]["isoflop"]["size"]["exponent"] == pytest.approx(EPOCH.growth, abs=0.03)
        assert found["known_floor"] == {"flops": pytest.approx(EPOCH.E)}

    def test_the_seed_decides_every_number(self, tmp_path, capsys):
        x, rng = np.geomspace(1e3, 1e6, 4), np.random.default_rng(0)
        rows = [f"{n},1e6,{2 * n**-0.1 * np.exp(0.01 * rng.standard_normal())}" for n in x]
        (tmp_path / "a.csv").write_text("\n".join(["parameters,tokens,loss", *rows]))
        say = ["fit", tmp_path / "a.csv", "--replicas", 20, "--json", "--out", tmp_path / "out", "--seed"]
        one, same, other = (printed(*say, seed, capsys=capsys) for seed in (1, 1, 2))
        assert one == same != other
        assert json.loads(other) == json.loads((tmp_path / "out" / "fits.json").read_text())
        assert set(json.loads(one)["laws"]) == {"L(N) = A N^-alpha", "L(C) = A C^-alpha"}

    def test_refuses_a_table_without_the_columns(self, tmp_path, capsys):
        (tmp_path / "a.csv").write_text("size,loss\n1,2\n")
        status, out, err = minilm("fit", tmp_path / "a.csv", "--out", tmp_path / "out", capsys=capsys)
        assert (status, out) == (1, "") and "has no column parameters; it has size, loss" in err
        assert not (tmp_path / "out").exists()


class TestPlan:
    def test_prints_a_row_for_each_number_of_machines(self, capsys):
        lines = printed("plan", "--flops", "1e12", "--machines", "1,4", capsys=capsys).splitlines()
        assert lines[0].startswith(
            "gpt2: 124,439,808 parameters, 2.49e+09 tokens; a machine: 1e+12 FLOPs a second on 1"
        )
        rows = [line.split("\t") for line in lines[2:4]]
        assert [row[0] for row in rows] == ["1", "4"] and rows[0][5] == "100.0%"
        assert lines[4].startswith("Assumed: ")

    def test_for_programs(self, capsys):
        out = printed("plan", "--model", "gpt2-xl", "--flops", "1e13", "--machines", "16", "--tokens", "1e9",
                      "--context", 512, "--batch-tokens", 65536, "--gigabits", 25, "--json", capsys=capsys)  # fmt: skip
        (found,) = json.loads(out)
        assert found["steps"] == -(-1_000_000_000 // 65536)
        buffer = 2 * 15 / 16 * 4 * 1_557_611_200
        assert found["all_reduce_seconds"] == pytest.approx(buffer / (25e9 / 8) + 30 * 50e-6)

    def test_needs_what_was_measured(self, tmp_path, capsys):
        status, out, err = minilm("plan", "--speed", tmp_path / "none.json", capsys=capsys)
        assert (status, out) == (1, "") and "measure this machine by make bench" in err and "--flops" in err
        status, _, err = minilm("plan", "--flops", "1e12", "--machines", "0", capsys=capsys)
        assert status == 1 and err == "minilm: machines is 0; it must be above 0\n"
        status, _, err = minilm("plan", "--flops", "1e12", "--machines", "a", capsys=capsys)
        assert status == 1 and "machines" in err
