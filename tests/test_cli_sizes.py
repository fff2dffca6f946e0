"""`minilm sizes` and `minilm blocks`: what they print, for people and for programs, and what they refuse."""

import json

import pytest

from minilm.cli import app
from minilm.models.blocks import COMPARED
from minilm.models.sizes import PUBLISHED, count_parameters


def minilm(*args, capsys):
    """(exit status, stdout, stderr) of a command line."""
    try:
        status = app.main([str(a) for a in args])
    except SystemExit as stopped:
        status = stopped.code
    said = capsys.readouterr()
    return status, said.out, said.err


def printed(*args, capsys):
    status, out, err = minilm(*args, capsys=capsys)
    assert (status or 0, err) == (0, "")
    return out


class TestSizes:
    def test_lists_all_with_their_counts(self, capsys):
        lines = printed("sizes", capsys=capsys).splitlines()
        assert lines[0].split("\t") == ["name", "parameters", "as printed", "source"]
        assert "gpt2-xl\t1,557,611,200\t1542M\tRadford et al. 2019" in lines
        assert "bert-l2-h128 (bert-tiny)\t4,433,468\t4.4M\tTurc et al. 2019" in lines
        assert len(lines) == len(PUBLISHED) + 2

    def test_lists_all_for_programs(self, capsys):
        found = json.loads(printed("sizes", "--json", capsys=capsys))
        assert {m["name"]: m["parameters"] for m in found} == {
            name: count_parameters(model.shape) for name, model in PUBLISHED.items()
        }

    def test_of_one(self, capsys):
        lines = printed("sizes", "gpt2-xl", capsys=capsys).splitlines()
        assert lines[0] == "gpt2-xl (Radford et al. 2019): 1,557,611,200 parameters; its paper says 1542M"
        assert lines[1].endswith("width 1,600, layers 48, heads 25 of 64 (keys and values 25), MLP 6,400")
        assert "GPT-1's vocabulary of 40,478" in lines[2]
        for line in (
            "MLP\t983,424,000\t63.1%",
            "head (the token embedding again)\t0\t0.0%",
            "all\t1,557,611,200\t100.0%",
            "memory for 1 × 1,024 tokens",
            "to train, but for activations\t23.2 GiB\t23.2 GiB",
            "weights in float32\t–\t5.80 GiB",
            "to serve: keys and values\t600 MiB\t300 MiB",
            "keys and values of one token\t600 KiB\t300 KiB",
            "2 N, 6 N; N all 1,557,611,200\t3.12 G\t9.35 G",
            "Kaplan's 2 N + attention, × 3; N 1,474,560,000 in the blocks' matrices\t3.11 G\t9.32 G",
        ):
            assert line in lines

    def test_batch_and_context(self, capsys):
        out = printed("sizes", "gpt2", "--batch", 8, "--context", 128, capsys=capsys)
        assert "memory for 8 × 128 tokens" in out
        assert "to serve: keys and values\t72.0 MiB\t36.0 MiB" in out

    def test_for_programs(self, capsys):
        found = json.loads(printed("sizes", "BERT-Tiny", "--batch", 2, "--context", 10, "--json", capsys=capsys))
        assert (found["name"], found["batch"], found["context"]) == ("bert-l2-h128", 2, 10)
        assert sum(found["parameters_by_part"].values()) == found["parameters"] == 4_433_468
        assert found["memory"]["bf16"]["training"]["adam_moments"] == 8 * 4_433_468
        assert found["memory"]["float32"]["kv_cache_per_token"] == 0
        assert found["flops_per_token"]["by_parameters"] == {"forward": 2 * 4_433_468, "training": 6 * 4_433_468}

    @pytest.mark.parametrize("name", PUBLISHED)
    def test_prints_parts_that_add_up(self, name, capsys):
        lines = printed("sizes", name, capsys=capsys).splitlines()
        first, last = (
            next(i for i, line in enumerate(lines) if line.startswith(f"{word}\t")) for word in ("part", "all")
        )
        *parts, total = (int(line.split("\t")[1].replace(",", "")) for line in lines[first + 1 : last + 1])
        assert sum(parts) == total == count_parameters(PUBLISHED[name].shape)

    def test_an_unknown_one(self, capsys):
        assert minilm("sizes", "smollm-135m", capsys=capsys) == (
            1,
            "",
            "minilm: there is no published model 'smollm-135m'; the nearest are smollm2-135m, smollm2-360m, "
            "smollm2-1.7b\n",
        )

    def test_a_context_that_it_does_not_read(self, capsys):
        status, out, err = minilm("sizes", "gpt2", "--context", 1025, capsys=capsys)
        assert (status, out) == (1, "") and err.startswith("minilm: context is 1025; this model reads 1 to 1024")


class TestBlocks:
    def test_compares_one_of_each_family(self, capsys):
        lines = printed("blocks", capsys=capsys).splitlines()
        assert lines[0].split("\t") == ["", *COMPARED]
        rows = {line.split("\t")[0]: line.split("\t")[1:] for line in lines[1:]}
        assert rows["a position reads"][:4] == ["itself and what stands before"] * 2 + [
            "everything",
            "itself and what stands before",
        ]
        assert rows["head"][4] == "the token embedding, divided by √D"

    def test_compares_those_named_for_programs(self, capsys):
        found = json.loads(printed("blocks", "llama2-7b", "llama2-70b", "--json", capsys=capsys))
        assert [model["heads"] for model in found.values()] == ["of each head its own", "shared by 8 heads of queries"]

    def test_one_that_is_not_built(self, capsys):
        status, out, err = minilm("blocks", "albert-base", capsys=capsys)
        assert (status, out) == (1, "") and err.startswith("minilm: albert-base: no model of its kind is built here")
