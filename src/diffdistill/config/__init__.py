"""The experiments of config.yaml as types: unknown keys refused, numbers understood, no torch imported.

Each block of an experiment is what one stage reads; the stage gets it as JSON and parses it with the same class.
"""

from diffdistill.config.evaluation import (
    INCEPTION_CHECKSUM,
    INCEPTION_URL,
    Audit,
    Choose,
    Evaluate,
    Fid,
    Measurement,
    Protocol,
)
from diffdistill.config.experiment import MOST_MEASUREMENTS, Experiment
from diffdistill.config.fields import Block
from diffdistill.config.load import Config, as_json, parse, read, summary
from diffdistill.config.model import Model, Prediction, UNetModel, UViTModel, parse_model
from diffdistill.config.sampling import Export, Guidance, Sample, SamplingSetup, Select, Solver
from diffdistill.config.source import Source
from diffdistill.config.study import TRAIN_SETS, Run, Study
from diffdistill.config.training import Recipe, Start, Train, Tune, checkpoint_name, ema_suffix, split_checkpoint_name

__all__ = [
    "INCEPTION_CHECKSUM",
    "INCEPTION_URL",
    "MOST_MEASUREMENTS",
    "TRAIN_SETS",
    "Audit",
    "Block",
    "Choose",
    "Config",
    "Evaluate",
    "Experiment",
    "Export",
    "Fid",
    "Guidance",
    "Measurement",
    "Model",
    "Prediction",
    "Protocol",
    "Recipe",
    "Run",
    "Sample",
    "SamplingSetup",
    "Select",
    "Solver",
    "Source",
    "Start",
    "Study",
    "Train",
    "Tune",
    "UNetModel",
    "UViTModel",
    "as_json",
    "checkpoint_name",
    "ema_suffix",
    "parse",
    "parse_model",
    "read",
    "split_checkpoint_name",
    "summary",
]
