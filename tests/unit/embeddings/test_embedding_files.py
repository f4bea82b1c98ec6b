"""Oracles: `torch.load(weights_only=True)`, the safetensors library, and A1111's rules as a1111.md §1.6 has them."""

import hashlib
import io
import json
import pickletools
import re
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors import safe_open
from safetensors.torch import save as save_safetensors

from pseudoword.embeddings import (
    Embedding,
    Provenance,
    embedding_from_bytes,
    embedding_to_bytes,
    read_embedding,
    write_embedding,
)
from pseudoword.errors import BadFile, BadOption, NameTaken, UnsafePickle

KNOWN = Provenance(
    base_model="v1-5-pruned",
    base_model_hash="cc6cb27103",
    step=500,
    initial_text="a cat, küsse",
    num_pictures=24,
    created="2025-01-02T03:04:05+00:00",
    product="pseudoword 0.1.0",
)


def table(*shape: int) -> torch.Tensor:
    count = torch.Size(shape).numel()
    return (torch.arange(count, dtype=torch.float32) - count / 2).reshape(shape) / 7


ONE = Embedding(name="mignon", vectors={"clip_l": table(3, 768)}, provenance=KNOWN)
TWO = Embedding(name="mignon", vectors={"clip_l": table(2, 768), "clip_g": table(2, 1280)}, provenance=KNOWN)


def written(embedding: Embedding, path: Path) -> Path:
    write_embedding(embedding, path)
    return path


# --- round trips -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".bin", ".PT", ".SafeTensors"])
@pytest.mark.parametrize(
    "vectors",
    [
        {"clip_l": table(3, 768)},
        {"clip_h": table(1, 1024)},
        {"clip_l": table(2, 256)},
        {"clip_l": table(4, 32)},
    ],
    ids=["SD1", "SD2", "bundled", "tiny"],
)
def test_one_encoder_comes_back_bit_for_bit_from_every_container(vectors, suffix: str, tmp_path: Path) -> None:
    cat = Embedding(name="cat", vectors=vectors)
    back = read_embedding(written(cat, tmp_path / f"cat{suffix}"))
    assert back.name == "cat"
    assert back.same_vectors(cat)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_two_encoders_come_back_bit_for_bit(suffix: str, tmp_path: Path) -> None:
    back = read_embedding(written(TWO, tmp_path / f"mignon{suffix}"))
    assert back.same_vectors(TWO)
    assert back.widths == {"clip_l": 768, "clip_g": 1280}


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_a_slot_that_its_width_does_not_tell_comes_back(suffix: str, tmp_path: Path) -> None:
    tiny = Embedding(name="cat", vectors={"clip_h": table(2, 32)})
    assert read_embedding(written(tiny, tmp_path / f"cat{suffix}")).same_vectors(tiny)


NO_TOKENS = ("320", "768", "string_to_param", "prompt_embeds", "clip_l_out", "x.alpha", "text_model.x", "state_dict")


@settings(max_examples=40)
@given(
    st.sampled_from([".safetensors", ".pt", ".bin"]),
    st.text(min_size=1, max_size=20).filter(lambda name: name.isprintable()),
    hnp.arrays(
        "float32",
        st.tuples(st.integers(1, 9), st.sampled_from([1, 5, 256, 768])),
        elements=st.floats(-1e9, 1e9, width=32),
    ),
)
def test_any_numbers_under_any_name_come_back(suffix: str, name: str, numbers) -> None:
    cat = Embedding(name=name, vectors={"clip_l": torch.from_numpy(numbers)})
    try:
        content = embedding_to_bytes(cat, suffix)
    except BadOption:
        assert suffix == ".bin"  # the one that has the name as a key; see NO_TOKENS
    else:
        assert embedding_from_bytes(content, name, label="x").same_vectors(cat)


