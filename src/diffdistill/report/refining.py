"""What the account of refining says to readers."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from diffdistill.report import columns

ENDED = {"iterations": "all iterations were done", "budget": "the budget was spent", "signal": "it was stopped"}

STARTS = {"real": "real images of the train split", "generated": "generated images", "noise": "images of noise"}


def sentences(account: Mapping[str, Any]) -> Iterator[str]:
    """From what and how the set was refined, for how long, and which of the sets on the way it is."""
    method = str(account["method"]).replace("_", " ")
    yield f"Refining began with {STARTS.get(account['start'], account['start'])} and changed them by {method}."
    if account["start"] == "real":
        yield "The set is derived from real images and may show parts of them."
    ended = ENDED.get(account["ended_by"], account["ended_by"])
    yield (
        f"{columns.count(account['iterations'])} iterations took {columns.duration(account['seconds'])}, validation "
        f"included; they ended because {ended}."
    )
    before, best = account["validation"][0], max(row["accuracy"] for row in account["validation"])
    yield (
        f"The result is the set after iteration {columns.count(account['best_iteration'])}, the best on validation: "
        f"{columns.share(best)}, where the start had {columns.share(before['accuracy'])}."
    )


def validations(account: Mapping[str, Any]) -> pd.DataFrame:
    """A row per validation: iteration, accuracy of short trainings on the set so far, seconds of refining."""
    rows = [[row["iteration"], row["accuracy"], row["seconds"]] for row in account["validation"]]
    return pd.DataFrame(rows, columns=["iteration", "validation_accuracy", "seconds"])
