"""Drawing against diffusers' own pipelines, and the promises about seeds and batches."""

import numpy as np
import pytest
import torch

from pseudoword.conditioning.conditioner import Conditioner
from pseudoword.errors import BadOption
from pseudoword.events import PictureDone, Progress
from pseudoword.generation.draw import draw as draw_events
from pseudoword.generation.img2img import to_picture
from pseudoword.generation.options import GenerateOptions
from pseudoword.generation.sampling.names import SAMPLERS
from pseudoword.generation.sampling.noise import NoiseState, Seeds


@pytest.mark.parametrize("negative", ["", "dog"])
def test_an_empty_negative_prompt_of_sdxl_is_zeros_and_another_is_encoded(load, monkeypatch, negative):
    model = load("sdxl")
    seen = []
    real = type(model).predict
    monkeypatch.setattr(type(model), "predict", lambda *a: (seen.append(a[3]), real(*a))[1])
    draw(model, negative_prompt=negative, steps=1)
    assert bool((seen[0].hidden[0] == 0).all()) == (negative == "")
    assert bool((seen[0].pooled[0] == 0).all()) == (negative == "")
    assert seen[0].hidden[1].abs().sum() > 0


def draw(model, words=None, **options):
    request = GenerateOptions(**({"prompt": "a cat", "steps": 3, "seed": 5} | options))
    events = list(draw_events(Conditioner(model), request, words or {}, {"zorp": "0" * 12}))
    return [event for event in events if isinstance(event, PictureDone)]


def first_noise(*seeds):
    return NoiseState(Seeds(pictures=seeds), (4, 8, 8), torch.device("cpu")).first()


def values(image):
    return np.asarray(image).astype(int)


@pytest.mark.parametrize("kind", ["sd1", "sd2", "sdxl"])
def test_pictures_are_those_of_the_diffusers_pipeline(load, kind):
    import diffusers

    model = load(kind)
    parts = {"vae": model.vae, "unet": model.unet}
    for number, encoder in enumerate(model.encoders):
        suffix = "_2" if number else ""
        parts["text_encoder" + suffix], parts["tokenizer" + suffix] = encoder.module, encoder.tokenizer
    parts["scheduler"] = diffusers.EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        steps_offset=1,
        prediction_type=model.schedule.prediction_type,
    )
    if kind == "sdxl":
        pipeline = diffusers.StableDiffusionXLPipeline(
            **parts, force_zeros_for_empty_prompt=False, add_watermarker=False
        )
    else:
        pipeline = diffusers.StableDiffusionPipeline(**parts, safety_checker=None, feature_extractor=None)
    pipeline.set_progress_bar_config(disable=True)
    noise = first_noise(5)
    expected = pipeline(
        "a cat", negative_prompt="dog", num_inference_steps=3, guidance_scale=5.0, latents=noise, height=64, width=64
    ).images[0]
    [done] = draw(model, negative_prompt="dog", sampler="Euler", cfg_scale=5)
    assert np.abs(values(done.image) - values(expected)).max() <= 1


@pytest.mark.parametrize(
    ("kind", "sampler"), [("sd1", s.name) for s in SAMPLERS] + [("bundled", "Euler a"), ("bundled", "DPM++ SDE")]
)
def test_a_batch_has_the_noise_of_single_runs_and_their_pictures(load, kind, sampler):
    model = load(kind)
    batch = draw(model, batch_size=2, sampler=sampler)
    singles = [draw(model, seed=5 + i, sampler=sampler)[0] for i in range(2)]
    assert [done.seed for done in batch] == [5, 6]
    for together, alone in zip(batch, singles, strict=True):
        assert np.abs(values(together.image) - values(alone.image)).max() <= 1
        assert together.infotext == alone.infotext


def test_a_batch_in_half_precision_equals_single_runs_too(load):
    model = load("sd1", "bf16")
    batch = draw(model, batch_size=2)
    assert np.array_equal(values(batch[1].image), values(draw(model, seed=6)[0].image))