@pytest.mark.parametrize("name", NO_TOKENS)
def test_a_word_that_would_be_taken_for_something_else_as_a_key_is_not_written_as_one(name: str) -> None:
    cat = Embedding(name=name, vectors={"clip_l": ROWS})
    with pytest.raises(BadOption, match="look like something else than a word"):
        embedding_to_bytes(cat, ".bin")
    assert read(embedding_to_bytes(cat, ".safetensors")).same_vectors(cat)


@pytest.mark.parametrize(("embedding", "suffix"), [(ONE, ".safetensors"), (ONE, ".pt"), (TWO, ".safetensors")], ids=str)
def test_the_whole_provenance_comes_back_where_there_is_room(embedding, suffix: str, tmp_path: Path) -> None:
    assert read_embedding(written(embedding, tmp_path / f"mignon{suffix}")).provenance == KNOWN


@pytest.mark.parametrize(("embedding", "suffix"), [(ONE, ".bin"), (TWO, ".pt")])
def test_files_without_room_hold_the_vectors_alone(embedding, suffix: str, tmp_path: Path) -> None:
    assert read_embedding(written(embedding, tmp_path / f"mignon{suffix}")).provenance == Provenance()


# --- what other programs find ----------------------------------------------------------------------------


def test_a_safetensors_file_holds_emb_params_and_texts_in_its_header(tmp_path: Path) -> None:
    with safe_open(written(ONE, tmp_path / "mignon.safetensors"), "pt") as file:
        assert list(file.keys()) == ["emb_params"]
        assert torch.equal(file.get_tensor("emb_params"), ONE.vectors["clip_l"])
        header = file.metadata()
    assert json.loads(header.pop("pseudoword")) == KNOWN.to_plain()
    assert header == {
        "format": "pt",
        "name": "mignon",
        "step": "500",
        "sd_checkpoint": "cc6cb27103",
        "sd_checkpoint_name": "v1-5-pruned",
    }


def test_a_safetensors_file_for_sdxl_holds_clip_l_and_clip_g(tmp_path: Path) -> None:
    with safe_open(written(TWO, tmp_path / "mignon.safetensors"), "pt") as file:
        assert sorted(file.keys()) == ["clip_g", "clip_l"]
        assert torch.equal(file.get_tensor("clip_g"), TWO.vectors["clip_g"])


def test_a_pt_file_has_the_fields_of_a1111(tmp_path: Path) -> None:
    found = torch.load(written(ONE, tmp_path / "mignon.pt"), weights_only=True)
    vectors = found.pop("string_to_param")
    assert list(vectors) == ["*"]
    assert torch.equal(vectors["*"], ONE.vectors["clip_l"])
    assert not vectors["*"].requires_grad
    assert vectors["*"].device.type == "cpu"
    assert found == {
        "string_to_token": {"*": 265},
        "name": "mignon",
        "step": 500,
        "sd_checkpoint": "cc6cb27103",
        "sd_checkpoint_name": "v1-5-pruned",
        "pseudoword": KNOWN.to_plain(),
    }


def test_a_pt_file_without_provenance_says_none(tmp_path: Path) -> None:
    cat = Embedding(name="cat", vectors=ONE.vectors)
    found = torch.load(written(cat, tmp_path / "cat.pt"), weights_only=True)
    assert (found["step"], found["sd_checkpoint"], found["sd_checkpoint_name"]) == (None, None, None)
    assert "pseudoword" not in found


def test_a_pt_file_for_sdxl_holds_nothing_but_tensors(tmp_path: Path) -> None:
    found = torch.load(written(TWO, tmp_path / "mignon.pt"), weights_only=True)
    assert type(found) is dict
    assert sorted(found) == ["clip_g", "clip_l"]
    assert all(isinstance(value, torch.Tensor) for value in found.values())


def test_a_bin_file_has_the_name_as_its_only_key(tmp_path: Path) -> None:
    found = torch.load(written(ONE, tmp_path / "learned_embeds.bin"), weights_only=True)
    assert list(found) == ["mignon"]
    assert torch.equal(found["mignon"], ONE.vectors["clip_l"])


