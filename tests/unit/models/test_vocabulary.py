"""The vocabulary alone is the loaded model's."""

import json
import shutil

import pytest
import torch

from pseudoword.errors import BadModel
from pseudoword.models.load import load_model
from pseudoword.models.vocabulary import load_tokenizers, load_vocabulary, read_widths


@pytest.mark.parametrize("kind", ["sd1", "sd2", "sdxl"])
def test_tables_are_those_of_the_loaded_text_encoders(load, tiny_folder, kind):
    vocabulary = load_vocabulary(str(tiny_folder(kind)))
    encoders = load(kind).encoders
    assert [table.slot for table in vocabulary.tables] == [encoder.slot for encoder in encoders]
    for table, encoder in zip(vocabulary.tables, encoders, strict=True):
        input_ids = torch.arange(encoder.vocabulary_size)
        assert torch.equal(table.table, encoder.module.get_input_embeddings()(input_ids))
        assert table.ids("a red cat") == encoder.tokenizer("a red cat", add_special_tokens=False).input_ids
    assert vocabulary.widths() == load(kind).widths()
    assert read_widths(str(tiny_folder(kind))) == (vocabulary.name, load(kind).widths())


def test_tokens_are_written_as_words_and_pieces_with_a_hyphen():
    (table,) = load_vocabulary("bundled").tables
    vocabulary = table.tokenizer.get_vocab()
    assert table.word(vocabulary["cat</w>"]) == "cat"
    assert table.word(vocabulary["gesturing</w>"]) == "gesturing"
    assert table.word(vocabulary["ca"]) == "ca-"
    assert table.special_ids() == [vocabulary["<|startoftext|>"], vocabulary["<|endoftext|>"]]


def test_the_median_norm_is_the_middle_of_all_rows():
    (table,) = load_vocabulary("bundled").tables
    lengths = sorted(sum(value * value for value in row) ** 0.5 for row in table.table.double().tolist())
    assert table.median_norm() == pytest.approx(lengths[(len(lengths) - 1) // 2], rel=1e-5)


def test_widths_need_no_weights(tiny_folder, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny_folder("sdxl"), folder)
    for file in folder.rglob("*.safetensors"):
        file.unlink()
    assert read_widths(str(folder)) == ("model", {"clip_l": 32, "clip_g": 40})
    with pytest.raises(BadModel, match="no weights"):
        load_vocabulary(str(folder))


def test_a_configuration_without_a_width_is_named(tiny_folder, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny_folder("sd1"), folder)
    config = json.loads((folder / "text_encoder" / "config.json").read_text())
    del config["hidden_size"]
    (folder / "text_encoder" / "config.json").write_text(json.dumps(config))
    with pytest.raises(BadModel, match="hidden_size"):
        read_widths(str(folder))


def test_damaged_weights_are_named(tiny_folder, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny_folder("sd1"), folder)
    (folder / "text_encoder" / "model.safetensors").write_bytes(b"\x00" * 64)
    with pytest.raises(BadModel, match=r"model\.safetensors"):
        load_vocabulary(str(folder))


@pytest.mark.parametrize("kind", ["sd1", "sd2", "sdxl"])
def test_tokenizers_alone_are_those_of_the_loaded_model(whole_folder, write_file, kind):
    for source in (whole_folder(kind), write_file(kind, "safetensors"), write_file(kind, "zip")):
        model = load_model(str(source), device="cpu", precision="fp32", hash_cache=source.parent / "hashes.json")
        name, tokenizers = load_tokenizers(str(source))
        assert name == model.name
        assert {one.slot: one.width for one in tokenizers} == model.widths()
        for alone, encoder in zip(tokenizers, model.encoders, strict=True):
            assert alone.tokenizer("a Cat, 12").input_ids == encoder.tokenizer("a Cat, 12").input_ids
            assert alone.tokenizer.pad_token_id == encoder.tokenizer.pad_token_id


@pytest.mark.parametrize("container", ["safetensors", "zip"])
@pytest.mark.parametrize("kind", ["sd1", "sd2", "sdxl"])
def test_a_single_file_has_the_vocabulary_of_the_folder_that_it_was_made_from(
    whole_folder, write_file, kind, container
):
    path = write_file(kind, container)
    found, expected = load_vocabulary(str(path)), load_vocabulary(str(whole_folder(kind)))
    assert found.name == "model"
    assert [table.slot for table in found.tables] == [table.slot for table in expected.tables]
    for one, other in zip(found.tables, expected.tables, strict=True):
        assert torch.equal(one.table, other.table)
        assert one.ids("a photo of a cat") == other.ids("a photo of a cat") == [320, 1125, 539, 320, 2368]
        assert one.word(2368) == "cat"
    assert read_widths(str(path)) == ("model", expected.widths())


def test_a_file_that_is_no_checkpoint_is_named(tmp_path):
    (tmp_path / "x.safetensors").write_bytes(b"\x00" * 64)
    with pytest.raises(BadModel, match=r"x\.safetensors"):
        read_widths(str(tmp_path / "x.safetensors"))
