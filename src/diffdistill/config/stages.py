"""What each stage is asked to do besides its files: one class per stage, built by its rule and parsed by the stage."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from diffdistill.config import checks, evaluation, fid, generator, model, refine, sampling, source, study, training
from diffdistill.config.fields import Block, Checksum, Name, NonNegativeInt, PositiveInt, UnitInterval
from diffdistill.config.release import Release
from diffdistill.config.reported import ComparedSet as ComparedSet
from diffdistill.config.reported import ExperimentFiles as ExperimentFiles
from diffdistill.config.reported import ReportedExperiment as ReportedExperiment


class Settings(Block):
    """Settings of a stage."""

    lower_for_memory: ClassVar[str] = "batch_size"
    """The key of config.yaml to lower when memory runs out."""


class Fetch(Settings):
    """Download a file, checked."""

    urls: tuple[str, ...]
    checksum: Checksum | None = None
    unchecked: bool = False
    """Accept a file without a checksum."""


class Content(Block):
    """What the dry run knows of the content of a source; it goes into the record beside the splits."""

    version: str
    fingerprint: str
    deciding: str
    inputs: tuple[str, ...]


class Prepare(Settings):
    """Read an archive, a folder or bundled images; write the train, validation and test splits."""

    source: source.Source
    content: Content | None = None
    """null in a job that is run by hand."""
    limits: tuple[checks.Limit, ...] = ()
    """What the experiments ask of the data."""


class ImportSet(Settings):
    """Read a finished set of labelled images from outside."""

    generator: generator.SamplesGenerator


class Classifier(Settings):
    """Train the classifier on the real train split."""

    lower_for_memory = "classifier.protocol.batch_size"
    protocol: evaluation.Protocol
    seed: NonNegativeInt


class FidReference(Settings):
    """Write mean and covariance of the features of the train split."""

    features: Literal["inception", "classifier"]


class Subclasses(Settings):
    """Cluster the images of each class."""

    subclasses: PositiveInt
    seed: NonNegativeInt


class Train(Settings):
    """Train one slice."""

    lower_for_memory = "train.micro_batch_size"
    model: model.Model
    train: training.Train
    snapshot_every: PositiveInt
    until: PositiveInt
    """The iteration at which the slice ends."""


class Weights(Settings):
    """Take the EMA weights of one iteration out of a slice."""

    name: str
    step: PositiveInt
    ema_decay: UnitInterval


class History(Settings):
    """Write loss.csv from the end states of all slices."""


class Fid(Settings):
    """Measure the FID of one checkpoint, and what the classifier says of its samples."""

    lower_for_memory = "fid.batch_size"
    measurement: fid.Measurement
    devices: PositiveInt = 1


class Pilot(Settings):
    """Train short ConvNets on a few samples of one checkpoint and test them on validation."""

    lower_for_memory = "checkpoint.batch_size"
    setup: sampling.SamplingSetup
    evaluations: PositiveInt
    """Network evaluations of the whole pilot; the number of images follows from the setup's NFE."""
    batch_size: PositiveInt
    seed: NonNegativeInt
    protocol: evaluation.Protocol
    seeds: tuple[NonNegativeInt, ...]


class Checkpoint(Settings):
    """Pick the checkpoint that generates the distilled set."""

    by: Literal["fid", "pilot", "last"]
    setups: tuple[sampling.SamplingSetup, ...] | None = None


class Tune(Settings):
    """Tune the checkpoint to sample in one or a few evaluations."""

    lower_for_memory = "tune.micro_batch_size"
    tune: training.Tune
    flip: bool


class Sample(Settings):
    """Generate as many labelled images as fit into the budget."""

    lower_for_memory = "sample.batch_size"
    sample: sampling.Sample


class Generate(Settings):
    """Generate as many labelled images as fit into the budget, by a generator that was not trained here."""

    lower_for_memory = "sample.batch_size"
    generator: Annotated[
        generator.WeightsGenerator | generator.PythonGenerator | generator.PipelineGenerator,
        Field(discriminator="kind"),
    ]
    sample: sampling.Sample
    """Solver, guidance and precision are for weights alone."""


class Selection(Settings):
    """Select the distilled set from the samples."""

    select: sampling.Select


class Refine(Settings):
    """Refine a small set until networks react to it as to the real train split."""

    lower_for_memory = "refine.batch_real"
    refine: refine.Refine
    protocol: evaluation.Protocol
    """Of the experiment: normalisation, augmentation and the ConvNets' size."""


class Evaluate(Settings):
    """Train a ConvNet on one set with one seed and test it on the real test split."""

    lower_for_memory = "evaluate.protocol.batch_size"
    train_set: evaluation.TrainSet
    protocol: evaluation.Protocol
    seed: NonNegativeInt
    per_class: PositiveInt | None = None
    """Of real-random: images of each class; null: as many in all as the distilled set has."""


class Accuracy(Settings):
    """Write the accuracies of several trainings as one table."""

    experiment: Name


class StudyRun(Settings):
    """Train one network of a study and test it."""

    lower_for_memory = "evaluate.protocol.batch_size"
    protocol: evaluation.Protocol
    run: study.Run
    seed: NonNegativeInt


class Study(Settings):
    """Write all trainings of a study as one table."""

    experiment: Name


class ResamplingSettings(Settings):
    """Write the settings that sample as many images as the main set has, with another seed."""

    sample: sampling.Sample
    resampling: PositiveInt


class Audit(Settings):
    """Search the distilled set and the weights for copies of training images."""

    lower_for_memory = "audit.batch_size"
    audit: evaluation.Audit


class Export(Settings):
    """Write the distilled set in a form that others read."""

    form: Literal["images", "parquet", "challenge"]
    protocol: evaluation.Protocol
    """Gives the normalisation of the challenge's tensor."""
    challenge_per_class: PositiveInt | None = None
    release: Release = Release()


class ExportCard(Settings):
    """Write the data set card and its machine-readable form beside the exported files."""

    experiment: Name
    source: str
    licence: str | None = None
    release: Release = Release()


class Report(Settings):
    """Write the tables, the figures or the page of a report."""

    name: Name
    experiments: dict[Name, ReportedExperiment]
    leaderboard: str
    """Path of the challenge's published table."""


class Measure(Settings):
    """Measure the FID and the label agreement of a distilled set."""

    features: Literal["inception", "classifier"]


class Comparison(Settings):
    """Write the table, the figure and the page of a comparison."""

    name: Name
    sets: dict[Name, ComparedSet]


STAGES: Mapping[str, type[Settings]] = {
    "fetch": Fetch,
    "prepare": Prepare,
    "import_set": ImportSet,
    "classifier": Classifier,
    "fid_reference": FidReference,
    "subclasses": Subclasses,
    "train": Train,
    "weights": Weights,
    "history": History,
    "fid": Fid,
    "pilot": Pilot,
    "checkpoint": Checkpoint,
    "tune": Tune,
    "sample": Sample,
    "generate": Generate,
    "selection": Selection,
    "refine": Refine,
    "evaluate": Evaluate,
    "accuracy": Accuracy,
    "study_run": StudyRun,
    "study": Study,
    "resampling_settings": ResamplingSettings,
    "audit": Audit,
    "measure": Measure,
    "comparison": Comparison,
    "export": Export,
    "export_card": ExportCard,
    "tables": Report,
    "figures": Report,
    "report": Report,
}
"""Stage by name: the module below diffdistill.stages and the rule have the same name."""
