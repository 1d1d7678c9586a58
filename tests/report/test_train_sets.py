from typing import get_args

from diffdistill.config.evaluation import TrainSet
from diffdistill.report.train_sets import TRAIN_SETS


def test_every_train_set_of_the_config_has_its_wording() -> None:
    assert list(TRAIN_SETS) == list(get_args(TrainSet))
    assert len({about.label for about in TRAIN_SETS.values()}) == len(TRAIN_SETS)
