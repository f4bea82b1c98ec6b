"""Every layout in every container that can hold it; the files and what is in them: `tests/embedding_files.py`."""

import pytest
import torch
from tests.embedding_files import Expected, all_files

from pseudoword.embeddings import embeddings_from_bytes

FILES = all_files()


@pytest.mark.parametrize("title", FILES)
def test_a_file_of_another_program_gives_its_embeddings_with_exact_values(title: str) -> None:
    content, container, expected = FILES[title]
    found = {one.embedding.name: one for one in embeddings_from_bytes(content, "mignon", label="mignon.pt")}
    assert set(found) == {one.name for one in expected}
    for one in expected:
        check(found[one.name], container, one)


def check(found, container: str, expected: Expected) -> None:
    assert (found.container, found.layout) == (container, expected.layout)
    assert found.inner_key == expected.inner_key
    assert found.family == expected.family
    assert found.candidates == ((expected.family,) if expected.candidates is None else expected.candidates)
    assert set(found.embedding.vectors) == set(expected.vectors)
    for slot, rows in expected.vectors.items():
        assert torch.equal(found.embedding.vectors[slot], rows)
