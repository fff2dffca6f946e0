"""`minilm probe`: what a GPT that was trained on Mundito knows without having been asked in training."""

from pathlib import Path

import typer

from minilm.errors import ConfigError
from minilm.i18n import tr


def probe(
    source: Path = typer.Argument(help=tr("A run folder, or one of its checkpoints."), metavar="RUN_OR_CHECKPOINT"),
    count: int = typer.Option(500, min=10, help=tr("How many questions of each kind.")),
    seed: int = typer.Option(0, min=0, help=tr("Of the questions.")),
) -> None:
    from minilm.cli.reports import show_probes
    from minilm.mundito import Mundito, MunditoConfig
    from minilm.mundito.probes import probe as ask
    from minilm.pretraining import load_trained

    trained = load_trained(source, kind="gpt")
    world = trained.data.get("world")
    if world is None:
        raise ConfigError(
            tr("{folder} was not trained on Mundito, whose questions these are: give a run of `{command}`",
               folder=source, command="minilm pretrain gpt --data mundito")
        )  # fmt: skip
    show_probes(ask(trained.model, Mundito(MunditoConfig(**world)), count, seed))
