"""The options that every pretraining has."""

import typer

from minilm.i18n import tr

DATA = typer.Option("pydocs", help=tr("A built-in text's name, mundito, a text file, or a folder of text files."))
CONFIG = typer.Option(
    None, help=tr("The recipe to begin from; mundito for Mundito, else small, if not given. A wrong name lists them.")
)
OUT = typer.Option(None, help=tr("The run folder to make; runs/NAME if not given."))
RESUME = typer.Option(None, help=tr("Go on with the training of this run folder."))
CHECKPOINT = typer.Option(None, help=tr("With --resume: from this checkpoint, e.g. step-00000400."))
THREADS = typer.Option(0, min=0, help=tr("Threads over the batch; 0: one a physical core."))
RECOMPUTE = typer.Option(
    False,
    "--recompute",
    help=tr("Save memory: keep only each block's input and compute the rest again for the backward; same bits."),
)
SEED = typer.Option(0, min=0, help=tr("What all randomness derives from."))
LANGUAGE = typer.Option(None, help=tr("mundito: its language, es or en."))
WORLD = typer.Option(None, min=0, help=tr("mundito: which world, by the seed that decides its facts."))
FACTS = typer.Option(None, "--facts", help=tr("mundito: documents of one fact each."))
TAIL = typer.Option(None, help=tr("mundito: the exponent of the facts' tail."))
VOCABULARY = typer.Option(None, help=tr("Entries of a vocabulary that is learned."))
WIDTH = typer.Option(None, help=tr("D, the width of the model."))
LAYERS = typer.Option(None, help=tr("L, the number of blocks."))
HEADS = typer.Option(None, help=tr("H, the attention heads; they divide the width."))
CONTEXT = typer.Option(None, help=tr("T, how many tokens the model sees at once."))
DROPOUT = typer.Option(None, help=tr("The share of activations dropped in training."))
BATCH = typer.Option(None, help=tr("B, sequences an update."))
STEPS = typer.Option(None, help=tr("Number of updates."))
RATE = typer.Option(None, help=tr("The highest learning rate."))
WARMUP = typer.Option(None, help=tr("Steps in which the rate rises to it."))
DECAY = typer.Option(None, help=tr("Weight decay, on matrices only."))
EVALUATE_EVERY = typer.Option(None, help=tr("Steps between two evaluations (and checkpoints)."))
BACKEND = typer.Option("numpy", help=tr("What computes: numpy, or cupy on an NVIDIA GPU."))
MPI = typer.Option(
    False,
    "--mpi",
    help=tr("One of several processes that train together: mpirun -n 4 minilm pretrain … --mpi; each batch is shared."),
)
