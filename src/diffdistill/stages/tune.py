"""Reads the chosen weights and the train split; writes weights tuned to draw in one or a few evaluations.

Progress is kept in a file beside the output that no rule declares: the same command goes on from it.
"""

import json
import logging
import sys
import time
from collections.abc import Sequence

from tqdm import tqdm

from diffdistill import config
from diffdistill.data import image_files
from diffdistill.diffusion import consistency, subclasses, training, weights
from diffdistill.errors import UserError
from diffdistill.runtime import devices, files, processes, program

logger = logging.getLogger("diffdistill")


def stage(job: program.Job) -> None:
    devices.set_up(job.threads)
    block, device = config.read(config.Tune, job.config["tune"]), devices.best_device()
    output, data = job.output("weights"), image_files.load(job.input("train"))
    network, shape, made = weights.load(job.input("weights"), device)
    image_files.require_same_origin(job.input("weights"), made, job.input("train"), data.metadata)
    labels, counts = subclasses.labels_of(data.labels, len(data.classes), job.inputs.get("subclasses", []))
    if counts != [list(row) for row in shape.subclasses]:
        raise UserError(f"{job.input('weights')}: trained with other subclasses than are given; make them again")
    recipe = training.Recipe(
        **block.model_dump(include=set(training.Recipe.__dataclass_fields__)),
        flip=job.config["flip"], log_every=1, snapshot_every=block.iterations,
    )  # fmt: skip
    objective = consistency.tuning(
        iterations=block.iterations, stages=block.stages, noise_mean=block.noise_mean, noise_std=block.noise_std
    )
    execution = training.Execution(
        micro_batch_size=block.micro_batch_size,
        precision=devices.precision(block.precision, device),
        compile=device.type == "cuda" if block.compile == "auto" else block.compile,
    )
    origin = {"tune": job.config, "weights": files.sha256(job.input("weights"))}
    metadata = {"config": json.dumps(origin, sort_keys=True)}
    progress = output.with_name(f"{output.stem}.progress{output.suffix}")
    state = training.State.start(network, recipe)
    if progress.exists():
        resumed = training.State.start(shape.build().to(device), recipe)
        if resumed.load(progress, same_slice=True).get("config") == metadata["config"]:
            logger.info("going on from %s at iteration %d", progress, resumed.iteration)
            state = resumed
        else:
            logger.info("%s was made with other settings; starting anew", progress)
    stop, saved = processes.StopSignal(), time.monotonic()
    with tqdm(total=block.iterations, initial=state.iteration, desc="tune", unit="it", disable=None) as bar:

        def after_iteration(state: training.State) -> None:
            nonlocal saved
            bar.update()
            if state.iteration % max(1, block.iterations // 20) == 0:
                loss = sum(row[1] for row in state.history) / len(state.history)
                logger.info("iteration %d loss %.4f", state.iteration, loss)
                state.history.clear()
            if time.monotonic() - saved >= block.save_seconds:
                state.save(progress, metadata)
                saved = time.monotonic()

        signal = training.train(
            state, data.images.to(device), labels.to(device), recipe, until=block.iterations, objective=objective,
            execution=execution, stop_signal=lambda: stop.number, after_iteration=after_iteration,
        )  # fmt: skip
    if signal:
        state.save(progress, metadata)
        logger.info("signal %d: saved iteration %d; the same command goes on from it", signal, state.iteration)
        sys.exit(128 + signal)
    del made["shape"]
    weights.save(output, state.average, shape, made | {"tuned": block.model_dump_json()})
    progress.unlink(missing_ok=True)


def main(argv: Sequence[str] | None = None) -> int:
    return program.run(stage, argv, __doc__, memory_setting="tune.micro_batch_size")


if __name__ == "__main__":
    sys.exit(main())
