"""Merging words: the vectors against torch's own arithmetic, the files against the readers."""

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from pseudoword.embeddings import Embedding, Provenance, read_embedding, write_embedding
from pseudoword.errors import BadFile, BadInput, BadOption, NameTaken, WrongFamily
from pseudoword.services.merge import merge_words
from pseudoword.services.merge_options import MergeOptions
from pseudoword.settings import Settings


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, vectors in {"word": WORD, "other": OTHER}.items():
        origin = Provenance(base_model="tiny", base_model_hash="0123456789", step=7)
        embedding = Embedding(name=name, vectors={"clip_l": vectors}, provenance=origin)
        write_embedding(embedding, tmp_path / "embeddings" / f"{name}.safetensors")
    return tmp_path / "embeddings"


WORD = torch.arange(64, dtype=torch.float32).reshape(2, 32) / 16
OTHER = torch.linspace(-1, 1, 32).reshape(1, 32)


def merged(out, expression, folder, **options):
    return merge_words(MergeOptions(out=out, expression=expression, **options), Settings(embeddings_dir=folder))


def test_the_issues_expression_with_the_models_own_vectors(folder, load, tiny_folder):
    model = str(tiny_folder("sd1"))
    encoder = load("sd1").encoders[0]
    ids = encoder.tokenizer("a photo of", add_special_tokens=False).input_ids
    expected = encoder.module.get_input_embeddings()(torch.tensor(ids)).clone()
    expected[:2] += WORD * 0.5
    expected[:1] -= OTHER
    expression = '"a photo of" + word*0.5 - other'
    result = merged("sum", expression, folder, model=model)
    assert result.path == folder / "sum.safetensors"
    written = read_embedding(result.path)
    assert list(written.vectors) == ["clip_l"]
    torch.testing.assert_close(written.vectors["clip_l"], expected)
    assert written.provenance.expression == expression
    assert written.provenance.product
    assert written.provenance.created
    with safe_open(result.path, "pt") as file:
        assert expression in str(file.metadata()).replace('\\\\"', '"').replace('\\"', '"')


def test_provenance_keeps_a_model_that_all_parts_share(folder, tiny_folder):
    shared = merged("one", "word + other", folder).embedding.provenance
    assert (shared.base_model, shared.base_model_hash, shared.step) == ("tiny", "0123456789", None)
    mixed = merged("two", "word + 'cat'", folder, model=str(tiny_folder("sd1"))).embedding.provenance
    assert (mixed.base_model, mixed.base_model_hash) == (None, None)
    alone = merged("three", "'cat'", folder, model=str(tiny_folder("sd1"))).embedding.provenance
    assert alone.base_model == "tiny-sd1"


def test_truncated_then_brought_to_a_length(folder):
    result = merged("short", "word, other", folder, truncate=2, norm=0.5).embedding.vectors["clip_l"]
    torch.testing.assert_close(result, WORD / WORD.norm(dim=1, keepdim=True) * 0.5)


def test_rescaling_takes_the_median_length_of_the_models_vocabulary(folder, load, tiny_folder):
    table = load("sd1").encoders[0].module.get_input_embeddings()(torch.arange(4316))
    result = merged("same", "word*9", folder, rescale=True, model=str(tiny_folder("sd1"))).embedding.vectors["clip_l"]
    assert result.norm(dim=1).tolist() == pytest.approx([float(table.norm(dim=1).median())] * 2, rel=1e-5)


def test_texts_for_two_text_encoders(folder, load, tiny_folder):
    result = merged("xl", "'a red cat':2", folder, model=str(tiny_folder("sdxl"))).embedding
    assert result.widths == {"clip_l": 32, "clip_g": 40}
    for encoder in load("sdxl").encoders:
        ids = encoder.tokenizer("a red cat", add_special_tokens=False).input_ids
        own = encoder.module.get_input_embeddings()(torch.tensor(ids))
        assert torch.equal(result.vectors[encoder.slot], own[:2])


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".bin"])
def test_a_path_chooses_the_container(folder, tmp_path, suffix):
    result = merged(str(tmp_path / f"new/made{suffix}"), "word - other", folder)
    expected = WORD.clone()
    expected[:1] -= OTHER
    assert torch.equal(read_embedding(tmp_path / f"new/made{suffix}").vectors["clip_l"], expected)
    assert any("no room" in note for note in result.notes) == (suffix == ".bin")


