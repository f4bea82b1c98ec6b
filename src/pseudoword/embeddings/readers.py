"""The table of which programs read a file, which do not, and why; with the conversion that would mend it.

Sources: reference trainers.md §3 (reader compatibility), a1111.md §1.1 and §1.2; for kohya its `load_weights`
(train_textual_inversion.py and sdxl_train_textual_inversion.py) and gen_img.py. Versions: A1111 1.10 and Forge,
ComfyUI 2025-10, InvokeAI 2025, SD.Next 2025-03, diffusers 0.3x to 0.42, sd-scripts 2026-02. What is here was read
in those programs' code; they were not run.
"""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pseudoword.embeddings.file_embedding import FileEmbedding

YES, PARTLY, NO = "yes", "partly", "no"

A1111, COMFY, INVOKE, SDNEXT, DIFFUSERS, KOHYA = "A1111 / Forge", "ComfyUI", "InvokeAI", "SD.Next", "diffusers", "kohya"
PROGRAMS = (A1111, COMFY, INVOKE, SDNEXT, DIFFUSERS, KOHYA)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Whether one program reads a file."""

    program: str
    reads: str
    """yes | partly | no."""
    why: str
    """Empty where there is nothing to say."""
    fix: str = ""
    """The command that makes a file which the program reads; empty where none is needed or none would help."""


Verdict = tuple[str, str]
Rule = Verdict | Callable[[FileEmbedding], Verdict]

_READS: Verdict = (YES, "")
_SEVERAL: Verdict = (NO, "refuses a file with more than one key")
_FIRST: Verdict = (PARTLY, "takes the first vector only")
_AS_LORA: Verdict = (PARTLY, "while the LoRA is active, and words under bundle_emb. only")
_TOKEN: Verdict = (PARTLY, 'needs token="…", else the word is called by the key')
_PARAMETERS: Verdict = (PARTLY, "PyTorch's safe loading refuses the ParameterDict that most such files hold")
_FLAT = "takes the number of vectors for the width"
_NO_PAIR: Verdict = (NO, "asks for clip_l or clip_g by name")
_TOO_MANY: Verdict = (NO, "refuses more tensors than the model has text encoders")
_SDNEXT_PT: Verdict = (NO, "reads A1111's layout only from .pt files")


def _star(verdict: Verdict, word: str) -> Callable[[FileEmbedding], Verdict]:
    return lambda file: (
        verdict if file.inner_key == "*" else (NO, f"{word} the key * alone, here it is {file.inner_key}")
    )


def _invoke_token(file: FileEmbedding) -> Verdict:
    if file.embedding.num_vectors > 1:
        return NO, f"{_FLAT} ({file.embedding.num_vectors} of them)"
    return PARTLY, f"only if the vector was saved flat, else {_FLAT}"


def _from_safetensors(file: FileEmbedding) -> Verdict:
    return _READS if file.container == "safetensors" else _SDNEXT_PT


def _has_outputs(file: FileEmbedding) -> bool:
    """Whether OneTrainer's vectors behind the text encoder are in the file; the reader leaves them out and says so."""
    return any("_out" in note for note in file.notes)


def _onetrainer(alone: Verdict, with_outputs: Verdict, two: Verdict = _READS) -> Callable[[FileEmbedding], Verdict]:
    def rule(file: FileEmbedding) -> Verdict:
        if not _has_outputs(file):
            return alone
        return two if len(file.embedding.vectors) > 1 else with_outputs

    return rule


