"""The experiments of config.yaml as types: unknown keys are refused; no torch is imported.

A block of an experiment travels as it is: the rule writes it as JSON, the stage parses it with the same class, and the
library takes it.
"""

from diffdistill.config.evaluation import Audit, Classifier, Evaluate, Protocol, TrainSet
from diffdistill.config.experiment import Experiment
from diffdistill.config.export import Export
from diffdistill.config.fid import INCEPTION_CHECKSUM, INCEPTION_URL, Checkpoint, Fid, Measurement
from diffdistill.config.fields import Block, as_json, read
from diffdistill.config.generator import Generator, SamplesGenerator, TrainGenerator
from diffdistill.config.load import Config, parse, refuse_old_results, with_nulls
from diffdistill.config.model import Model, ModelBlock, Prediction, UNetModel, UViTModel, parse_model
from diffdistill.config.refine import Refine
from diffdistill.config.release import MEASURES, Release
from diffdistill.config.sampling import Guidance, Sample, SamplingSetup, Select, Solver
from diffdistill.config.source import Source
from diffdistill.config.study import Run, Study
from diffdistill.config.training import (
    Ema,
    OptimiserSettings,
    Recipe,
    Start,
    Train,
    Tune,
    checkpoint_name,
    split_checkpoint_name,
)

__all__ = [
    "INCEPTION_CHECKSUM",
    "INCEPTION_URL",
    "MEASURES",
    "Audit",
    "Block",
    "Checkpoint",
    "Classifier",
    "Config",
    "Ema",
    "Evaluate",
    "Experiment",
    "Export",
    "Fid",
    "Generator",
    "Guidance",
    "Measurement",
    "Model",
    "ModelBlock",
    "OptimiserSettings",
    "Prediction",
    "Protocol",
    "Recipe",
    "Refine",
    "Release",
    "Run",
    "Sample",
    "SamplesGenerator",
    "SamplingSetup",
    "Select",
    "Solver",
    "Source",
    "Start",
    "Study",
    "Train",
    "TrainGenerator",
    "TrainSet",
    "Tune",
    "UNetModel",
    "UViTModel",
    "as_json",
    "checkpoint_name",
    "parse",
    "parse_model",
    "read",
    "refuse_old_results",
    "split_checkpoint_name",
    "with_nulls",
]
