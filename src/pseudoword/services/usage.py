"""How a learned word is used in five programs, in words and lines to copy."""

from collections.abc import Iterable
from pathlib import Path

from pseudoword.models.folder import BUNDLED_MODELS
from pseudoword.training.options import TrainOptions

_TWO = {"clip_l", "clip_g"}
_NONE_FITS = " It reads the file, but has no model that this word fits: it was trained on Pseudoword's own small one."


def how_to_use(name: str, file: Path, slots: Iterable[str], options: TrainOptions) -> tuple[tuple[str, str, str], ...]:
    """Program, what to do, what to write.

    Args:
        name: the word.
        file: its embedding.
        slots: the text encoders that it has vectors for.
        options: of its training.
    """
    prompt = f"a {name}" if options.template == "subject" else f"a cat, {name} style"
    own = options.model in BUNDLED_MODELS
    note = _NONE_FITS if own else ""
    model = "" if options.model == "bundled" else f' --model "{options.model}"'
    return (
        (
            "Pseudoword",
            f"The file is {file}.",
            f'pseudoword generate "{prompt}" --embeddings-dir "{file.parent}"{model}',
        ),
        (
            "AUTOMATIC1111 and Forge",
            f"Copy {file.name} into the folder embeddings; the file's name is the word.{note}",
            prompt,
        ),
        (
            "ComfyUI",
            f"Copy {file.name} into models/embeddings, and write embedding: before the word.{note}",
            prompt.replace(name, f"embedding:{name}"),
        ),
        (
            "InvokeAI",
            f"Import {file.name} in the model manager; the word stands in angle brackets.{note}",
            prompt.replace(name, f"<{name}>"),
        ),
        ("diffusers", "In Python, with pipe a pipeline of the model:", _diffusers(name, prompt, file, set(slots))),
    )


def _diffusers(name: str, prompt: str, file: Path, slots: set[str]) -> str:
    if slots != _TWO:
        return f'pipe.load_textual_inversion("{file}", token="{name}")\nimage = pipe("{prompt}").images[0]'
    return (
        "from safetensors.torch import load_file\n"
        f'vectors = load_file("{file}")\n'
        f'pipe.load_textual_inversion(vectors["clip_l"], token="{name}",\n'
        "    text_encoder=pipe.text_encoder, tokenizer=pipe.tokenizer)\n"
        f'pipe.load_textual_inversion(vectors["clip_g"], token="{name}",\n'
        "    text_encoder=pipe.text_encoder_2, tokenizer=pipe.tokenizer_2)\n"
        f'image = pipe("{prompt}").images[0]'
    )