RULES: Mapping[str, Mapping[str, Rule]] = {
    "a1111": {
        A1111: _READS,
        COMFY: _READS,
        INVOKE: _READS,
        SDNEXT: _star(_READS, "reads"),
        DIFFUSERS: _star(_READS, "reads"),
        KOHYA: _READS,
    },
    "original": {
        A1111: _READS,
        COMFY: _PARAMETERS,
        INVOKE: _PARAMETERS,
        SDNEXT: _star(_PARAMETERS, "reads"),
        DIFFUSERS: (NO, "asks for the file's own name, which this layout lacks"),
        KOHYA: _PARAMETERS,
    },
    "diffusers": {
        A1111: _READS,
        COMFY: _READS,
        INVOKE: _invoke_token,
        SDNEXT: _from_safetensors,
        DIFFUSERS: lambda file: (YES, f"the word is {file.inner_key}"),
        KOHYA: _READS,
    },
    "diffusers-numbered": {
        A1111: _SEVERAL,
        COMFY: _FIRST,
        INVOKE: _FIRST,
        SDNEXT: _TOO_MANY,
        DIFFUSERS: _SEVERAL,
        KOHYA: _FIRST,
    },
    "emb_params": {
        A1111: _READS,
        COMFY: _READS,
        INVOKE: _READS,
        SDNEXT: _from_safetensors,
        DIFFUSERS: _TOKEN,
        KOHYA: _READS,
    },
    "sdxl": {
        A1111: _READS,
        COMFY: _READS,
        INVOKE: _READS,
        SDNEXT: _from_safetensors,
        DIFFUSERS: (PARTLY, "by hand: one tensor for each text encoder"),
        KOHYA: _READS,
    },
    "sdxl-pair": {
        A1111: (NO, "a file for one of SDXL's two text encoders is skipped"),
        COMFY: (PARTLY, "one text encoder of two"),
        INVOKE: (NO, _FLAT),
        SDNEXT: (PARTLY, "guesses the second text encoder's vectors, if its option is on"),
        DIFFUSERS: (YES, "two calls, one for each text encoder"),
        KOHYA: _NO_PAIR,
    },
    "onetrainer": {
        A1111: _onetrainer(_READS, _SEVERAL),
        COMFY: _onetrainer(_READS, (PARTLY, "may load zeros: what was learned is in the _out key")),
        INVOKE: _onetrainer((NO, _FLAT), (NO, _FLAT)),
        SDNEXT: _onetrainer(_READS, _TOO_MANY, _TOO_MANY),
        DIFFUSERS: _onetrainer(_TOKEN, _SEVERAL, _SEVERAL),
        KOHYA: _onetrainer(_READS, (PARTLY, "may load zeros: what was learned is in the _out key")),
    },
    "cog": {
        A1111: _SEVERAL,
        COMFY: (PARTLY, "the first text encoder only"),
        INVOKE: (NO, _FLAT),
        SDNEXT: _from_safetensors,
        DIFFUSERS: _SEVERAL,
        KOHYA: _NO_PAIR,
    },
    "notebook": {
        A1111: _SEVERAL,
        COMFY: (NO, "does not know the keys emb and emb2"),
        INVOKE: (NO, "does not know the keys emb and emb2"),
        SDNEXT: _SDNEXT_PT,
        DIFFUSERS: _SEVERAL,
        KOHYA: _NO_PAIR,
    },
    "flux": {
        A1111: (NO, "knows no embeddings with T5 vectors"),
        COMFY: (PARTLY, "CLIP-L; T5 only under the key t5xxl"),
        INVOKE: (NO, "knows no embeddings for Flux"),
        SDNEXT: (NO, "knows embeddings for SD1, SD2 and SDXL"),
        DIFFUSERS: (PARTLY, "by hand: one tensor for each text encoder"),
        KOHYA: (NO, "trains no embeddings for Flux"),
    },
    "per-layer": {
        A1111: _SEVERAL,
        COMFY: (NO, "takes the first layer's vectors for all layers"),
        INVOKE: (NO, "takes the first layer's vectors for all layers"),
        SDNEXT: _TOO_MANY,
        DIFFUSERS: _SEVERAL,
        KOHYA: (PARTLY, "gen_img.py, with --XTI_embeddings"),
    },
    "lora-bundle": {
        A1111: _AS_LORA,
        COMFY: _AS_LORA,
        INVOKE: (NO, "reads the LoRA without its words"),
        SDNEXT: _AS_LORA,
        DIFFUSERS: (NO, "reads the LoRA without its words"),
        KOHYA: (NO, "reads the LoRA without its words"),
    },
}
"""Layout → program → verdict on files with one embedding, in a container that the program opens."""

_SEVERAL_WORDS: Mapping[str, Verdict] = {
    A1111: _SEVERAL,
    COMFY: (PARTLY, "takes the first word only"),
    INVOKE: (PARTLY, "takes the first word only"),
    SDNEXT: (NO, "refuses files with several words"),
    DIFFUSERS: _SEVERAL,
    KOHYA: (PARTLY, "takes the first word only"),
}

