"""What a checkpoint's UNet predicts (epsilon or v) and its noise schedule, from what its files say.

v = sqrt(a) · eps - sqrt(1 - a) · x0 (Salimans & Ho 2022, arXiv 2202.00512, §4). Asked in this order: a `.yaml` of the
same name beside the file, as A1111 has it; the header of a .safetensors; the marker `v_pred` among the weights;
the family. Only SD2 was published in both kinds with nothing in the file to tell them apart: there the UNet is
looked at. At the last timestep its input is nearly all noise, so that one which predicts epsilon gives its input
back, and one which predicts v does not.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch

from pseudoword.errors import BadModel
from pseudoword.models.protocols import Parts
from pseudoword.models.weights import Weights
from pseudoword.rng import picture_generator
from pseudoword.settings import PREDICTIONS

_SCHEDULER: Mapping[str, Any] = {
    "_class_name": "DDIMScheduler",
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "num_train_timesteps": 1000,
    "steps_offset": 1,
    "clip_sample": False,
    "set_alpha_to_one": False,
}
"""SD1, SD2 and SDXL share it."""
_NAMES = {"v": "v_prediction", "epsilon": "epsilon", "eps": "epsilon"}
_NUMBERS = {"linear_start": "beta_start", "linear_end": "beta_end", "timesteps": "num_train_timesteps"}
_ALIKE = 0.5
"""Correlation of input and prediction at the last timestep that lies between the two kinds' (1 and 0.07)."""
_PROBE_EDGE = 32


def scheduler_prediction(word: str) -> str:
    """diffusers' word for `epsilon` or `v`."""
    assert word in PREDICTIONS
    return _NAMES[word]


def scheduler_settings(weights: Weights, family: str) -> dict[str, Any]:
    """Settings in diffusers' words; `prediction_type` is `unknown` where only the UNet itself can tell.

    Raises:
        BadModel: the `.yaml` beside the file cannot be read.
    """
    found = _read_yaml(weights.path.with_suffix(".yaml"))
    header = _NAMES.get(weights.metadata.get("modelspec.prediction_type", "").lower())
    marker = "v_prediction" if "v_pred" in weights.shapes else None
    default = "unknown" if family == "sd2" else "epsilon"
    settings = {**_SCHEDULER, "prediction_type": header or marker or default, **found}
    if "ztsnr" in weights.shapes:
        settings["rescale_betas_zero_snr"] = True
    return settings


def _read_yaml(path: Path) -> dict[str, Any]:
    """What is needed of a latent-diffusion configuration; everything else in it is left alone."""
    if not path.is_file():
        return {}
    import yaml

    try:
        params = _inside(yaml.safe_load(path.read_text("utf-8")), "model", "params")
    except (OSError, ValueError, yaml.YAMLError) as problem:
        raise BadModel(
            f"{path} cannot be read ({type(problem).__name__})",
            expected="the checkpoint's configuration",
            next_move="Mend it, or move it away and add --prediction",
        ) from problem
    found: dict[str, Any] = {}
    scaling = str(_inside(params, "denoiser_config", "params", "scaling_config").get("target", ""))
    if "parameterization" in params:
        word = str(params["parameterization"])
        if word not in _NAMES:
            raise BadModel(f"{path}: parameterization {word!r}", expected="v or eps")
        found["prediction_type"] = _NAMES[word]
    elif scaling:
        found["prediction_type"] = "v_prediction" if scaling.rpartition(".")[2].startswith("V") else "epsilon"
    return found | {ours: params[theirs] for theirs, ours in _NUMBERS.items() if theirs in params}


def _inside(value: object, *keys: str) -> dict[str, Any]:
    """The mapping below these keys, or an empty one."""
    for key in keys:
        value = cast("dict[str, object]", value).get(key) if isinstance(value, dict) else None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


@torch.no_grad()
def predicts_v(parts: Parts, device: torch.device) -> bool:
    """Whether the UNet, shown almost pure noise, gives something else than this noise back."""
    encoder = parts.encoders[0]
    tokenizer = encoder.tokenizer
    ids = [tokenizer.bos_token_id, tokenizer.eos_token_id]
    ids += [tokenizer.pad_token_id] * (encoder.num_positions - len(ids))
    hidden = cast("Any", encoder.module).eval()(torch.tensor([ids])).last_hidden_state
    config = parts.unet.config
    noise = torch.randn(1, config.out_channels, _PROBE_EDGE, _PROBE_EDGE, generator=picture_generator(0))
    shown = torch.zeros(1, config.in_channels - config.out_channels, _PROBE_EDGE, _PROBE_EDGE)
    unet = parts.unet.eval().to(device)
    last = int(parts.scheduler_config["num_train_timesteps"]) - 1
    inputs = torch.cat([noise, shown], dim=1).to(device, unet.dtype)
    given = unet(inputs, torch.tensor([last], device=device), hidden.to(device, unet.dtype), return_dict=False)[0]
    both = torch.stack([noise.flatten(), given.float().cpu().flatten()])
    return not float(torch.corrcoef(both)[0, 1]) > _ALIKE
