import copy
import dataclasses
import pickle

import pytest
import torch

from pseudoword.embeddings import SLOTS, Embedding, Provenance


def word(**vectors: torch.Tensor) -> Embedding:
    return Embedding(name="cat", vectors=vectors)


def test_counts_widths_and_norms_are_those_of_the_tables() -> None:
    cat = word(clip_g=torch.tensor([[3.0, 4.0, 0.0]]), clip_l=torch.tensor([[0.6, 0.8]]))
    assert cat.num_vectors == 1
    assert cat.widths == {"clip_l": 2, "clip_g": 3}
    assert {slot: norms.tolist() for slot, norms in cat.norms().items()} == {"clip_l": [1.0], "clip_g": [5.0]}


def test_slots_come_in_the_order_of_the_text_encoders() -> None:
    layers = [f"clip_l.{layer}" for layer in range(16)]
    assert list(SLOTS) == ["clip_l", "clip_h", "clip_g", "bert", "t5xxl", *layers]
    assert list(word(clip_g=torch.ones(1, 3), clip_l=torch.ones(1, 2)).vectors) == ["clip_l", "clip_g"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int32, torch.uint8])
def test_every_number_type_is_kept_as_float32(dtype: torch.dtype) -> None:
    table = word(clip_l=torch.tensor([[1, 2], [3, 4]], dtype=dtype)).vectors["clip_l"]
    assert table.dtype == torch.float32
    assert table.tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_a_value_owns_its_tables() -> None:
    rows = torch.nn.Parameter(torch.ones(2, 4))
    cat = word(clip_l=rows)
    with torch.no_grad():
        rows += 1
    assert torch.equal(cat.vectors["clip_l"], torch.ones(2, 4))
    assert not cat.vectors["clip_l"].requires_grad


def test_a_turned_view_becomes_contiguous() -> None:
    assert word(clip_l=torch.arange(6.0).reshape(2, 3).T).vectors["clip_l"].is_contiguous()


def test_a_value_cannot_be_changed() -> None:
    cat = word(clip_l=torch.ones(1, 2))
    with pytest.raises(dataclasses.FrozenInstanceError):
        cat.name = "dog"
    with pytest.raises(TypeError):
        cat.vectors["clip_h"] = torch.ones(1, 2)


def test_change_is_a_new_value() -> None:
    cat = word(clip_l=torch.ones(1, 2))
    dog = dataclasses.replace(cat, name="dog")
    assert (cat.name, dog.name) == ("cat", "dog")
    assert dog.same_vectors(cat)


def test_a_value_travels_between_processes() -> None:
    cat = word(clip_l=torch.ones(1, 2))
    for other in (pickle.loads(pickle.dumps(cat)), copy.deepcopy(cat)):
        assert other.name == "cat"
        assert other.same_vectors(cat)


@pytest.mark.parametrize(
    ("vectors", "words"),
    [
        ({}, "slots"),
        ({"t5": torch.ones(1, 2)}, "t5"),
        ({"clip_l": torch.ones(2)}, r"shape \[2\]"),
        ({"clip_l": torch.ones(0, 2)}, r"shape \[0, 2\]"),
        ({"clip_l": torch.ones(1, 2, 3)}, r"shape \[1, 2, 3\]"),
        ({"clip_l": torch.ones(1, 2), "clip_g": torch.ones(2, 3)}, "different numbers"),
        ({"clip_l": torch.tensor([[1.0, torch.nan]])}, "not finite"),
        ({"clip_l": torch.tensor([[1.0, torch.inf]])}, "not finite"),
        ({"clip_l": torch.tensor([[1e300]], dtype=torch.float64)}, "not finite"),
        ({"clip_l": torch.ones(1, 2, dtype=torch.complex64)}, "complex64"),
        ({"clip_l": torch.ones(1, 2, dtype=torch.bool)}, "bool"),
    ],
)
def test_tables_that_are_none_are_refused_with_what_is_wrong(vectors, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Embedding(name="cat", vectors=vectors)


def test_a_name_is_needed() -> None:
    with pytest.raises(ValueError, match="name"):
        Embedding(name="", vectors={"clip_l": torch.ones(1, 2)})


def test_same_vectors_compares_slots_and_numbers_and_not_names() -> None:
    cat = word(clip_l=torch.ones(1, 2))
    assert cat.same_vectors(Embedding(name="dog", vectors={"clip_l": torch.ones(1, 2)}))
    assert not cat.same_vectors(word(clip_l=torch.ones(2, 2)))
    assert not cat.same_vectors(word(clip_h=torch.ones(1, 2)))
    assert not cat.same_vectors(word(clip_l=torch.tensor([[1.0, 1.0000001]])))


def test_provenance_goes_through_plain_values_and_back() -> None:
    known = Provenance(base_model="bundled", step=200, num_pictures=24, created="2025-01-02T03:04:05+00:00")
    plain = known.to_plain()
    assert plain == {
        "base_model": "bundled",
        "step": 200,
        "num_pictures": 24,
        "created": "2025-01-02T03:04:05+00:00",
    }
    assert Provenance.from_plain(plain) == known


def test_provenance_leaves_out_what_is_of_the_wrong_kind() -> None:
    odd = {"step": "many", "base_model": 3, "num_pictures": True, "mood": "good", "product": "p 1"}
    assert Provenance.from_plain(odd) == Provenance(product="p 1")