A1111_MEMBERS = re.compile(r"^([^/]+)/((data/\d+)|version|byteorder|(data\.pkl))$")
A1111_GLOBALS = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    "torch FloatStorage",
}


@pytest.mark.parametrize(("embedding", "suffix"), [(ONE, ".pt"), (ONE, ".bin"), (TWO, ".pt")])
def test_our_pickles_pass_the_restricted_reader_of_a1111(embedding, suffix: str) -> None:
    with zipfile.ZipFile(io.BytesIO(embedding_to_bytes(embedding, suffix))) as archive:
        assert archive.testzip() is None
        assert all(A1111_MEMBERS.match(name) for name in archive.namelist())
        assert sum(name.endswith("data.pkl") for name in archive.namelist()) == 1
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        pickled = archive.read("archive/data.pkl")
    named = {argument for opcode, argument, _ in pickletools.genops(pickled) if "GLOBAL" in opcode.name}
    assert named <= A1111_GLOBALS


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".bin"])
def test_the_same_embedding_gives_the_same_bytes_however_it_came_about(suffix: str, tmp_path: Path) -> None:
    first = embedding_to_bytes(ONE, suffix)
    fields = {name: "".join(list(v)) if isinstance(v, str) else v for name, v in KNOWN.to_plain().items()}
    fields["base_model"] = fields["base_model"].encode().decode()
    again = Embedding(
        name=b"mignon".decode(),
        vectors={"clip_l": ONE.vectors["clip_l"].T.contiguous().T},
        provenance=Provenance.from_plain(fields),
    )
    assert embedding_to_bytes(again, suffix) == first
    if suffix != ".bin":
        back = read_embedding(written(ONE, tmp_path / f"mignon{suffix}"))
        assert embedding_to_bytes(back, suffix) == first


def test_equal_texts_give_the_same_bytes_whether_they_are_one_object_or_two() -> None:
    shared = "".join(["m", "ignon"])
    one = Provenance(base_model=shared, product=shared)
    two = Provenance(base_model="".join(["m", "ignon"]), product="".join(["mi", "gnon"]))
    contents = {
        embedding_to_bytes(Embedding(name=shared, vectors=ONE.vectors, provenance=known), ".pt") for known in (one, two)
    }
    assert len(contents) == 1


def test_bytes_are_the_same_in_another_process() -> None:
    code = (
        "import hashlib, torch; from pseudoword.embeddings import *\n"
        "cat = Embedding(name='cat', vectors={'clip_l': torch.ones(2, 768)},"
        " provenance=Provenance(step=1, base_model='m', base_model_hash='h', product='p'))\n"
        "for s in ('.safetensors', '.pt'): print(hashlib.sha256(embedding_to_bytes(cat, s)).hexdigest())"
    )
    known = Provenance(step=1, base_model="m", base_model_hash="h", product="p")
    cat = Embedding(name="cat", vectors={"clip_l": torch.ones(2, 768)}, provenance=known)
    expected = [hashlib.sha256(embedding_to_bytes(cat, s)).hexdigest() for s in (".safetensors", ".pt")]
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == expected


# --- writing refused -------------------------------------------------------------------------------------


def test_an_unknown_suffix_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match=r"'\.zip'; expected \.safetensors, \.pt, \.bin"):
        write_embedding(ONE, tmp_path / "mignon.zip")
    assert list(tmp_path.iterdir()) == []


def test_two_encoders_into_a_diffusers_file_are_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match=r"2 text encoders \(clip_l, clip_g\).*one.*\.safetensors"):
        write_embedding(TWO, tmp_path / "mignon.bin")
    assert list(tmp_path.iterdir()) == []


def test_a_pair_that_no_layout_knows_is_refused() -> None:
    odd = Embedding(name="cat", vectors={"clip_h": table(1, 1024), "clip_g": table(1, 1280)})
    with pytest.raises(BadOption, match="expected clip_l and clip_g"):
        embedding_to_bytes(odd, ".safetensors")