def test_parts_may_be_files_of_any_layout(folder, tmp_path):
    torch.save({"string_to_param": {"*": OTHER}}, tmp_path / "away.pt")
    result = merged("far", "away.pt*2 + <embeddings/word.safetensors>", folder).embedding.vectors["clip_l"]
    expected = WORD.clone()
    expected[:1] += OTHER * 2
    assert torch.equal(result, expected)


def test_words_are_found_whatever_their_case(folder):
    assert torch.equal(merged("copy", "WORD", folder).embedding.vectors["clip_l"], WORD)


def test_quoted_names_are_plain_text_and_that_is_said(folder, tiny_folder):
    result = merged("new", "'word' + word", folder, model=str(tiny_folder("sd1")))
    assert any("'word' in quotes is plain text" in note for note in result.notes)


def test_notes_on_zeros_and_on_too_many_vectors(folder):
    assert any("zeros" in note for note in merged("nil", "word - word", folder).notes)
    assert any("76 vectors are more than the 75" in note for note in merged("long", "word:76", folder).notes)


def test_families_do_not_mix_and_nothing_is_written(folder):
    save_file({"emb_params": torch.ones(1, 1024)}, folder / "wide.safetensors")
    with pytest.raises(WrongFamily, match=r"column 6: .*an unknown model \(32\).*SD2\.x \(1024\)"):
        merged("new", "word + wide", folder)
    with pytest.raises(WrongFamily, match=r"column 6: .*the bundled model \(256\)"):
        merged("new", "word + 'a cat'", folder)
    with pytest.raises(WrongFamily, match="--norm"):
        merged("new", "word", folder, rescale=True)
    assert sorted(file.name for file in folder.iterdir()) == [
        "other.safetensors",
        "wide.safetensors",
        "word.safetensors",
    ]


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("wrod*2", "column 1: no word 'wrod'.*such as 'word'"),
        ("word + missing.pt", "column 8: .*no such file"),
        ("word + ''", "column 8: .*no token"),
        ("word + broken", "column 8: 'broken' cannot be used"),
        ("word*1e300*1e300", "not finite"),
        ("word*1e39", "not finite"),
        ("word:5000", "column 5: 5000 vectors"),
    ],
)
def test_what_cannot_be_made_is_said(folder, tiny_folder, expression, words):
    (folder / "broken.pt").write_text("nothing")
    with pytest.raises(BadInput, match=words):
        merged("new", expression, folder, model=str(tiny_folder("sd1")))
    assert not (folder / "new.safetensors").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"truncate": 0}, "--truncate 0"),
        ({"norm": 0.0}, "--norm 0.0"),
        ({"norm": float("inf")}, "--norm inf"),
        ({"norm": 1.0, "rescale": True}, "one of the two"),
    ],
)
def test_bad_settings(folder, options, words):
    with pytest.raises(BadOption, match=words):
        merged("new", "word", folder, **options)


def test_nothing_is_replaced_unless_asked(folder):
    before = (folder / "word.safetensors").read_bytes()
    with pytest.raises(NameTaken, match="--overwrite"):
        merged("word", "word*2", folder)
    assert (folder / "word.safetensors").read_bytes() == before
    merged("word", "word*2", folder, overwrite=True)
    assert torch.equal(read_embedding(folder / "word.safetensors").vectors["clip_l"], WORD * 2)


def test_a_bad_name_and_an_unknown_suffix(folder):
    with pytest.raises(BadOption, match="name"):
        merged("a/b", "word", folder)
    with pytest.raises(BadOption, match="name"):
        merged("*", "word", folder)


def test_a_file_with_several_words_is_refused(folder, tmp_path):
    save_file({"<word-a>": torch.ones(1, 32), "<word-b>": torch.ones(1, 32)}, tmp_path / "two.safetensors")
    with pytest.raises(BadFile, match=r"column 1: .*2 words"):
        merged("new", "two.safetensors", folder)
