"""The samplers: A1111's names to diffusers' scheduler classes. Importing it loads neither torch nor diffusers."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pseudoword.errors import BadOption

if TYPE_CHECKING:
    import torch

_MODEL_KEYS = (
    "num_train_timesteps",
    "beta_start",
    "beta_end",
    "beta_schedule",
    "trained_betas",
    "prediction_type",
    "timestep_spacing",
    "steps_offset",
    "rescale_betas_zero_snr",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampler:
    """One row: the name that users type, the class, and how an infotext splits the name."""

    name: str
    scheduler: str
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    infotext_name: str
    schedule_type: str = "Automatic"


SAMPLERS: tuple[Sampler, ...] = (
    Sampler(name="Euler a", scheduler="EulerAncestralDiscreteScheduler", infotext_name="Euler a"),
    Sampler(name="Euler", scheduler="EulerDiscreteScheduler", infotext_name="Euler"),
    Sampler(
        name="DPM++ 2M",
        scheduler="DPMSolverMultistepScheduler",
        options={"algorithm_type": "dpmsolver++", "solver_order": 2, "use_karras_sigmas": False},
        infotext_name="DPM++ 2M",
        schedule_type="Uniform",
    ),
    Sampler(
        name="DPM++ 2M Karras",
        scheduler="DPMSolverMultistepScheduler",
        options={"algorithm_type": "dpmsolver++", "solver_order": 2, "use_karras_sigmas": True},
        infotext_name="DPM++ 2M",
        schedule_type="Karras",
    ),
    Sampler(
        name="DDIM",
        scheduler="DDIMScheduler",
        options={"clip_sample": False, "set_alpha_to_one": False},
        infotext_name="DDIM",
    ),
    Sampler(
        name="UniPC",
        scheduler="UniPCMultistepScheduler",
        options={"solver_order": 2},
        infotext_name="UniPC",
    ),
)
DEFAULT_SAMPLER = "Euler a"


def sampler_named(name: str) -> Sampler:
    """The row of this name, upper or lower case.

    Raises:
        BadOption: no row has it; the message lists all names.
    """
    wanted = name.strip().casefold()
    for sampler in SAMPLERS:
        if sampler.name.casefold() == wanted:
            return sampler
    names = ", ".join(sampler.name for sampler in SAMPLERS)
    raise BadOption(f"sampler {name!r}", expected=f"one of {names}")


def make_scheduler(sampler: Sampler, config: Mapping[str, Any], num_steps: int, device: torch.device) -> Any:
    """A fresh diffusers scheduler for the model's noise schedule, set to `num_steps` steps."""
    import diffusers

    scheduler_class = getattr(diffusers, sampler.scheduler)
    taken = inspect.signature(scheduler_class.__init__).parameters
    own = {key: config[key] for key in _MODEL_KEYS if key in taken and config.get(key) is not None}
    scheduler = scheduler_class(**{**own, **sampler.options})
    scheduler.set_timesteps(num_steps, device=device)
    return scheduler