def test_a_file_that_is_there_is_replaced_only_if_wanted(tmp_path: Path) -> None:
    path = written(ONE, tmp_path / "below" / "mignon.pt")
    with pytest.raises(NameTaken, match=r"mignon\.pt is already there"):
        write_embedding(TWO, path, overwrite=False)
    assert read_embedding(path).same_vectors(ONE)
    write_embedding(TWO, path)
    assert read_embedding(path).same_vectors(TWO)
    assert [file.name for file in path.parent.iterdir()] == ["mignon.pt"]


# --- reading ---------------------------------------------------------------------------------------------


def torch_bytes(value: object, *, legacy: bool = False) -> bytes:
    content = io.BytesIO()
    torch.save(value, content, _use_new_zipfile_serialization=not legacy)
    return content.getvalue()


def read(content: bytes) -> Embedding:
    return embedding_from_bytes(content, "cat", label="cat.pt")


ROWS = table(2, 768)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize(
    "value",
    [
        {"string_to_token": {"*": 265}, "string_to_param": {"*": ROWS}, "name": "x", "step": 1},
        {"string_to_param": {"<cat-toy>": ROWS}},
        {"string_to_param": torch.nn.ParameterDict({"*": torch.nn.Parameter(ROWS)})},
        {"<cat-toy>": ROWS},
        {"emb_params": ROWS},
        {"<cat-toy>": torch.nn.Parameter(ROWS)},
        {"<cat-toy>": ROWS.double()},
    ],
    ids=["a1111", "other key", "ParameterDict", "diffusers", "kohya", "parameter", "double"],
)
def test_layouts_of_other_trainers_are_read_from_pickles(value: object, legacy: bool) -> None:
    cat = read(torch_bytes(value, legacy=legacy))
    assert cat.name == "cat"
    assert list(cat.vectors) == ["clip_l"]
    assert torch.equal(cat.vectors["clip_l"], ROWS)


@pytest.mark.parametrize(
    ("value", "widths"),
    [
        ({"<x>": table(768)}, {"clip_l": 768}),
        ({"<x>": table(2, 1024)}, {"clip_h": 1024}),
        ({"<x>": table(2, 256)}, {"clip_l": 256}),
        ({"<x>": table(2, 32)}, {"clip_l": 32}),
        ({"clip_g": table(2, 1280)}, {"clip_g": 1280}),
        ({"clip_g": table(2, 768)}, {"clip_l": 768}),
        ({"clip_g": table(2, 1280), "clip_l": table(2, 768)}, {"clip_l": 768, "clip_g": 1280}),
    ],
)
def test_the_width_says_which_encoder_a_lone_table_is_for(value, widths) -> None:
    for content in (torch_bytes(value), save_safetensors(value)):
        assert read(content).widths == widths


def test_half_precision_files_of_kohya_are_widened_exactly() -> None:
    pair = {"clip_g": table(2, 1280).half(), "clip_l": table(2, 768).bfloat16()}
    cat = read(save_safetensors(pair))
    assert all(torch.equal(cat.vectors[slot], pair[slot].float()) for slot in pair)


