"""Our files in diffusers: `load_textual_inversion` must give a prompt the same meaning as here.

SDXL's two files are loaded as diffusers' own page on textual inversion has it: a call for each text encoder with its
tokenizer. https://huggingface.co/docs/diffusers/using-diffusers/textual_inversion_inference
"""

import diffusers
import pytest
import torch
import transformers
from safetensors.torch import load_file

from pseudoword.conditioning.conditioner import Conditioner
from pseudoword.embeddings import Embedding, write_embedding

PROMPT = "a cat by zorp, red"
WIDTHS = {"sd1": {"clip_l": 32}, "sd2": {"clip_h": 48}, "sdxl": {"clip_l": 32, "clip_g": 40}}


@pytest.fixture
def pipeline(tiny_folder, load):
    def make(kind):
        folder, shared = tiny_folder(kind), {"unet": load(kind).unet, "vae": load(kind).vae}
        parts = {
            "tokenizer": transformers.CLIPTokenizer.from_pretrained(folder / "tokenizer"),
            "text_encoder": transformers.CLIPTextModel.from_pretrained(folder / "text_encoder"),
            "scheduler": diffusers.DDIMScheduler(steps_offset=1, clip_sample=False),
        }
        if kind != "sdxl":
            return diffusers.StableDiffusionPipeline(**parts, **shared, safety_checker=None, feature_extractor=None)
        second = transformers.CLIPTextModelWithProjection.from_pretrained(folder / "text_encoder_2")
        tokenizer = transformers.CLIPTokenizer.from_pretrained(folder / "tokenizer_2")
        return diffusers.StableDiffusionXLPipeline(**parts, **shared, text_encoder_2=second, tokenizer_2=tokenizer)

    return make


def word(kind, count):
    generator = torch.Generator().manual_seed(count)
    vectors = {slot: torch.randn(count, width, generator=generator) for slot, width in WIDTHS[kind].items()}
    return Embedding(name="zorp", vectors=vectors)


def check(pipeline, load, kind, embedding):
    theirs = pipeline.encode_prompt(PROMPT, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False)
    here = Conditioner(load(kind)).encode([PROMPT], {"zorp": dict(embedding.vectors)})
    without = Conditioner(load(kind)).encode([PROMPT], {})
    torch.testing.assert_close(here.hidden, theirs[0])
    assert not torch.allclose(without.hidden, theirs[0])


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(
    ("kind", "layout", "suffix", "token"),
    [
        ("sd1", "a1111", ".pt", None),
        ("sd1", "diffusers", ".bin", None),
        ("sd1", "diffusers", ".safetensors", None),
        ("sd1", "emb_params", ".safetensors", "zorp"),
        ("sd1", "onetrainer", ".safetensors", "zorp"),
        ("sd2", "diffusers", ".bin", None),
        ("sd2", "diffusers", ".safetensors", None),
        ("sd2", "emb_params", ".safetensors", "zorp"),
    ],
)
def test_a_word_loaded_by_diffusers_encodes_as_here(pipeline, load, tmp_path, kind, layout, suffix, token, count):
    embedding, theirs = word(kind, count), pipeline(kind)
    write_embedding(embedding, tmp_path / f"file{suffix}", layout=layout)
    theirs.load_textual_inversion(str(tmp_path / f"file{suffix}"), token=token)
    check(theirs, load, kind, embedding)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
def test_a_pair_for_sdxl_loaded_by_diffusers_in_two_calls_encodes_as_here(pipeline, load, tmp_path, suffix, count):
    embedding, theirs = word("sdxl", count), pipeline("sdxl")
    first, second = write_embedding(embedding, tmp_path / f"zorp{suffix}", layout="sdxl-pair")
    theirs.load_textual_inversion(str(first), text_encoder=theirs.text_encoder, tokenizer=theirs.tokenizer)
    theirs.load_textual_inversion(str(second), text_encoder=theirs.text_encoder_2, tokenizer=theirs.tokenizer_2)
    check(theirs, load, "sdxl", embedding)


def test_one_file_for_sdxl_loaded_by_diffusers_tensor_by_tensor_encodes_as_here(pipeline, load, tmp_path):
    embedding, theirs = word("sdxl", 2), pipeline("sdxl")
    write_embedding(embedding, tmp_path / "zorp.safetensors")
    tables = load_file(tmp_path / "zorp.safetensors")
    places = {"clip_l": ("text_encoder", "tokenizer"), "clip_g": ("text_encoder_2", "tokenizer_2")}
    for key, (encoder, tokenizer) in places.items():
        theirs.load_textual_inversion(
            tables[key], token="zorp", text_encoder=getattr(theirs, encoder), tokenizer=getattr(theirs, tokenizer)
        )
    check(theirs, load, "sdxl", embedding)
