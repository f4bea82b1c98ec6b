"""The model card of a published embedding, in the form that the hub reads: YAML head, then Markdown. Pure.

The head's fields are those of huggingface_hub's `ModelCardData` and of the hub's model card reference
(huggingface.co/docs/hub/model-cards: `widget` with `output.url` makes the gallery, `instance_prompt` the trigger).
How other programs are used: reference trainers.md §3, "Prompt syntax of consumers".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from huggingface_hub import ModelCardData

from pseudoword._version import __version__

_TAGS = {"sd1": "stable-diffusion", "sd2": "stable-diffusion", "sdxl": "stable-diffusion-xl"}
_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_TWO_ENCODERS = 2
A1111, COMFY, INVOKE, DIFFUSERS = "A1111 / Forge", "ComfyUI", "InvokeAI", "diffusers"
PROGRAMS: Final = (A1111, COMFY, INVOKE, DIFFUSERS)
"""As `embeddings.readers` calls them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A picture that shows the word."""

    file: str
    """Path in the repository."""
    prompt: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """What the card tells."""

    name: str
    file: str
    """Path of the embedding in the repository."""
    repo: str
    sha256: str
    family: str | None
    """A key of `families.FAMILIES`; None where no family fits."""
    made_for: str
    """The family in words: SD1.x (768)."""
    widths: Mapping[str, int]
    num_vectors: int
    facts: Mapping[str, str | int] = field(default_factory=dict[str, str | int])
    """The file's provenance: name of a fact to what is known."""
    base_model: str | None = None
    prompt: str | None = None
    licence: str | None = None
    samples: tuple[Sample, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict[str, str])
    """Programs that do not read this file, by their names in `PROGRAMS`, and why."""
    provisos: Mapping[str, str] = field(default_factory=dict[str, str])
    """What to know about programs that read it partly."""


def model_card(card: CardFacts) -> str:
    """The text of README.md."""
    parts = [_head(card), f"# {card.name}", _summary(card)]
    if card.samples:
        parts.append(_gallery(card))
    parts += ["## How to use it", _usage(card), "## What it is", _facts(card)]
    return "\n\n".join(parts) + "\n"


def is_hub_id(text: str | None) -> bool:
    """Whether this can be the id of a model of the hub."""
    return text is not None and _HUB_ID.fullmatch(text) is not None


def _head(card: CardFacts) -> str:
    tags = ["textual_inversion", "text-to-image", "pseudoword"]
    if card.family in _TAGS:
        tags += [_TAGS[card.family], "diffusers"]
    data = ModelCardData(
        base_model=card.base_model if is_hub_id(card.base_model) else None,
        library_name="diffusers" if card.family in _TAGS else None,
        license=card.licence,
        pipeline_tag="text-to-image",
        tags=tags,
        instance_prompt=card.name,
        widget=[{"text": sample.prompt or card.name, "output": {"url": sample.file}} for sample in card.samples]
        or None,
    )
    return f"---\n{data.to_yaml().strip()}\n---"


def _summary(card: CardFacts) -> str:
    vectors = "1 vector" if card.num_vectors == 1 else f"{card.num_vectors} vectors"
    text = (
        f"A word for text-to-image models, learned by textual inversion: write `{card.name}` in a prompt. "
        f"{vectors} for {card.made_for}."
    )
    return text + (f"\n\nPrompt: `{_inline(card.prompt)}`" if card.prompt else "")


def _gallery(card: CardFacts) -> str:
    lines = ["<Gallery />", ""]
    for sample in card.samples:
        lines.append(f"![{_inline(sample.prompt or card.name)}]({sample.file.replace(' ', '%20')})")
        if sample.prompt:
            lines += ["", f"`{_inline(sample.prompt)}`"]
        lines.append("")
    return "\n".join(lines).rstrip()


def _usage(card: CardFacts) -> str:
    prompt = _inline(card.prompt or f"a picture of {card.name}")
    ours = f"""**Pseudoword**

```
pip install 'pseudoword[hub]'
pseudoword pull {card.repo}/{card.file}
pseudoword generate "{prompt}"{_model_option(card)}
```"""
    if card.family not in _TAGS:
        return f"{ours}\n\nOther programs have no model of this family."
    ways = {
        A1111: f"put `{card.file}` into the folder `embeddings` and write `{card.name}`.",
        COMFY: f"put `{card.file}` into `models/embeddings` and write `embedding:{card.name}`.",
        INVOKE: f"add `{card.file}` in the model manager and write `<{card.name}>`.",
        DIFFUSERS: f"\n\n```python\n{_diffusers(card, prompt)}\n```",
    }
    return "\n\n".join([ours, *(_way(card, program, way) for program, way in ways.items())])


def _way(card: CardFacts, program: str, way: str) -> str:
    if program in card.refused:
        return f"**{program}** does not read this file: {card.refused[program]}."
    proviso = f" ({card.provisos[program]})" if program in card.provisos else ""
    return f"**{program}**{proviso}: {way}".replace(": \n", "\n")


def _model_option(card: CardFacts) -> str:
    if card.family == "bundled":
        return ""
    return f" --model {card.base_model if is_hub_id(card.base_model) else 'MODEL'}"


def _diffusers(card: CardFacts, prompt: str) -> str:
    model = card.base_model if is_hub_id(card.base_model) else "MODEL"
    lines = [
        "import torch",
        "from diffusers import AutoPipelineForText2Image",
        "",
        f'pipe = AutoPipelineForText2Image.from_pretrained("{model}", torch_dtype=torch.float16).to("cuda")',
    ]
    if len(card.widths) == _TWO_ENCODERS:
        lines[1:1] = ["from huggingface_hub import hf_hub_download", "from safetensors.torch import load_file"]
        lines += [
            f'vectors = load_file(hf_hub_download("{card.repo}", "{card.file}"))',
            f'pipe.load_textual_inversion(vectors["clip_l"], token="{card.name}", '
            "text_encoder=pipe.text_encoder, tokenizer=pipe.tokenizer)",
            f'pipe.load_textual_inversion(vectors["clip_g"], token="{card.name}", '
            "text_encoder=pipe.text_encoder_2, tokenizer=pipe.tokenizer_2)",
        ]
    else:
        lines.append(f'pipe.load_textual_inversion("{card.repo}", weight_name="{card.file}", token="{card.name}")')
    quoted = prompt.replace("\\", "\\\\").replace('"', '\\"')
    lines.append(f'image = pipe("{quoted}").images[0]')
    return "\n".join(lines)


def _facts(card: CardFacts) -> str:
    rows = {
        "file": f"`{card.file}`",
        "sha256": f"`{card.sha256}`",
        "vectors": str(card.num_vectors),
        "made for": card.made_for,
        "base model": card.base_model or "not told by the file",
        **{name: str(value) for name, value in card.facts.items()},
        "licence": card.licence or "not told",
        "card written by": f"Pseudoword {__version__}",
    }
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {_cell(text)} |" for name, text in rows.items())])


def _inline(text: str | None) -> str:
    """One line that cannot end the code span or picture text that it stands in."""
    return " ".join((text or "").split()).replace("`", "'").replace("[", "(").replace("]", ")")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
