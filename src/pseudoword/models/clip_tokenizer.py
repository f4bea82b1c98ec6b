"""The tokenizer of SD1, SD2 and SDXL, made from CLIP's vocabulary, which ships with the package.

The vocabulary is 256 bytes, the same with `</w>` (end of a word), one entry per merge in the order of the list
(48,894 of them) and the two marks `<|startoftext|>` and `<|endoftext|>`: 49,408 in all (Radford et al. 2021,
arXiv 2103.00020, §2.4).
"""

import gzip
import json
import tempfile
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

VOCABULARY_SIZE = 49_408
START, END = "<|startoftext|>", "<|endoftext|>"
_NUM_MERGES = VOCABULARY_SIZE - 2 * 256 - 2
_FILE = ("models", "clip_vocabulary", "bpe_simple_vocab_16e6.txt.gz")


def clip_tokenizer(pad: str = END) -> Any:
    """A fresh `transformers.CLIPTokenizer`; `pad` is `<|endoftext|>` for CLIP ViT-L and `!` for OpenCLIP."""
    from transformers import CLIPTokenizer

    with tempfile.TemporaryDirectory() as folder:
        write_tokenizer(Path(folder), pad)
        return CLIPTokenizer.from_pretrained(folder)


def write_tokenizer(folder: Path, pad: str = END) -> None:
    """Write the tokenizer's three files, as diffusers' layout has them."""
    folder.mkdir(parents=True, exist_ok=True)
    merges = _merges()
    (folder / "vocab.json").write_text(json.dumps(_vocabulary(merges), ensure_ascii=False), "utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), "utf-8")
    settings = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": 77,
        "add_prefix_space": False,
        "bos_token": START,
        "eos_token": END,
        "unk_token": END,
        "pad_token": pad,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")


@cache
def _merges() -> tuple[str, ...]:
    """The list's first merges, each `left right`; its own later ones were never part of CLIP."""
    packed = Path(str(files("pseudoword"))).joinpath(*_FILE).read_bytes()
    lines = gzip.decompress(packed).decode("utf-8").split("\n")
    return tuple(lines[1 : 1 + _NUM_MERGES])


def _vocabulary(merges: tuple[str, ...]) -> dict[str, int]:
    letters = _byte_letters()
    words = [*letters, *(f"{letter}</w>" for letter in letters), *("".join(m.split()) for m in merges), START, END]
    return {word: index for index, word in enumerate(words)}


def _byte_letters() -> list[str]:
    """GPT-2's letter for each byte, printable bytes first: a byte that has no glyph is moved above 255."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + index) for index in range(len(others))]
