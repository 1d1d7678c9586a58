import os
import re
import shlex
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from snakemake_interface_executor_plugins.settings import DeploymentMethod

from diffdistill import config as experiments
from diffdistill.config.text import refuse_ambiguous
from diffdistill.errors import UserError
from diffdistill.planning import comparison as comparisons
from diffdistill.planning import report as reports
from diffdistill.planning import sources
from diffdistill.planning import checkout, fitting, generators
from diffdistill.planning import minutes as times
from diffdistill.planning.inputs import EXPORTS, INPUTS
from diffdistill.planning.plan import Plan
from diffdistill.planning.settings import SETTINGS, fetch_fingerprint, train_fingerprint
from diffdistill.runtime import files, gpus, preemption
from diffdistill.runtime.packing import pack


def asked(function, *arguments):
    """What a function returns; a mistake of the user becomes an error of Snakemake, without a traceback."""
    try:
        return function(*arguments)
    except UserError as error:
        raise WorkflowError(str(error))


# found from wherever the workflow is run, in a clone as well as as a module
ROOT = Path(workflow.current_basedir).parent.parent
asked(checkout.refuse_two_folders, ROOT)
LEADERBOARD = str(ROOT / "resources/leaderboard.csv")
asked(refuse_ambiguous, map(Path, workflow.configfiles))
PLAN = Plan(asked(experiments.parse, experiments.with_nulls(config, workflow.config_settings.config)))
asked(experiments.refuse_old_results, PLAN.config, Path("results"))
asked(sources.refuse_sources_that_are_written_into, PLAN)
asked(fitting.refuse_what_the_data_do_not_have, PLAN)
asked(fitting.refuse_budgets_that_a_start_uses_up, PLAN)


def given_minutes():
    """Runtimes that a profile or --set-resources gives to rules as plain numbers, not as expressions."""
    asked_for = workflow.resource_settings.overwrite_resources
    given = {name: values.get("runtime") for name, values in asked_for.items()}
    numbers = {name: one.value for name, one in given.items() if one is not None and not one.is_evaluable()}
    return {name: minutes for name, minutes in numbers.items() if isinstance(minutes, int)}


asked(times.require_time, PLAN, given_minutes())

# `python` is the interpreter that runs snakemake; with an environment per rule (conda, a container) it is that
# environment's, and the package is read from here; modules bring programs, but no environment
METHODS = set(workflow.deployment_settings.deployment_method)
IMAGE = PLAN.config.container if DeploymentMethod.APPTAINER in METHODS else None
asked(checkout.require_image, IMAGE)
if DeploymentMethod.CONDA in METHODS or IMAGE is not None:
    shell.prefix(f"export PYTHONPATH={shlex.quote(str(ROOT / 'src'))}; ")