def test_the_content_counts_and_not_the_suffix(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(embedding_to_bytes(ONE, ".pt"))
    (tmp_path / "b.pt").write_bytes(embedding_to_bytes(ONE, ".safetensors"))
    assert all(read_embedding(path).same_vectors(ONE) for path in tmp_path.iterdir())


def test_provenance_of_a1111_is_read() -> None:
    fields = {"name": "x", "step": 19500, "sd_checkpoint": "45dee52b", "sd_checkpoint_name": "wd-1.2"}
    known = read(torch_bytes({"string_to_param": {"*": ROWS}, **fields})).provenance
    assert known == Provenance(base_model="wd-1.2", base_model_hash="45dee52b", step=19500)


def test_provenance_of_ai_toolkit_is_read_from_json_in_the_header() -> None:
    fields = {"step": "1500", "sd_checkpoint": "null", "sd_checkpoint_name": '"v1-5"', "name": '"x"'}
    known = read(save_safetensors({"emb_params": ROWS}, fields)).provenance
    assert (known.step, known.base_model) == (1500, "v1-5")


def test_provenance_of_kohya_and_of_nested_training_info_is_read() -> None:
    kohya = {"ss_steps": "1600", "ss_sd_model_name": "v1-5.safetensors", "ss_sd_model_hash": "cc6cb27103"}
    known = read(save_safetensors({"emb_params": ROWS}, kohya)).provenance
    assert known == Provenance(base_model="v1-5.safetensors", base_model_hash="cc6cb27103", step=1600)
    nested = {"training_info": '{"step": 1500, "epoch": 2}'}
    assert read(save_safetensors({"emb_params": ROWS}, nested)).provenance.step == 1500


def test_headers_of_other_programs_do_not_matter() -> None:
    odd = {"step": "soon", "pseudoword": '{"step": "x", "base_model"', "sd_checkpoint_name": '"open'}
    assert torch.equal(read(save_safetensors({"emb_params": ROWS}, odd)).vectors["clip_l"], ROWS)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (ROWS, r"a bare tensor of shape \[2, 768\]"),
        ([ROWS], "a list, with no embedding"),
        (3, "an? int, with no embedding"),
        ({}, "empty mapping"),
        ({"a": ROWS, "b": ROWS}, r"2 embeddings in one file \('a', 'b'\).*convert FILE FOLDER"),
        ({"string_to_param": {"a": ROWS, "b": ROWS}}, r"2 embeddings in one file \('a', 'b'\)"),
        ({"string_to_param": {}}, "no embeddings in string_to_param"),
        ({"string_to_param": [ROWS]}, "string_to_param is a list"),
        ({"string_to_param": {"*": "text"}}, "'\\*' holds a str"),
        ({"string_to_param": {"*": torch.ones(1, 2, 3)}}, r"shape \[1, 2, 3\]"),
        ({"step": 3, "name": "x"}, r"no embedding at all \(keys: 'step', 'name'\)"),
        ({"x": torch.ones(1, 2, 3)}, "no embedding at all"),
        ({"x": torch.ones(())}, "no embedding at all"),
        ({"clip_l": table(2, 768), "clip_g": table(3, 1280)}, "different numbers of vectors"),
        ({"clip_l": table(2, 768), "clip_g": "x"}, "'clip_g' holds a str"),
        ({"x": torch.full((1, 768), torch.nan)}, "not finite"),
        ({f"layer.{n}": ROWS for n in range(40)}, "a model or a LoRA"),
    ],
)
def test_what_is_no_embedding_is_refused_with_what_it_is(value: object, words: str) -> None:
    with pytest.raises(BadFile, match=rf"^cat\.pt: .*{words}"):
        read(torch_bytes(value))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "an empty file"),
        (b"\x89PNG\r\n\x1a\n", "a picture, which is damaged"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "a JPEG picture"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b'{"emb_params": [[1, 2]]}', "JSON"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"\x00\x01\x02\x03", "unknown kind"),
    ],
)
def test_foreign_content_is_named(content: bytes, words: str) -> None:
    with pytest.raises(BadFile, match=words):
        read(content)


def safetensors_of(header: bytes, values: bytes = b"") -> bytes:
    return len(header).to_bytes(8, "little") + header + values