def test_noise_of_a_batch_is_bit_for_bit_that_of_single_pictures():
    together = first_noise(3, 4)
    alone = [first_noise(3), first_noise(4)]
    assert torch.equal(together, torch.cat(alone))
    assert torch.equal(alone[0], torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(3)))


def test_the_same_seed_gives_the_same_picture_and_another_seed_another(load):
    first, again, other = (draw(load("sd1"), seed=seed)[0].image for seed in (1, 1, 2))
    assert np.array_equal(values(first), values(again))
    assert not np.array_equal(values(first), values(other))


def test_seed_minus_one_is_drawn_and_told(load):
    [done] = draw(load("sd1"), seed=-1)
    assert 0 <= done.seed < 2**32
    assert f"Seed: {done.seed}," in done.infotext


def test_batches_follow_each_other_with_the_next_seeds(load):
    assert [d.seed for d in draw(load("sd1"), batch_size=2, count=2)] == [5, 6, 7, 8]


def test_progress_counts_all_steps_of_all_batches(load):
    request = GenerateOptions(prompt="x", steps=3, seed=0, count=2)
    told = [e for e in draw_events(Conditioner(load("sd1")), request, {}) if isinstance(e, Progress)]
    assert [(e.done, e.total) for e in told] == [(n, 6) for n in range(1, 7)]


def test_guidance_of_one_asks_the_unet_once_per_step_and_ignores_the_negative(load):
    first = draw(load("sd1"), cfg_scale=1, negative_prompt="dog")[0].image
    second = draw(load("sd1"), cfg_scale=1)[0].image
    assert np.array_equal(values(first), values(second))


def test_a_learned_word_changes_the_picture_and_stands_in_the_infotext(load):
    model = load("sdxl")
    generator = torch.Generator().manual_seed(0)
    word = {slot: 3 * torch.randn(2, width, generator=generator) for slot, width in model.widths().items()}
    [without] = draw(model, prompt="a zorp")
    [with_word] = draw(model, {"zorp": word}, prompt="a zorp")
    assert not np.array_equal(values(without.image), values(with_word.image))
    assert 'TI hashes: "zorp: 000000000000"' in with_word.infotext
    assert "TI hashes" not in without.infotext


def test_other_sizes_are_drawn_and_told(load):
    [done] = draw(load("sd1"), width=72, height=48)
    assert done.image.size == (72, 48)
    assert "Size: 72x48" in done.infotext


def test_a_size_that_is_no_multiple_of_eight_is_refused(load):
    with pytest.raises(BadOption, match="multiple of 8"):
        draw(load("sd1"), width=65)


@pytest.mark.parametrize(
    "options",
    [
        {"steps": 0},
        {"steps": 151},
        {"batch_size": 0},
        {"cfg_scale": 1001},
        {"cfg_scale": float("nan")},
        {"seed": -2},
        {"sampler": "x"},
        {"width": 4},
    ],
)
def test_settings_out_of_range_are_refused(options):
    with pytest.raises(BadOption):
        GenerateOptions(prompt="x", **options)


@pytest.mark.parametrize("scale", [0.0, 0.5, 45.0, -2.0])
def test_guidance_may_be_any_number_as_over_a1111s_api(load, scale):
    """uncond + cfg·(cond - uncond) with another prompt's place: -1 towards a cat is 2 towards a dog."""
    model = load("sd1")
    [one] = draw(model, negative_prompt="dog", sampler="Euler", cfg_scale=scale)
    [other] = draw(model, prompt="dog", negative_prompt="a cat", sampler="Euler", cfg_scale=1 - scale)
    off = np.abs(values(one.image).astype(int) - values(other.image))
    assert off.max() <= 1
    assert f"CFG scale: {scale:g}, " in one.infotext


def test_pixels_are_rounded_to_the_nearest_level():
    pixels = torch.tensor([-1.0, 0.0, 1.0, 2.0]).view(1, 1, 4).expand(3, 1, 4)
    assert values(to_picture(pixels))[0, :, 0].tolist() == [0, 128, 255, 255]