_TORCH = frozenset({"torch-zip", "torch-legacy"})
_PICTURES = frozenset({"png", "webp", "avif", "jxl"})
_BY_SUFFIX: Mapping[str, frozenset[str]] = {
    ".safetensors": frozenset({"safetensors"}),
    **dict.fromkeys((".pt", ".bin", ".pth", ".ckpt", ".pti"), _TORCH),
    **{f".{kind}": frozenset({kind}) for kind in _PICTURES},
}
_OPENS: Mapping[str, tuple[str, ...]] = {
    A1111: (".pt", ".bin", ".safetensors", ".png", ".webp", ".avif", ".jxl"),
    COMFY: (".pt", ".bin", ".safetensors", ".pth", ".ckpt", ".pti"),
    INVOKE: (".pt", ".bin", ".safetensors", ".pth", ".ckpt"),
    SDNEXT: (".pt", ".safetensors"),
    DIFFUSERS: (".pt", ".bin", ".safetensors", ".pth", ".ckpt", ".pti"),
    KOHYA: (".pt", ".bin", ".safetensors", ".pth", ".ckpt", ".pti"),
}
"""Suffixes that each program looks at; what is behind the suffix it does not check beforehand."""

_ONE_ENCODER = frozenset({"sd1", "sd2"})


def readings(found: FileEmbedding, path: Path, *, several: bool = False) -> tuple[Reading, ...]:
    """For every program whether it reads this embedding from this file.

    Args:
        found: an embedding with what its file says.
        path: the file, as the user calls it; programs choose by its suffix.
        several: whether the file holds more words than this one.
    """
    return tuple(_reading(program, found, path, several=several) for program in PROGRAMS)


def _reading(program: str, found: FileEmbedding, path: Path, *, several: bool) -> Reading:
    if misfit := _misfit(program, found):
        return Reading(program=program, reads=NO, why=misfit)
    rule = RULES[found.layout][program]
    reads, why = rule(found) if callable(rule) else rule
    if several and found.layout != "lora-bundle" and reads != NO:
        reads, why = _SEVERAL_WORDS[program]
    if reads != NO and (closed := _closed(program, found.container, path.suffix.lower())):
        reads, why = NO, closed
    fix = "" if reads == YES else _fix(program, found, path, several=several)
    return Reading(program=program, reads=reads, why=why, fix=fix)


def _misfit(program: str, found: FileEmbedding) -> str:
    """Why a program has no use for these vectors in whatever file; empty if it may have.

    diffusers alone takes a model of any width, ours among them.
    """
    if found.candidates == ("ldm",):
        return "made for the first latent diffusion model (LDM-BERT)"
    if program == DIFFUSERS:
        return ""
    if found.family == "bundled":
        return "made for the model that ships with pseudoword"
    return "no model of its has vectors of this width" if found.family == "unknown" else ""


def _closed(program: str, container: str, suffix: str) -> str:
    """Why a program does not open the file, whatever is in it; empty if it does."""
    if suffix not in _OPENS[program]:
        if container in _PICTURES:
            return "does not look for words in pictures"
        return f"does not look at files that end in {suffix or 'nothing'}"
    if program == DIFFUSERS and container == "safetensors":
        return ""  # tries this container first, whatever the name
    if container not in _BY_SUFFIX[suffix]:
        return f"goes by the name's end {suffix}, and this is {container} inside"
    return ""


def _fix(program: str, found: FileEmbedding, path: Path, *, several: bool) -> str:
    layout = _layout_for(program, found)
    if not layout:
        return ""
    alone = not several and found.embedding.name == path.stem  # else a folder: the word may be no file name
    out = str(Path("converted") / f"{path.stem}.safetensors") if alone else "converted/"
    return f"pseudoword convert {shlex.quote(str(path))} {shlex.quote(out)} --layout {layout}"


def _layout_for(program: str, found: FileEmbedding) -> str:
    """The layout that can hold these vectors and that the program reads; empty if there is none."""
    slots = set(found.embedding.vectors)
    if slots == {"clip_l", "clip_g"}:
        return "sdxl-pair" if program == DIFFUSERS else "sdxl"
    if found.layout == "flux" and program == COMFY:
        return "flux"
    if len(slots) == 1 and program == DIFFUSERS:
        return "diffusers"
    return "emb_params" if len(slots) == 1 and _ONE_ENCODER & set(found.candidates) else ""
