"""The options that say which model is loaded and how, declared once for every command; importing it loads no torch."""

from dataclasses import field
from typing import Any

from pseudoword.errors import BadOption
from pseudoword.models.folder import BUNDLED, BUNDLED_MODELS
from pseudoword.settings import MEMORY_MODES, PREDICTIONS


def model_option() -> Any:
    """`--model`."""
    help = f"{', '.join(BUNDLED_MODELS)}, a .safetensors or .ckpt file, a folder in diffusers' layout, or a hub id."
    return field(default=BUNDLED, metadata={"help": help})


def vae_option() -> Any:
    """`--vae`."""
    return field(
        default="", metadata={"help": "File or folder of an autoencoder (VAE) to take in place of the model's."}
    )


def prediction_option() -> Any:
    """`--prediction`."""
    help = " | ".join(PREDICTIONS) + ": what the UNet predicts. Default: what the model's files say."
    return field(default="auto", metadata={"help": help})


def memory_option() -> Any:
    """`--memory`."""
    help = (
        " | ".join(MEMORY_MODES)
        + ": less memory on the device, more time; the results stay the same. (A1111's --medvram, --lowvram.)"
    )
    return field(default="normal", metadata={"help": help})


def check_model_options(prediction: str, memory: str) -> None:
    """Refuse words that are none of the choices.

    Raises:
        BadOption: naming the option and its choices.
    """
    for name, value, known in (("prediction", prediction, PREDICTIONS), ("memory", memory, MEMORY_MODES)):
        if value not in known:
            raise BadOption(f"--{name} {value!r}", expected=" | ".join(known))
