"""Tables, figures, page and card of experiments: what their files say, and nothing else."""

import os

_backend = os.environ.pop("MPLBACKEND", None)  # a notebook's backend may not exist here, and no window is opened
import matplotlib  # noqa: E402, F401

if _backend is not None:
    os.environ["MPLBACKEND"] = _backend
