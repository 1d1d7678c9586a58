"""A generator that is a folder saved by Hugging Face's diffusers, an optional extra.

Class-conditional pipelines take class numbers, text-to-image pipelines one prompt per class. Only components of
diffusers and transformers with safetensors weights are loaded: a folder that brings code of its own is refused.
"""

import copy
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from diffdistill.config.generator import PipelineGenerator
from diffdistill.data.sets.classes import RealSet, numbers_by_name
from diffdistill.errors import UserError
from diffdistill.runtime import files
from diffdistill.runtime.seeds import generator

LIBRARIES = ("diffusers", "transformers")
INDEX = "model_index.json"


class DiffusersGenerator:
    """Samples a pipeline; images are scaled to the real ones' size, and to grey if these are."""

    def __init__(
        self, pipeline: Any, conditions: Sequence[int | str], block: PipelineGenerator, real: RealSet, *, seed: int
    ) -> None:
        """conditions: the class number or the prompt of each class."""
        self._pipeline, self._conditions, self._block, self._seed = pipeline, conditions, block, seed
        self.num_classes, self.image_shape = len(real.classes), real.image_shape
        self._flagged: dict[int, bool] = {}  # by image, as the one that warms up comes again

    @torch.inference_mode()
    def generate(self, first: int, labels: Tensor) -> Tensor:
        """uint8 (B, C, H, W) on the CPU; the noise of image i follows from (seed, i) alone.

        Raises UserError if an image is not finite.
        """
        chosen = [self._conditions[label] for label in labels.tolist()]
        noise = [generator("pipeline", self._seed, first + place) for place in range(len(chosen))]
        options: dict[str, Any] = {"class_labels" if isinstance(chosen[0], int) else "prompt": chosen}
        if self._block.guidance is not None:
            options["guidance_scale"] = self._block.guidance
        made = self._pipeline(
            **options, generator=noise, num_inference_steps=self._block.steps, output_type="np", return_dict=True
        )
        self._flagged.update(enumerate(getattr(made, "nsfw_content_detected", None) or [], first))
        images = np.asarray(made.images, np.float32)
        if not np.isfinite(images).all():
            raise UserError(f"{self._block.path}: image {first} or one after it is not finite; give another precision")
        levels = np.rint(images.clip(0, 1) * 255).astype(np.uint8)
        return torch.from_numpy(np.stack([self._scaled(one) for one in levels]))

    def _scaled(self, image: Any) -> Any:
        """uint8 (h, w, 3) -> (C, H, W)."""
        channels, height, width = self.image_shape
        picture = Image.fromarray(image).convert("L" if channels == 1 else "RGB")
        if picture.size != (width, height):
            picture = picture.resize((width, height), Image.Resampling.LANCZOS)
        array = np.asarray(picture)
        return array[None] if channels == 1 else array.transpose(2, 0, 1)

    def describe(self, images: int) -> dict[str, Any]:
        """See `Generator.describe`; also how many of the images a safety checker blanked."""
        folder = Path(self._block.path)
        modules = [one for one in self._pipeline.components.values() if isinstance(one, torch.nn.Module)]
        return {
            "kind": "pipeline",
            "pipeline": type(self._pipeline).__name__,
            "parameters": sum(parameter.numel() for module in modules for parameter in module.parameters()),
            "bytes": sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()),
            "steps": self._block.steps,
            "guidance": self._block.guidance,
            "prompts": None if isinstance(self._conditions[0], int) else list(self._conditions),
            "precision": self._block.precision,
            "seed": self._seed,
            "blanked_by_safety_checker": sum(flag for number, flag in self._flagged.items() if number < images),
        }


def load(block: PipelineGenerator, real: RealSet, *, seed: int, device: torch.device) -> DiffusersGenerator:
    """The pipeline in a folder, for the classes and the shape of the real data; nothing is fetched.

    Raises UserError if diffusers is not installed, the folder is no saved pipeline, brings code of its own, has weights
    that are not safetensors, takes neither class numbers nor prompts, adds noise that follows from no seed, or a class
    has no number or prompt.
    """
    index = _index(Path(block.path))
    try:
        from diffusers import DiffusionPipeline
    except ImportError as error:
        raise UserError(f"{block.path}: needs diffusers; pip install 'diffdistill[pipeline]'") from error
    try:
        read: Any = DiffusionPipeline.from_pretrained
        pipeline = read(block.path, local_files_only=True, use_safetensors=True)
        pipeline = pipeline.to(device=device, dtype=getattr(torch, block.precision))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError, AttributeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"{block.path}: cannot be loaded as a pipeline of diffusers ({reason}); save it again"
        ) from error
    pipeline.set_progress_bar_config(disable=True)
    takes = inspect.signature(type(pipeline).__call__).parameters
    if "class_labels" in takes:
        _refuse_unseeded_noise(block, pipeline.scheduler)
        return DiffusersGenerator(pipeline, _numbers(block, index.get("id2label"), real), block, real, seed=seed)
    if "prompt" in takes:
        return DiffusersGenerator(pipeline, _prompts(block, real), block, real, seed=seed)
    raise UserError(
        f"{block.path}: {type(pipeline).__name__} takes neither class labels nor a prompt; give another one"
    )


