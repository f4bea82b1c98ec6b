"""Train CLIP's byte-pair encoding on the captions and write it as transformers' CLIPTokenizer reads it.

Lower case, `</w>` ends a word, every byte has an entry, and the vocabulary is ordered as CLIP's: bytes, bytes
that end a word, merges in the order learned, begin and end of text as the last two ids (Radford et al. 2021;
Sennrich et al. 2016, "Neural Machine Translation of Rare Words with Subword Units").
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from base_model.sizes import TEXT_LENGTH
from pseudoword.files import atomic_write, write_json

if TYPE_CHECKING:
    from transformers import CLIPTokenizer

BEGIN, END = "<|startoftext|>", "<|endoftext|>"
WORD_END = "</w>"
WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def byte_symbols() -> list[str]:
    """The 256 printable stand-ins for bytes, in CLIP's order (visible characters first)."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = 256 - len(visible)
    return [chr(code) for code in visible] + [chr(256 + code) for code in range(others)]


def learn_merges(texts: Iterable[str], count: int) -> list[tuple[str, str]]:
    """The first `count` merges of a byte-pair encoding of the texts (fewer if the texts give no more)."""
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix=WORD_END))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    # Entries named beforehand get their number before the words are read, in an order that differs from run to
    # run; equal counts are then merged in the same order every time.
    trainer = trainers.BpeTrainer(
        special_tokens=[symbol + WORD_END for symbol in byte_symbols()],
        vocab_size=count + 2 * 256,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        end_of_word_suffix=WORD_END,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return [(first, second) for first, second in merges[:count]]


def write_tokenizer(folder: Path, texts: Iterable[str], size: int) -> None:
    """Train on `texts` and write vocabulary, merges and configuration; at most `size` entries."""
    single = byte_symbols()
    entries = [*single, *(symbol + WORD_END for symbol in single)]
    merges = learn_merges(texts, size - len(entries) - 2)
    entries = [*dict.fromkeys([*entries, *(first + second for first, second in merges)]), BEGIN, END]
    lines = ["#version: 0.2", *(f"{first} {second}" for first, second in merges)]
    atomic_write(folder / "merges.txt", ("\n".join(lines) + "\n").encode())
    config = {
        "add_prefix_space": False,
        "bos_token": BEGIN,
        "eos_token": END,
        "model_max_length": TEXT_LENGTH,
        "pad_token": END,
        "tokenizer_class": "CLIPTokenizer",
        "unk_token": END,
    }
    write_json(folder / "tokenizer_config.json", config)
    write_json(folder / "vocab.json", {entry: index for index, entry in enumerate(entries)})


def load_tokenizer(folder: Path) -> "CLIPTokenizer":
    """The tokenizer that `write_tokenizer` wrote."""
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(folder)