else:
    shell.prefix(f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH; ")

# on this machine a job that asks for a GPU waits until one is free; --resources gpu=N sets another number, and a cluster,
# to which --jobs are submitted, counts its own
LOCAL = workflow.resource_settings.nodes is None
GPUS = gpus.count_gpus() if LOCAL else 0
if "gpu" not in workflow.global_resources and LOCAL:
    workflow.register_resource("gpu", GPUS)


onstart:
    if not LOCAL:
        preemption.watch(Path.cwd(), logger.warning)
    # Snakemake asks for the GPUs of a job only when its inputs are there
    for job in workflow.dag.needrun_jobs():
        if job.rule.name in PROCESSES:
            refuse_to_start(job.rule.name, job.wildcards)


def names(wanted):
    """A pattern of the names of some experiments."""
    found = [re.escape(name) for name, one in PLAN.config.experiments.items() if wanted(one)]
    return "|".join(found) or "(?!)"


wildcard_constraints:
    dataset=r"[A-Za-z0-9][A-Za-z0-9_.-]*",
    experiment=r"(?!(reports|comparisons)/)[A-Za-z0-9][A-Za-z0-9_.-]*",
    report=r"[A-Za-z0-9][A-Za-z0-9_.-]*",
    comparison=r"[A-Za-z0-9][A-Za-z0-9_.-]*",
    per_class=r"[1-9]\d*",
    split="train|validation|test",
    key=r"[a-z0-9-]+",
    step=r"\d+",
    ema=r"\d+(-ema[1-9])?",
    seed=r"\d+",
    setup=r"\d+",
    resampling=r"[1-9]\d*",
    train_set="real-random|all-samples|random-samples",


def inputs(rule):
    """An input function: the files that the jobs of a rule read, by name."""
    return lambda wildcards: asked(INPUTS[rule], PLAN, wildcards)


def settings(rule):
    """A params function: the settings of the jobs of a rule, as JSON."""
    return lambda wildcards: experiments.as_json(asked(SETTINGS[rule], PLAN, wildcards))


def untracked_settings(rule):
    """The same; a change of them alone reruns nothing, because Snakemake does not track what asks for outputs."""
    return lambda wildcards, output: settings(rule)(wildcards)


def split(name):
    """An input function: the named split of the data set of an experiment."""
    return lambda wildcards: asked(PLAN.split, wildcards.experiment, name)


def experiment_threads(wildcards):
    """CPU threads of a job that trains or measures the network."""
    return asked(PLAN.experiment, wildcards).threads


def minutes(rule):
    """A resource function: the minutes that the jobs of a rule ask for."""
    return lambda wildcards, attempt: asked(times.minutes, PLAN, rule, wildcards, attempt)


def named(files):
    """name=path for every named file of a job, as a stage reads them."""
    paths = {name: [path] if isinstance(path, str) else path for name, path in files.items()}
    return [f"{name}={word}" for name, some in paths.items() for word in pack(some)]


def named_inputs(wildcards, input):
    return named(input)


def named_outputs(wildcards, output):
    return named(output)


def stage(name, launcher="-m", settings="--settings {params.settings:q}"):
    """The command of a stage; it repeats a job by hand on any machine.

    -P: a user's file called random.py or torch.py, in the folder where the workflow runs, is not imported.
    """
    return (
        f"exec python -P {launcher} diffdistill {name} {settings} --in {{params.inputs:q}} --out {{params.outputs:q}}"
        " --threads {threads} --log {log:q}"
    )


def sent_to_slurm():
    """Whether SLURM starts the jobs, or has started this one."""
    if workflow.executor_plugin is not None and workflow.executor_plugin.name == "slurm":
        return True
    # a dry run does not know its executor: resources named slurm_* stand for it
    settings = workflow.resource_settings
    given = [settings.default_resources or {}, *settings.overwrite_resources.values()]
    return "SLURM_JOB_ID" in os.environ or any(name.startswith("slurm_") for names in given for name in names)


PROCESSES = {
    "train": ("train.devices", lambda one: one.train.devices_on_node, lambda one: one.train.nodes),
    "fid": ("fid.devices", lambda one: one.fid_devices, lambda one: 1),
}
"""Rules whose jobs run as several processes: the setting, processes per node, and nodes."""


def refuse_to_start(rule, wildcards):
    """Raises WorkflowError if a job cannot have its processes: it would fail only once its inputs are made."""
    setting, devices, nodes = PROCESSES[rule]
    one = asked(PLAN.experiment, wildcards)
    if nodes(one) > 1 and not sent_to_slurm():
        raise WorkflowError(
            f"experiments.{wildcards.experiment}.train.devices {one.train.devices} with devices_per_node "
            f"{one.train.devices_per_node} takes {nodes(one)} nodes of a SLURM cluster: run it with --profile "
            "slurm, or set devices_per_node to null for one machine"
        )
    if LOCAL and not workflow.remote_exec:
        asked(gpus.require, devices(one), f"experiments.{wildcards.experiment}.{setting}", {"it has": GPUS})


def shared_gpus(rule, count):
    """A resource function: the GPUs of a job of several processes, which must be able to start.

    Snakemake asks for the resources of the jobs that will run alone, unless params ask for resources or threads.
    """

    def found(wildcards):
        refuse_to_start(rule, wildcards)
        return count(asked(PLAN.experiment, wildcards))

    return found


def launcher(rule):
    """A params function: torchrun for a job that several processes share, on each of several nodes."""
    _, devices, nodes = PROCESSES[rule]

    def found(wildcards, output):
        one = asked(PLAN.experiment, wildcards)
        if nodes(one) > 1:
            return f"-m diffdistill.runtime.nodes {nodes(one)} {devices(one)}"
        return f"-m diffdistill.runtime.processes {devices(one)}" if devices(one) > 1 else "-m"

    return found


def on_nodes(value):
    """A resource function: a value of a job on several nodes; None, which is no resource, of one on a single node."""

    def found(wildcards):
        train = asked(PLAN.experiment, wildcards).train
        return value(train) if train.nodes > 1 else None

    return found


def copied(page, summary):
    """The command that puts a report where users look first."""
    pairs = ((page, "results/report.html"), (summary, "results/summary.txt"))
    return " && ".join(f"cp {shlex.quote(source)} {to}.part && mv {to}.part {to}" for source, to in pairs)


def source_files(wildcards):
    """What prepare waits for; after it has run, the dates of these files count for nothing."""
    state = asked(sources.state, PLAN, wildcards.dataset)
    return [ancient(path) if state.unchanged else path for path in state.inputs]


def source_place(wildcards):
    """Where a source lies."""
    place = asked(PLAN.source, wildcards.dataset).file(wildcards.dataset)
    return [] if place is None else [place]


def reported_files(wildcards):
    """All files that a report is made of."""
    return asked(reports.inputs, PLAN, wildcards.report)


def compared_files(wildcards):
    """All files that a comparison is made of."""
    return asked(comparisons.inputs, PLAN, wildcards.comparison)
