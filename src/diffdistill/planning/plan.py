"""Where files lie, and what several experiments share."""

from typing import Any, NamedTuple

from diffdistill.config import Classifier, Config, Ema, Experiment, Protocol, Source
from diffdistill.config.fields import Block, FilePath, digest
from diffdistill.errors import UserError
from diffdistill.planning import measurements

Wildcards = Any
"""Snakemake's wildcards of a job: attributes such as `experiment` and `seed`, as text."""
Files = dict[str, str | list[str]]
"""Input files by name."""


class _ClassifierKey(Block):
    classifier: Classifier
    protocol: Protocol


class _ReferenceKey(Block):
    features: str
    inception_weights: FilePath | None
    classifier: str | None


class Reference(NamedTuple):
    """How the features of a train split are made."""

    features: str
    network: str
    """The file of the network that gives the features."""
    classifier: str | None
    """The classifier that class measures are taken with; None if there are none."""


class Plan:
    """The config, and where the files of its experiments and data sets lie."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._measurements: dict[str, dict[str, list[Ema]]] = {}

    def experiment(self, wildcards: Wildcards) -> Experiment:
        """The experiment of a results folder. Raises UserError for an unknown one."""
        return self.config.experiment(wildcards.experiment)

    def measurements(self, experiment: str) -> dict[str, list[Ema]]:
        """`measurements.jobs` of an experiment: found once, because each job of thousands asks for it."""
        if experiment not in self._measurements:
            self._measurements[experiment] = measurements.jobs(self.config.experiments[experiment])
        return self._measurements[experiment]

    def of_dataset(self, dataset: str) -> list[Experiment]:
        """The experiments on a data set. Raises UserError if there are none."""
        config = self.config
        found = [one for name, one in config.experiments.items() if config.dataset(name) == dataset]
        if not found:
            known = sorted({config.dataset(name) for name in config.experiments})
            raise UserError(f"no data set '{dataset}' in config.yaml; known: {', '.join(known)}")
        return found

    def source(self, dataset: str) -> Source:
        """The source of a data set, which several experiments may share. Raises UserError for an unknown one."""
        return self.of_dataset(dataset)[0].source

    def threads(self, dataset: str) -> int:
        """CPU threads of a job that several experiments share."""
        return max(one.threads for one in self.of_dataset(dataset))

    def split(self, experiment: str, split: str) -> str:
        """The named split of the data set of an experiment."""
        return f"data/{self.config.dataset(experiment)}/{split}.safetensors"

    def classifier(self, experiment: str) -> str:
        """The classifier of an experiment; experiments with the same data set, protocol and seed share it."""
        one = self.config.experiment(experiment)
        return f"data/{self.config.dataset(experiment)}/classifier/{self._classifier_key(one)}.safetensors"

    def _classifier_key(self, one: Experiment) -> str:
        seed_alone = one.classifier.model_copy(update={"protocol": None})
        return digest(_ClassifierKey(classifier=seed_alone, protocol=one.classifier_protocol))

    def classifier_of(self, dataset: str, key: str) -> Experiment:
        """An experiment that trains the classifier of this key. Raises UserError if there is none."""
        for one in self.of_dataset(dataset):
            if self._classifier_key(one) == key:
                return one
        raise UserError(f"data/{dataset}/classifier/{key}.safetensors: no experiment in config.yaml asks for it")

    def reference(self, experiment: str) -> str:
        """The FID reference of an experiment; experiments with the same data set and features share it."""
        one = self.config.experiment(experiment)
        if one.fid is None:
            raise UserError(f"results/{experiment}: fid is null, so there is no FID")
        key = _reference_key(self.features(experiment))
        return f"data/{self.config.dataset(experiment)}/fid_reference/{key}.safetensors"

    def measured_reference(self, experiment: str) -> str:
        """The reference in the features of the classifier, with which every distilled set can be measured."""
        key = _reference_key(self.measured_features(experiment))
        return f"data/{self.config.dataset(experiment)}/fid_reference/{key}.safetensors"

    def measured_features(self, experiment: str) -> Reference:
        """How a distilled set is measured, whatever its experiment measures its checkpoints by."""
        classifier = self.classifier(experiment)
        return Reference("classifier", classifier, classifier)

    def features(self, experiment: str) -> Reference:
        """How an experiment with `fid` measures features."""
        fid = self.config.experiment(experiment).fid
        assert fid is not None
        classifier = self.classifier(experiment)
        network = classifier if fid.features == "classifier" else fid.inception_weights
        return Reference(fid.features, network, classifier if fid.measures_classes else None)

    def reference_of(self, dataset: str, key: str) -> tuple[str, Reference]:
        """An experiment that measures against the reference of this key, and its features.

        Raises UserError if none does.
        """
        for name, one in self.config.experiments.items():
            if self.config.dataset(name) == dataset:
                own = [self.features(name)] if one.fid is not None else []
                for features in (*own, self.measured_features(name)):
                    if _reference_key(features) == key:
                        return name, features
        raise UserError(f"data/{dataset}/fid_reference/{key}.safetensors: no experiment in config.yaml asks for it")

    def real_run(self, experiment: str, seed: int | str) -> str:
        """The training on all real images; experiments with the same data set and protocol share it."""
        protocol = digest(self.config.experiment(experiment).evaluate.protocol)
        return f"data/{self.config.dataset(experiment)}/real/{protocol}.{seed}.json"

    def real_subset_run(self, experiment: str, per_class: int, seed: int) -> str:
        """The training on random real images; experiments with the same data set and protocol share it."""
        protocol = digest(self.config.experiment(experiment).evaluate.protocol)
        return f"data/{self.config.dataset(experiment)}/real/{protocol}.{per_class}-per-class.{seed}.json"

    def protocol_of(self, dataset: str, key: str) -> Protocol:
        """The protocol of this key. Raises UserError if no experiment on the data set has it."""
        for one in self.of_dataset(dataset):
            if digest(one.evaluate.protocol) == key:
                return one.evaluate.protocol
        raise UserError(f"data/{dataset}/real/{key}: no experiment in config.yaml has this protocol")


def _reference_key(reference: Reference) -> str:
    features, network, classifier = reference
    weights = network if features == "inception" else None
    return f"{features}-{digest(_ReferenceKey(features=features, inception_weights=weights, classifier=classifier))}"
