"""How well scores tell members from others: closed forms, and what the number of others allows."""

import numpy as np
from scipy import stats

from diffdistill.metrics import membership


def test_the_area_and_the_rate_at_one_per_cent() -> None:
    told = membership.membership(np.arange(400.0), np.arange(400.0, 900.0), seed=0)
    assert (told.auc, told.tpr) == (1, 1) and told.tpr_low > 0.98 and told.p_value < 0.001
    nothing = membership.membership(np.arange(100.0), np.arange(100.0), seed=0)
    assert nothing.auc == 0.5 and nothing.tpr == 0.01 and nothing.p_value > 0.4
    # N(0, 1) against N(1, 1): area Phi(1 / sqrt 2), rate Phi(1 - 2.3263)
    quantiles = stats.norm.ppf((np.arange(2000) + 0.5) / 2000)
    gaussian = membership.membership(quantiles, quantiles + 1, seed=0)
    assert abs(gaussian.auc - 0.7602) < 0.001 and abs(gaussian.tpr - 0.0923) < 0.002
    assert gaussian.auc_low < 0.7602 < gaussian.auc_high and gaussian.tpr_low < 0.0923 < gaussian.tpr_high


def test_the_interval_of_the_rate_holds_the_truth_however_few_others_there_are() -> None:
    random = np.random.default_rng(0)
    for others in (40, 100, 1000):
        missed = 0
        for _ in range(200):
            _, low, high = membership._found(random.normal(size=500), random.normal(size=others))
            missed += not low <= membership.FALSE_ALARMS <= high
        assert missed <= 10, others  # 5 %


def test_few_others_still_show_that_all_members_are_found() -> None:
    _, low, high = membership._found(np.arange(100.0), np.arange(100.0, 200.0))
    assert low > 0.1 and high == 1
    assert membership._found(np.arange(100.0), np.arange(100.0, 120.0))[1] < 0.1  # twenty are too few


def test_a_group_has_one_score() -> None:
    scores = np.array([1.0, 3.0, 5.0])
    assert membership.by_group(scores, np.array([7, 7, 2])).tolist() == [5, 2]
    assert membership.by_group(scores, None).tolist() == [1, 3, 5]
