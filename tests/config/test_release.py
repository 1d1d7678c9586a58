"""What may be released despite its audit is named measure by measure."""

import pytest
from pydantic import ValidationError

from diffdistill import config


def test_known_measures_are_taken_and_others_refused() -> None:
    assert config.Release().despite == ()
    assert config.Release(despite=config.MEASURES).despite == config.MEASURES
    with pytest.raises(ValidationError, match="unknown measure 'all'; known: identical, copies, nearest_neighbour"):
        config.Release(despite=("copies", "all"))
