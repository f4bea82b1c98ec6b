"""A model's vocabulary alone: the token embeddings of its text encoders with their tokenizers, and their widths.

Read from the weight files without making the model: of a text encoder's tensors only the one table is read, so that
asking what a word is near to costs no second pass over gigabytes.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pseudoword.errors import BadModel
from pseudoword.models.clip_tokenizer import VOCABULARY_SIZE
from pseudoword.models.folder import ModelFolder, find_checkpoint, find_model
from pseudoword.models.folder_parts import first_slot, load_tokenizer
from pseudoword.models.keys import Place
from pseudoword.models.shapes import TextNames
from pseudoword.models.single_file import Part, open_checkpoint, text_parts, tokenizer_of

_TABLE = "embeddings.token_embedding.weight"
_WORD_END = "</w>"


@dataclass(frozen=True, slots=True, kw_only=True)
class VocabularyTable:
    """The token embeddings [vocabulary, width] of one text encoder, in float32 on the CPU."""

    slot: str
    table: torch.Tensor
    tokenizer: Any

    def ids(self, text: str) -> list[int]:
        """Token ids of `text`, without start and end token."""
        return list(self.tokenizer(text, add_special_tokens=False).input_ids)

    def word(self, token: int) -> str:
        """A token as a reader writes it; a piece that goes on into the next one ends in a hyphen."""
        written = str(self.tokenizer.convert_ids_to_tokens(token))
        shown = str(self.tokenizer.decode([token])).strip() or written
        return shown if written.endswith(_WORD_END) else f"{shown}-"

    def special_ids(self) -> list[int]:
        """Start, end and padding, which are no words."""
        return list(self.tokenizer.all_special_ids)

    def median_norm(self) -> float:
        """The middle one of the rows' lengths."""
        return float(self.table.square().sum(dim=1).sqrt().median())


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """The tables of all text encoders of a model, in their order."""

    name: str
    tables: tuple[VocabularyTable, ...]

    def widths(self) -> dict[str, int]:
        """Slot → width."""
        return {table.slot: table.table.shape[1] for table in self.tables}

    def median_norms(self) -> dict[str, float]:
        """Slot → median length of its rows."""
        return {table.slot: table.median_norm() for table in self.tables}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoneTokenizer:
    """The tokenizer of one text encoder, and the width of the token embeddings that it stands for."""

    slot: str
    tokenizer: Any
    width: int


def load_tokenizers(source: str) -> tuple[str, tuple[LoneTokenizer, ...]]:
    """A model's name and its tokenizers, in the order of its text encoders; no weights are read.

    Raises:
        BadModel: there is no such model, or its files are damaged.
        UnsafePickle: a checkpoint's pickle names something that is not on the allow-list.
    """
    if (file := find_checkpoint(source)) is not None:
        encoders = text_parts(open_checkpoint(file))
        return file.stem, tuple(
            LoneTokenizer(slot=slot, tokenizer=tokenizer_of(slot), width=_token_shape(part, names)[1])
            for slot, part, names in encoders
        )
    folder = find_model(source)
    tokenizers: list[LoneTokenizer] = []
    for part, slot in _slots(folder):
        size = folder.config(part).get("vocab_size", VOCABULARY_SIZE)
        tokenizer = load_tokenizer(folder, part.replace("text_encoder", "tokenizer"), size)
        tokenizers.append(LoneTokenizer(slot=slot, tokenizer=tokenizer, width=_width(folder, part)))
    return folder.name, tuple(tokenizers)


def load_vocabulary(source: str) -> Vocabulary:
    """The vocabulary of a bundled model, a checkpoint's file, a folder in diffusers' layout or a hub id.

    Raises:
        BadModel: there is no such model, or its files are damaged.
        UnsafePickle: a checkpoint's pickle names something that is not on the allow-list.
    """
    if (file := find_checkpoint(source)) is not None:
        encoders = text_parts(open_checkpoint(file))
        return Vocabulary(name=file.stem, tables=tuple(_table_of(*encoder) for encoder in encoders))
    folder = find_model(source)
    tables = tuple(_read_table(folder, part, slot) for part, slot in _slots(folder))
    return Vocabulary(name=folder.name, tables=tables)


def read_widths(source: str) -> tuple[str, dict[str, int]]:
    """A model's name, and slot → width from its configuration or its weights' shapes; no weights are read.

    Raises:
        BadModel: there is no such model, or it does not say its widths.
        UnsafePickle: as `load_vocabulary`.
    """
    if (file := find_checkpoint(source)) is not None:
        encoders = text_parts(open_checkpoint(file))
        return file.stem, {slot: _token_shape(part, names)[1] for slot, part, names in encoders}
    folder = find_model(source)
    return folder.name, {slot: _width(folder, part) for part, slot in _slots(folder)}


def _token_shape(part: Part, names: TextNames) -> tuple[int, ...]:
    shape = part.shape_of(names.tokens)
    if shape is None or len(shape) != 2 or shape[0] != VOCABULARY_SIZE:
        found = f"one of shape {list(shape)}" if shape else "none"
        raise BadModel(
            f"{part.weights.path}: its table of token embeddings is {found}", expected=f"[{VOCABULARY_SIZE}, width]"
        )
    return shape


def _table_of(slot: str, part: Part, names: TextNames) -> VocabularyTable:
    table = part.read(Place(names.tokens), torch.Size(_token_shape(part, names)))
    return VocabularyTable(slot=slot, table=table.float().clone(), tokenizer=tokenizer_of(slot))


def _slots(folder: ModelFolder) -> list[tuple[str, str]]:
    """Part → slot, for the text encoders."""
    two = "text_encoder_2" in folder.parts
    first = ("text_encoder", first_slot(folder.config("text_encoder"), two=two))
    return [first, ("text_encoder_2", "clip_g")] if two else [first]


def _width(folder: ModelFolder, part: str) -> int:
    width = folder.config(part).get("hidden_size")
    if not isinstance(width, int):
        raise BadModel(f"{folder.path / part / 'config.json'} names no hidden_size", next_move="Fetch the model again")
    return width


def _read_table(folder: ModelFolder, part: str, slot: str) -> VocabularyTable:
    table = _find_tensor(folder.weights(part)[0])
    if table is None or table.ndim != 2 or table.shape[1] != _width(folder, part):
        raise BadModel(f"{folder.path / part} has no table of token embeddings", next_move="Fetch the model again")
    tokenizer = load_tokenizer(folder, part.replace("text_encoder", "tokenizer"), len(table))
    return VocabularyTable(slot=slot, table=table.float(), tokenizer=tokenizer)


def _find_tensor(files: list[Path]) -> torch.Tensor | None:
    from safetensors import SafetensorError, safe_open

    for file in files:
        try:
            with safe_open(file, framework="pt", device="cpu") as weights:
                found = next((key for key in weights.keys() if key.endswith(_TABLE)), None)  # noqa: SIM118
                if found is not None:
                    return weights.get_tensor(found)
        except (SafetensorError, OSError) as problem:
            raise BadModel(f"{file} cannot be read ({problem})", next_move="Fetch the model again") from problem
    return None