@pytest.mark.parametrize(
    "content",
    [
        embedding_to_bytes(ONE, ".safetensors")[:-1],
        embedding_to_bytes(ONE, ".safetensors")[:100],
        safetensors_of(b"{"),
        safetensors_of(b"{" * 5000),
        safetensors_of(b'{"emb_params":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]}}'),
        safetensors_of(b'{"x":{"dtype":"F32","shape":[99999999999,9999999999],"data_offsets":[0,4]}}', b"\0" * 4),
        safetensors_of(b'{"x":{"dtype":"F4","shape":[2],"data_offsets":[0,1]}}', b"\0"),
        safetensors_of(b'{"x":{"dtype":"what","shape":[1],"data_offsets":[0,4]}}', b"\0" * 4),
        safetensors_of(b'{"__metadata__":{"a":1}}'),
    ],
)
def test_a_damaged_safetensors_file_is_refused(content: bytes) -> None:
    with pytest.raises(BadFile, match=r"cat\.pt"):
        read(content)


@pytest.mark.parametrize(
    ("header", "values", "words"),
    [
        (b'{"a":' + b"[" * 2_000_000, b"", "more parts"),
        (b'{"a":[' + b"1," * 2_000_000 + b"1]}", b"", "more parts"),
        (b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":1}', bytes(4), "there twice"),
        (b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}', bytes(8), "leave a gap"),
        (b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', bytes(8), "8 bytes of values"),
        (
            b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
            b'"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
            bytes(4),
            "overlap",
        ),
        (b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}', bytes(4), "does not fit"),
        (b'{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}', bytes(4), "no counts"),
        (b'{"a":{"dtype":"F32","shape":[true],"data_offsets":[0,4]}}', bytes(4), "no counts"),
        (b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}}', bytes(4), "without dtype"),
    ],
)
def test_what_the_format_forbids_is_refused_at_once(header: bytes, values: bytes, words: str) -> None:
    began = time.monotonic()
    with pytest.raises(BadFile, match=words):
        read(safetensors_of(header, values))
    assert time.monotonic() - began < 2


def test_values_that_begin_at_an_odd_place_are_read() -> None:
    first = b'{"emb_params":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}}'
    content = safetensors_of(first + b" " * (3 - len(first) % 4), torch.tensor([0.5, -0.25]).numpy().tobytes())
    assert read(content).vectors["clip_l"].tolist() == [[0.5, -0.25]]


def test_of_a_lora_larger_than_memory_allows_only_the_word_is_read(tmp_path: Path) -> None:
    header = {"lora_unet_a.lora_up.weight": [0, 300 << 20], "<s1>": [300 << 20, (300 << 20) + 3072]}
    about = {
        key: {"dtype": "F32", "shape": [(end - start) // 3072, 768], "data_offsets": [start, end]}
        for key, (start, end) in header.items()
    }
    text = json.dumps(about).encode()
    with (tmp_path / "lora.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + (300 << 20))
        file.seek(0, 2)
        file.write(ROWS[0].numpy().tobytes())
    assert torch.equal(read_embedding(tmp_path / "lora.safetensors").vectors["clip_l"], ROWS[:1])


@pytest.mark.parametrize("layout", ["a1111", "original", "emb_params"])
@pytest.mark.parametrize("num", [77, 154])
def test_where_the_layout_says_that_it_is_a_word_as_many_vectors_as_a_prompt_has_are_read(
    layout: str, num: int
) -> None:
    long = Embedding(name="long", vectors={"clip_l": torch.linspace(-1, 1, num * 768).reshape(num, 768)})
    assert read(embedding_to_bytes(long, ".pt", layout=layout)).same_vectors(long)


def test_a_layout_that_would_make_a_word_look_like_a_prompts_encoding_is_not_written() -> None:
    long = Embedding(name="long", vectors={"clip_l": torch.ones(77, 768)})
    with pytest.raises(BadOption, match="77 vectors, which under this key look like"):
        embedding_to_bytes(long, ".safetensors", layout="diffusers")


@pytest.mark.parametrize("step", [torch.tensor(7), torch.tensor(7.0), 7.0, "7"])
@pytest.mark.parametrize("value", [{"emb_params": ROWS}, {"<x>": ROWS}, {"string_to_param": {"*": ROWS}}])
def test_a_step_beside_the_vectors_is_no_second_tensor(value: dict, step: object) -> None:
    found = read(torch_bytes({**value, "step": step}))
    assert torch.equal(found.vectors["clip_l"], ROWS)
    assert found.provenance.step == 7


@pytest.mark.parametrize("nothing", ["null", "None"])
def test_a_checkpoint_that_a_trainer_does_not_know_is_none(nothing: str) -> None:
    """ai-toolkit's header has every field as JSON, kohya's as Python writes it."""
    metadata = {"name": '"cat"', "step": "250", "sd_checkpoint": nothing, "sd_checkpoint_name": nothing}
    content = save_safetensors({"emb_params": ROWS}, metadata)
    assert read(content).provenance == Provenance(step=250)


@pytest.mark.parametrize("token", ["my_lora_style", "lora_unet_look", "<v1.0_lora_>"])
def test_a_token_with_a_loras_word_in_it_is_a_token(token: str) -> None:
    assert torch.equal(read(torch_bytes({token: ROWS})).vectors["clip_l"], ROWS)


def test_a_large_file_of_another_kind_is_called_a_model(tmp_path: Path) -> None:
    with (tmp_path / "model.ckpt").open("wb") as file:
        file.truncate(300 << 20)
    with pytest.raises(BadFile, match="300 MiB, which is a model"):
        read_embedding(tmp_path / "model.ckpt")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"x": torch.ones(77, 768)}, "a conditioning tensor"),
        ({"x": torch.ones(1, 77, 768)}, "a conditioning tensor"),
        (torch.ones(1, 154, 2048), "a conditioning tensor"),
        ({"x": torch.ones(1, 256, 4096)}, "a conditioning tensor"),
        ([[torch.ones(1, 77, 768), {"pooled_output": ROWS}]], "a list with a conditioning tensor"),
        ({"prompt_embeds": torch.ones(1, 9, 768)}, "made of a prompt"),
        ({"optimizer_state_dict": {}, "hash": "ab12"}, "an optimiser's state"),
        ({"first_stage_model.decoder.conv_in.weight": ROWS}, "a VAE"),
        ({"model.diffusion_model.out.weight": ROWS}, "a whole model"),
        ({768: [{"linear.0.weight": ROWS}]}, "a hypernetwork"),
        ({"lora_unet_x.lora_up.weight": ROWS, "lora_unet_x.alpha": torch.ones(())}, "a LoRA without learned words"),
        ({"x": torch.ones(2000, 768)}, "a text encoder's vocabulary"),
    ],
)
def test_other_files_of_the_trade_are_called_what_they_are(value: object, words: str) -> None:
    with pytest.raises(BadFile, match=words):
        read(torch_bytes(value))


def test_a_header_length_beyond_the_file_is_refused_before_the_header_is_parsed() -> None:
    with pytest.raises(BadFile, match="header says 99999999 bytes"):
        read((99_999_999).to_bytes(8, "little") + b'{"a"')


def test_a_header_length_beyond_the_formats_limit_is_called_that() -> None:
    with pytest.raises(BadFile, match="a safetensors header of 1000000000 bytes, more than the format allows"):
        read((10**9).to_bytes(8, "little") + b'{"a": 1}')


def test_an_unsafe_pickle_keeps_its_own_kind_of_error() -> None:
    with pytest.raises(UnsafePickle, match=r"cat\.pt: its pickle calls torch\.nn\.modules\.linear\.Linear"):
        read(torch_bytes(torch.nn.Linear(1, 1)))


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"cat\.pt: no such file"):
        read_embedding(tmp_path / "cat.pt")
    with pytest.raises(BadFile, match="Is a directory"):
        read_embedding(tmp_path)


def test_a_file_of_a_models_size_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.truncate(4 << 30)
    with pytest.raises(BadFile, match="4096 MiB, which is a model"):
        read_embedding(tmp_path / "model.safetensors")
