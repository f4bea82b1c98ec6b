"""From every layout that can be written into every other one and back, and a short seeded fuzz of all readers."""

import pytest
import torch
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tests.fuzzing import check, files, seeds

from pseudoword.embeddings import (
    LAYOUTS,
    SLOTS,
    Embedding,
    Provenance,
    embedding_from_bytes,
    embedding_to_bytes,
)
from pseudoword.embeddings.writing import SUFFIXES
from pseudoword.errors import BadOption

WIDTHS = {"clip_l": 8, "clip_h": 12, "clip_g": 16, "bert": 20, "t5xxl": 24, **{f"clip_l.{n}": 8 for n in range(16)}}
SETS = [
    *(("clip_l",), ("clip_h",), ("clip_g",), ("bert",), ("t5xxl",)),
    *(("clip_l", "clip_g"), ("clip_l", "t5xxl"), ("clip_l", "clip_g", "t5xxl")),
    tuple(f"clip_l.{n}" for n in range(16)),
]
HAS_ROOM = {"a1111", "original", "card"}
"""Layouts that carry the provenance in every container; the others do in safetensors."""


@st.composite
def embeddings(draw) -> Embedding:
    slots = draw(st.sampled_from(SETS))
    count = draw(st.integers(1, 4))
    numbers = st.floats(-(2.0**100), 2.0**100, width=32)
    vectors = {
        slot: torch.from_numpy(draw(hnp.arrays("float32", (count + (slot == "t5xxl"), WIDTHS[slot]), elements=numbers)))
        for slot in slots
    }
    text = st.none() | st.text(max_size=12)
    known = Provenance(step=draw(st.none() | st.integers(0, 10**6)), base_model=draw(text), initial_text=draw(text))
    return Embedding(name="zorp", vectors=vectors, provenance=known)


FORMS = [(layout, suffix) for layout in LAYOUTS for suffix in SUFFIXES if layout != "sdxl-pair"]


def through(embedding: Embedding, layout: str, suffix: str) -> Embedding | None:
    """The embedding written and read back, or None where the layout refuses it."""
    try:
        content = embedding_to_bytes(embedding, suffix, layout=layout)
    except BadOption:
        return None
    assert content == embedding_to_bytes(embedding, suffix, layout=layout)
    return embedding_from_bytes(content, "zorp", label="zorp")


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(embeddings(), st.sampled_from(FORMS), st.sampled_from(FORMS))
def test_numbers_survive_any_road_from_layout_to_layout(cat: Embedding, there, back) -> None:
    first = through(cat, *there)
    if first is None:
        return
    assert same(first, cat, there[0])
    if there[0] in HAS_ROOM or there[1] == ".safetensors":
        assert first.provenance.step == cat.provenance.step
    second = through(first, *back)
    if second is not None:
        assert same(second, cat, there[0], back[0])


def same(found: Embedding, wanted: Embedding, *layouts: str) -> bool:
    """The same vectors in the same slots; a diffusers file has no place for the slot of a width that no model has."""
    if "diffusers" in layouts and len(wanted.vectors) == 1 and "clip_l" not in wanted.vectors:
        return all(map(torch.equal, found.vectors.values(), wanted.vectors.values()))
    return found.same_vectors(wanted)


@pytest.mark.parametrize("slots", SETS, ids=" + ".join)
def test_every_set_of_encoders_has_a_layout_that_takes_it(slots: tuple[str, ...]) -> None:
    cat = Embedding(name="zorp", vectors={slot: torch.ones(2, WIDTHS[slot]) for slot in slots})
    assert embedding_from_bytes(embedding_to_bytes(cat, ".safetensors"), "zorp", label="x").same_vectors(cat)
    assert set(slots) <= set(SLOTS)


@pytest.mark.parametrize(
    ("vectors", "layout"),
    [({"bert": (1, 1280)}, "original"), ({"clip_h": (2, 1024)}, "onetrainer"), ({"clip_l": (2, 768)}, "original")]
    + [
        ({slot: (2, 1280)}, layout)
        for slot in ("bert", "clip_g")
        for layout in ("a1111", "diffusers", "emb_params", "onetrainer", "card")
    ],
)
def test_real_widths_survive_where_they_tell_the_encoder(vectors, layout: str) -> None:
    cat = Embedding(name="zorp", vectors={slot: torch.ones(*shape) for slot, shape in vectors.items()})
    suffix = {"onetrainer": ".safetensors", "card": ".png"}.get(layout, ".pt")
    assert embedding_from_bytes(embedding_to_bytes(cat, suffix, layout=layout), "x", label="x").same_vectors(cat)


SEEDS = seeds()


@seed(20261125)
@settings(max_examples=400, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(files(SEEDS))
def test_no_mutation_of_a_file_breaks_a_reader(content: bytes) -> None:
    check(content)
