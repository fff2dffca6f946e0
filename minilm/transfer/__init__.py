"""Transfer: what a pretrained model brings to a task with few labels.

In the order in which to read: examples.py (what a task is), inputs.py (the rows that models read), pretrained.py and
models.py (a body taken over, a head put on), objective.py and finetuning.py (learning), predicting.py and metrics.py
(how good it is), features.py (without learning the body), zero_shot.py (without learning at all); experiment.py and
comparisons.py measure all that; tables.py, texts.py, workflow.py and folder.py do it on files.
"""

from minilm.transfer.examples import Example, Task
from minilm.transfer.experiment import Arm, Data, Experiment, Plan
from minilm.transfer.features import FeatureClassifier
from minilm.transfer.finetuning import FineTuning, choose_rate, fine_tune
from minilm.transfer.models import freeze, make_model, reader_of
from minilm.transfer.predicting import answers, evaluate
from minilm.transfer.pretrained import Pretrained, take_over

__all__ = [
    "Arm",
    "Data",
    "Example",
    "Experiment",
    "FeatureClassifier",
    "FineTuning",
    "Plan",
    "Pretrained",
    "Task",
    "answers",
    "choose_rate",
    "evaluate",
    "fine_tune",
    "freeze",
    "make_model",
    "reader_of",
    "take_over",
]
