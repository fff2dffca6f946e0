"""A pretraining from two names: a recipe says how, a source on what, and a run folder keeps what comes of it.

    pretraining = Pretraining.start("pydocs", RECIPES["tour"], "runs/tour")
    pretraining.trainer().train()

Any kind of model goes with any source: a GPT or a BERT (recipes.py), on a text or on Mundito (sources.py); data.py has
what each reads of each. `Pretraining.open(folder)` builds the same again from the folder, to resume the training or to
use the model; `load_trained(folder)` the model alone.
"""

from minilm.pretraining.pretraining import Pretraining, free_folder
from minilm.pretraining.recipes import BERT_RECIPES, RECIPES, RECIPES_OF, BertRecipe, Recipe
from minilm.pretraining.sources import MunditoSource, Source, TextSource
from minilm.pretraining.trained import Trained, load_trained

__all__ = [
    "BERT_RECIPES",
    "RECIPES",
    "RECIPES_OF",
    "BertRecipe",
    "MunditoSource",
    "Pretraining",
    "Recipe",
    "Source",
    "TextSource",
    "Trained",
    "free_folder",
    "load_trained",
]
