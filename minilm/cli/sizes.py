"""`minilm sizes`: the published models and their exact counts; of one of them also its parts, memory and FLOPs."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import typer

from minilm.i18n import tr


def sizes(
    name: str | None = typer.Argument(None, help=tr("A published model, e.g. gpt2-xl; without it all are listed.")),
    batch: int = typer.Option(1, min=1, help=tr("How many texts at once, for the memory.")),
    context: int | None = typer.Option(
        None, min=1, help=tr("How many tokens each text has; if not given, as many as the model reads.")
    ),
    as_json: bool = typer.Option(False, "--json", help=tr("Print exact numbers as JSON, for programs.")),
) -> None:
    from minilm.cli.reports import table

    if name is None:
        found = listed()
        if as_json:
            return typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
        columns = [tr("name"), tr("parameters"), tr("as printed"), tr("source")]
        table("", columns, [_row(model) for model in found])
        return typer.echo(tr("parts, memory and FLOPs of one of them: {command}", command="minilm sizes gpt2-xl"))
    costs = costs_of(name, batch, context)
    if as_json:
        return typer.echo(json.dumps(costs, indent=2, ensure_ascii=False))
    show(costs)


def listed() -> list[dict[str, Any]]:
    """Every published model with its exact count."""
    from minilm.models.sizes import ALIASES, PUBLISHED, count_parameters

    aliases = {name: alias for alias, name in ALIASES.items()}
    return [
        {
            "name": name,
            "alias": aliases.get(name),
            "parameters": count_parameters(model.shape),
            "said": model.said,
            "source": model.source,
        }
        for name, model in PUBLISHED.items()
    ]


def costs_of(name: str, batch: int, context: int | None) -> dict[str, Any]:
    """All that is known of a published model, as JSON has it; bytes and FLOPs are whole numbers."""
    from minilm.models import sizes as s
    from minilm.models.sizes.notes import note

    name = s.resolve(name)
    model = s.published(name)
    shape = model.shape
    T = s.checked_context(shape, context)
    by_parameters, kaplan = s.flops_by_parameters(shape), s.flops_by_kaplan(shape, T)
    return {
        "name": name,
        "source": model.source,
        "said": model.said,
        "note": note(name),
        "settings": asdict(shape),
        "parameters": s.count_parameters(shape),
        "parameters_by_part": s.parameters_by_part(shape),
        "non_embedding_parameters": s.non_embedding_parameters(shape),
        "batch": batch,
        "context": T,
        "memory": {
            precision: {
                "training": s.training_memory(shape, precision),
                "activations": s.activation_memory(shape, precision, batch, T),
                "serving": s.serving_memory(shape, precision, batch, T),
                "kv_cache_per_token": s.kv_cache_per_token(shape, precision),
            }
            for precision in s.BYTES
        },
        "flops_per_token": {"by_parameters": by_parameters._asdict(), "kaplan": kaplan._asdict()},
    }


# --------------------------------------------------------------------------------------------------- for people


def _row(model: dict[str, Any]) -> tuple[str, str, str, str]:
    name = f"{model['name']} ({model['alias']})" if model["alias"] else model["name"]
    return name, f"{model['parameters']:,}", model["said"], model["source"]


def show(costs: dict[str, Any]) -> None:
    """Tables of what `costs_of` found."""
    from minilm.cli.reports import paragraph

    typer.echo(
        tr("{name} ({source}): {n:,} parameters", name=costs["name"], source=costs["source"], n=costs["parameters"])
        + (tr("; its paper says {said}", said=costs["said"]) if costs["said"] else "")
    )
    paragraph(_settings(costs["settings"]))
    if costs["note"]:
        paragraph(tr("note: {note}", note=costs["note"]))
    _show_parts(costs)
    _show_memory(costs)
    _show_flops(costs)


def _settings(s: dict[str, Any]) -> str:
    """Its settings in one line."""
    layers = f"{s['layers']} + {s['decoder_layers']}" if s["decoder_layers"] else str(s["layers"])
    return tr(
        "vocabulary {vocab:,}, context {context:,}, width {width:,}, layers {layers}, heads {heads} of {head_width} "
        "(keys and values {kv_heads}), MLP {mlp_width:,}",
        vocab=s["vocab_size"],
        context=s["context"],
        width=s["width"],
        layers=layers,
        heads=s["heads"],
        head_width=s["head_width"],
        kv_heads=s["kv_heads"],
        mlp_width=s["mlp_width"],
    )


def _show_parts(costs: dict[str, Any]) -> None:
    from minilm.cli.reports import table

    total, names = costs["parameters"], _part_names(costs["settings"]["tied"])
    parts = [(names[part], n) for part, n in costs["parameters_by_part"].items() if n or part == "language_model"]
    rows = [(name, f"{n:,}", f"{n / total:.1%}") for name, n in [*parts, (tr("all"), total)]]
    table("", [tr("part"), tr("parameters"), tr("share")], rows, bold_last=True)


def _part_names(tied: bool) -> dict[str, str]:
    head = tr("head (the token embedding again)") if tied else tr("head")
    return {
        "token_embedding": tr("token embedding"),
        "position_embedding": tr("positions"),
        "segment_embedding": tr("segments"),
        "embedding_norm": tr("norm of the embeddings"),
        "embedding_projection": tr("embeddings to the width"),
        "attention": tr("attention"),
        "cross_attention": tr("attention to the encoder"),
        "mlp": "MLP",
        "norms": tr("norms of the blocks"),
        "final_norm": tr("final norm"),
        "language_model": head,
        "pooler": tr("pooler"),
        "masked_lm": tr("head that fills masks"),
        "next_sentence": tr("head for the next sentence"),
        "discriminator": tr("head that tells replaced tokens"),
        "classifier": tr("classifier"),
    }


def _show_memory(costs: dict[str, Any]) -> None:
    from minilm.cli.reports import paragraph, table

    memory = costs["memory"]
    names = {
        "weights": tr("weights"),
        "gradients": tr("gradients"),
        "master_weights": tr("weights in float32"),
        "adam_moments": tr("Adam's two moments"),
    }
    rows = [(name, *_sizes(m["training"].get(part, 0) for m in memory.values())) for part, name in names.items()]
    rows.append((tr("to train, but for activations"), *_sizes(sum(m["training"].values()) for m in memory.values())))
    rows.append((tr("activations of the blocks"), *_sizes(m["activations"] for m in memory.values())))
    rows.append((tr("to serve: weights"), *_sizes(m["serving"]["weights"] for m in memory.values())))
    rows.append((tr("to serve: keys and values"), *_sizes(m["serving"]["kv_cache"] for m in memory.values())))
    rows.append((tr("keys and values of one token"), *_sizes(m["kv_cache_per_token"] for m in memory.values())))
    title = tr("memory for {batch} × {context:,} tokens", batch=costs["batch"], context=costs["context"])
    table(title, ["", *memory], rows)
    paragraph(
        tr(
            "Activations: what the blocks keep for the backward: what norms, attention and MLP read, queries, keys and "
            "values, hidden features. Not in it: embeddings, logits, attention's weights, dropout's masks."
        )
    )


def _show_flops(costs: dict[str, Any]) -> None:
    from minilm.cli.reports import table
    from minilm.seeing.table import count

    flops, paired = costs["flops_per_token"], costs["settings"]["decoder_layers"]
    names = {
        "by_parameters": tr("2 N, 6 N; N all {n:,}", n=costs["parameters"]),
        "kaplan": tr(
            "Kaplan's 2 N + attention, × 3; N {n:,} in the blocks' matrices", n=costs["non_embedding_parameters"]
        ),
    }
    rows = [(names[way], *map(count, flops[way].values())) for way in names]
    title = tr("FLOPs for one token of the encoder and one of the decoder") if paired else tr("FLOPs for each token")
    table(title, ["", tr("forward"), tr("training")], rows)


def _sizes(numbers: Iterable[int]) -> list[str]:
    from minilm.seeing.table import size

    return [size(n) if n else "–" for n in numbers]
