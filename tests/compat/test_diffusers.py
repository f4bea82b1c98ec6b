"""Our files in diffusers: `load_textual_inversion` must give a prompt the same meaning as here."""

import diffusers
import pytest
import torch

from pseudoword.conditioning.conditioner import Conditioner
from pseudoword.embeddings import Embedding, write_embedding


@pytest.mark.parametrize(("suffix", "token"), [(".bin", None), (".pt", None), (".safetensors", "zorp")])
def test_a_word_loaded_by_diffusers_encodes_as_here(tiny_folder, load, tmp_path, suffix, token):
    vectors = {"clip_l": torch.randn(3, 32, generator=torch.Generator().manual_seed(0))}
    path = tmp_path / f"zorp{suffix}"
    write_embedding(Embedding(name="zorp", vectors=vectors), path)
    folder = tiny_folder("sd1")
    pipeline = diffusers.StableDiffusionPipeline(
        tokenizer=diffusers_part("CLIPTokenizer", folder / "tokenizer"),
        text_encoder=diffusers_part("CLIPTextModel", folder / "text_encoder"),
        unet=load("sd1").unet,
        vae=load("sd1").vae,
        scheduler=diffusers.DDIMScheduler(steps_offset=1, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
    )
    pipeline.load_textual_inversion(str(path), token=token)
    expected, _ = pipeline.encode_prompt("a cat by zorp, red", "cpu", 1, False)
    here = Conditioner(load("sd1")).encode(["a cat by zorp, red"], {"zorp": vectors}).hidden
    torch.testing.assert_close(here, expected)


def diffusers_part(name, folder):
    import transformers

    return getattr(transformers, name).from_pretrained(folder)
