"""`minilm blocks`: how the models differ that are made of the same block."""

import json

import typer

from minilm.i18n import tr


def blocks(
    names: list[str] | None = typer.Argument(
        None, help=tr("Published models that are built here; if not given, one of each family.")
    ),
    as_json: bool = typer.Option(False, "--json", help=tr("Print the table as JSON, for programs.")),
) -> None:
    from minilm.cli.reports import table
    from minilm.models.blocks import COMPARED, tiny, trait_names, traits

    found = {name: traits(tiny(name)) for name in names or COMPARED}
    if as_json:
        return typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
    rows = [(said, *(model[trait] for model in found.values())) for trait, said in trait_names().items()]
    table("", ["", *found], rows, words=range(1 + len(found)))
    typer.echo(tr("Read off tiny models of these kinds; the sizes: {command}", command="minilm sizes NAME"))
