"""From what the user names to a frozen `DiffusersModel`: parts, noise schedule, family, device, memory."""

import logging
from dataclasses import replace
from pathlib import Path

import torch

from pseudoword.errors import BadModel
from pseudoword.families import FAMILIES, Family, family_of
from pseudoword.files import HashCache
from pseudoword.models.device import choose_device, choose_dtype
from pseudoword.models.diffusers_model import DiffusersModel, freeze, tune_unet
from pseudoword.models.folder import find_checkpoint, find_model
from pseudoword.models.folder_parts import damaged, read_folder
from pseudoword.models.memory import save_memory
from pseudoword.models.prediction import predicts_v, scheduler_prediction
from pseudoword.models.protocols import NoiseSchedule, Parts
from pseudoword.models.single_file import read_checkpoint
from pseudoword.models.vae import read_vae


def load_model(
    source: str,
    *,
    device: str,
    precision: str,
    hash_cache: Path,
    vae: str = "",
    prediction: str = "auto",
    memory: str = "normal",
) -> DiffusersModel:
    """Load a bundled model, a checkpoint's file, a folder in diffusers' layout or a hub id, frozen and ready.

    Args:
        source: as the user gave it.
        device: `auto`, `cuda`, `mps` or `cpu`.
        precision: `auto`, `fp32`, `bf16` or `fp16`; for UNet and text encoders. The autoencoder stays in
            float32: it runs once per picture, and half precision there shows as banding.
        hash_cache: JSON file in which weight files' digests are remembered.
        vae: file or folder of an autoencoder to take in place of the model's own.
        prediction: `auto`, `epsilon` or `v`, over what the model's files say.
        memory: `normal`, `medium` or `low`; see `memory.py`.

    Raises:
        BadModel: there is no such model, or its files are damaged or of another kind.
        BadOption: the device or precision is unknown or not there.
    """
    where = choose_device(device)
    dtype = choose_dtype(precision, where)
    cache = HashCache(hash_cache)
    _quieten_libraries()
    file = find_checkpoint(source)
    parts = read_folder(find_model(source), dtype, cache) if file is None else read_checkpoint(file, dtype, cache)
    if vae:
        parts = read_vae(vae, parts, _family(parts), cache)
    _check_sizes(parts)
    parts = _with_prediction(parts, prediction, where)
    freeze([parts.unet, parts.vae, *(encoder.module for encoder in parts.encoders)])
    tune_unet(parts.unet, where)
    save_memory(parts, memory, where)
    return DiffusersModel(
        name=parts.name,
        hashes=parts.hashes,
        source=source,
        family=_family(parts),
        encoders=parts.encoders,
        unet=parts.unet,
        vae=parts.vae,
        zeros_for_empty=parts.zeros_for_empty,
        schedule=_noise_schedule(parts),
        scheduler_config=parts.scheduler_config,
        device=where,
        dtype=dtype,
    )


def _check_sizes(parts: Parts) -> None:
    if parts.vae is None:
        raise BadModel(
            f"{parts.path} holds no autoencoder (VAE)",
            expected="one in the checkpoint, or one of its own",
            next_move="Add --vae FILE",
        )
    unet, vae = parts.unet.config, parts.vae.config
    if unet.sample_size is None or len(vae.block_out_channels) < 2:
        raise damaged(parts.path / "unet", ValueError("no sample_size, or an autoencoder that does not shrink"))
    if vae.latent_channels != unet.out_channels:
        raise BadModel(
            f"an autoencoder of {vae.latent_channels} latent channels with a UNet of {unet.out_channels}",
            expected="the same number in both",
            next_move="Give a VAE of the model's own family",
        )
    if unet.in_channels not in (unet.out_channels, 2 * unet.out_channels + 1):
        raise BadModel(
            f"{parts.path}: a UNet that takes {unet.in_channels} channels",
            expected=f"{unet.out_channels}, or {2 * unet.out_channels + 1} for inpainting",
        )


def _with_prediction(parts: Parts, wanted: str, device: torch.device) -> Parts:
    """The parts with their prediction type settled: the user's word, the files', or else a look at the UNet."""
    config = dict(parts.scheduler_config)
    if wanted != "auto":
        config["prediction_type"] = scheduler_prediction(wanted)
    elif config.get("prediction_type") == "unknown":
        config["prediction_type"] = "v_prediction" if predicts_v(parts, device) else "epsilon"
    if parts.epsilon_size is not None and config.get("prediction_type") == "epsilon":
        parts.unet.register_to_config(sample_size=parts.epsilon_size)
    return replace(parts, scheduler_config=config)


def _noise_schedule(parts: Parts) -> NoiseSchedule:
    """Betas as the model's own scheduler settings give them; DDPM (Ho et al. 2020) is only their calculator."""
    from diffusers import DDPMScheduler

    config = parts.scheduler_config
    keys = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas")
    given = {key: config[key] for key in keys if config.get(key) is not None}
    zero_snr = bool(config.get("rescale_betas_zero_snr", False))
    prediction = str(config.get("prediction_type", "epsilon"))
    if prediction not in ("epsilon", "v_prediction"):
        raise BadModel(f"a model that predicts {prediction!r}", expected="epsilon or v_prediction")
    try:
        calculator = DDPMScheduler(**given, rescale_betas_zero_snr=zero_snr)
        alphas = calculator.alphas_cumprod.float()
        if not (len(alphas) > 1 and bool(((alphas >= 0) & (alphas <= 1)).all())):
            raise ValueError("its noise levels make no schedule")
    except Exception as problem:  # diffusers raises what its arithmetic raises
        raise damaged(parts.path / "scheduler", problem) from problem
    return NoiseSchedule(alphas_cumprod=alphas, prediction_type=prediction)


def _family(parts: Parts) -> Family:
    """By widths; a model of unknown widths takes the defaults of the family whose slots it has."""
    widths = {encoder.slot: encoder.width for encoder in parts.encoders}
    known = family_of(widths)
    if known is not None:
        return known
    alike = next(f for f in FAMILIES.values() if f.key != "bundled" and set(f.widths) == set(widths))
    return replace(alike, key="unknown", label="an unknown model", widths=widths)


def _quieten_libraries() -> None:
    """Their bars and notices would tear the one progress bar that the command line draws."""
    import diffusers
    import transformers

    for library in (diffusers, transformers):
        library.utils.logging.disable_progress_bar()
        library.utils.logging.set_verbosity_error()
    logging.getLogger("accelerate").setLevel(logging.ERROR)