def _index(folder: Path) -> dict[str, Any]:
    """The content of model_index.json. Raises UserError if this is no saved pipeline, or brings code of its own."""
    index = folder / INDEX
    if not index.is_file():
        raise UserError(f"{folder}: has no {INDEX}; give a folder that diffusers' save_pretrained wrote")
    content = files.read_json(index)
    if not isinstance(content, dict) or not isinstance(content.get("_class_name"), str):
        raise UserError(f"{index}: names no pipeline of diffusers, but code of its own; such code is not run")
    for name, component in content.items():
        if isinstance(component, list) and component and component[0] not in (*LIBRARIES, None):
            raise UserError(
                f"{index}: '{name}' comes from '{component[0]}', which is not run; known: diffusers, transformers"
            )
    return content


def _refuse_unseeded_noise(block: PipelineGenerator, scheduler: Any) -> None:
    """Class-conditional pipelines hand their scheduler no generator: noise it adds would depend on the batch."""
    scheduler, image = copy.deepcopy(scheduler), torch.zeros(1, 4, 8, 8)
    with torch.random.fork_rng(devices=()):
        before = torch.get_rng_state()
        try:
            scheduler.set_timesteps(block.steps)
            for time in scheduler.timesteps:
                image = scheduler.step(scheduler.scale_model_input(image, time), time, image).prev_sample
        except (ValueError, RuntimeError, IndexError) as error:
            raise UserError(
                f"{block.path}: its {type(scheduler).__name__} does not take {block.steps} steps "
                f"({' '.join(str(error).split())}); give generator.steps another number"
            ) from error
        drawn = not torch.equal(torch.get_rng_state(), before)
    if drawn:
        raise UserError(
            f"{block.path}: its {type(scheduler).__name__} adds noise that follows from no seed; save the folder with "
            "a deterministic scheduler, such as diffusers' DDIMScheduler"
        )


def _numbers(block: PipelineGenerator, id2label: Any, real: RealSet) -> list[int]:
    """The pipeline's number of each class; id2label: the folder's names of its numbers, None where it has none."""
    if block.prompts is not None:
        raise UserError(f"{block.path}: takes class numbers, so prompts have no meaning; leave them out")
    known: list[tuple[str, int]] = []
    if block.classes is not None:
        order = (real.published_order or real.classes) if block.classes == "as_source" else block.classes
        known = [(name, number) for number, name in enumerate(order)]
    elif isinstance(id2label, dict):
        # not DiTPipeline's own `labels`: of a name that two classes have, such as ImageNet's crane, it keeps the last
        known = [(name.strip(), int(number)) for number, names in id2label.items() for name in names.split(",")]
    if not known:
        raise UserError(
            f"{block.path}: does not name its classes; give their names by number, or that they are as in the source"
        )
    found = dict(zip(real.classes, numbers_by_name(real.classes, known), strict=True))
    missing = [name for name, number in found.items() if number is None]
    if missing:
        raise UserError(
            f"{block.path}: has no class '{missing[0]}', or several so named; {len(missing)} of {len(found)} are "
            "missing; give classes, spelt as in the real data"
        )
    numbers = [number for number in found.values() if number is not None]
    twice = [name for name, number in found.items() if number is not None and numbers.count(number) > 1]
    if twice:
        raise UserError(
            f"{block.path}: '{twice[0]}' and '{twice[1]}' are both its class {found[twice[0]]}; give classes, spelt as "
            "in the real data"
        )
    return numbers


def _prompts(block: PipelineGenerator, real: RealSet) -> list[str]:
    """The prompt of each class."""
    prompts = block.prompts or {}
    missing = [name for name in real.classes if name not in prompts]
    unknown = [name for name in prompts if name not in real.classes]
    if missing or unknown:
        what = f"no prompt for class '{missing[0]}'" if missing else f"a prompt for '{unknown[0]}', which is no class"
        raise UserError(f"{block.path}: {what}; give one prompt for each of {len(real.classes)} classes")
    return [prompts[name] for name in real.classes]
