"""img2img, inpainting and the hires pass with tiny models; diffusers' pipeline as second opinion."""

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from pseudoword.conditioning.conditioner import Conditioner
from pseudoword.errors import BadFile, BadOption
from pseudoword.events import PictureDone, Progress, Warned
from pseudoword.generation.draw import draw
from pseudoword.generation.hires import target_of
from pseudoword.generation.img2img import Sources, load_sources, to_picture, to_pixels
from pseudoword.generation.options import UPSCALERS, GenerateOptions
from pseudoword.generation.sampling.names import SAMPLERS
from pseudoword.generation.signals import Signal

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8))
MASK = Image.new("L", (64, 64))
ImageDraw.Draw(MASK).rectangle((16, 16, 39, 39), fill=255)


def request(**options):
    return GenerateOptions(**({"prompt": "a cat", "steps": 4, "seed": 5, "sampler": "Euler"} | options))


def pictures(model, sources=None, **options):
    events = draw(Conditioner(model), request(**options), {}, sources=sources)
    return [event for event in events if isinstance(event, PictureDone)]


def values(image):
    return np.asarray(image).astype(int)


@pytest.fixture
def calls(monkeypatch):
    """Every call of a model: (latents, timesteps, conditioning, concat)."""
    from pseudoword.models.diffusers_model import DiffusersModel

    seen = []
    real = DiffusersModel.predict

    def predict(self, *given):
        seen.append(given)
        return real(self, *given)

    monkeypatch.setattr(DiffusersModel, "predict", predict)
    return seen


def test_img2img_is_that_of_the_diffusers_pipeline(load):
    model = load("sd1")
    [encoder] = model.encoders
    scheduler = diffusers.EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="linspace", steps_offset=1
    )
    pipeline = diffusers.StableDiffusionImg2ImgPipeline(
        vae=model.vae, unet=model.unet, text_encoder=encoder.module, tokenizer=encoder.tokenizer,
        scheduler=scheduler, safety_checker=None, feature_extractor=None,
    )  # fmt: skip
    pipeline.set_progress_bar_config(disable=True)
    latents = model.encode_pictures(to_pixels(PICTURE))[0]
    expected = pipeline(
        "a cat", image=latents, strength=0.75, num_inference_steps=4, guidance_scale=5.0, negative_prompt="dog",
        generator=torch.Generator().manual_seed(5),
    ).images[0]  # fmt: skip
    # diffusers runs ⌊0.75 · 4⌋ = 3 steps, A1111 ⌊0.5 · 4⌋ + 1 = 3
    [done] = pictures(model, Sources(init=PICTURE), negative_prompt="dog", cfg_scale=5.0, denoising_strength=0.5)
    assert np.abs(values(done.image) - values(expected)).max() <= 1
    assert "Denoising strength: 0.5" in done.infotext


def test_without_strength_the_picture_only_goes_through_the_autoencoder(load):
    model = load("sd1")
    [done] = pictures(model, Sources(init=PICTURE), denoising_strength=0)
    mean = model.encode_pictures(to_pixels(PICTURE))[0]
    assert np.array_equal(values(done.image), values(to_picture(model.decode_latents(mean)[0])))


@pytest.mark.parametrize("sampler", [s.name for s in SAMPLERS if s.name != "DPM adaptive"])
def test_every_sampler_draws_in_a_mask_and_leaves_the_rest(load, sampler):
    [done] = pictures(load("sd1"), Sources(init=PICTURE, mask=MASK), sampler=sampler, mask_blur=0)
    changed = (values(done.image) != values(PICTURE)).any(axis=2)
    assert changed[16:40, 16:40].mean() > 0.9
    assert not changed[:16].any() and not changed[:, 40:].any()


def test_a_mask_can_be_turned_around(load):
    [done] = pictures(load("sd1"), Sources(init=PICTURE, mask=MASK), mask_invert=True, mask_blur=0)
    changed = (values(done.image) != values(PICTURE)).any(axis=2)
    assert not changed[16:40, 16:40].any() and changed[:16].mean() > 0.9
    assert "Mask mode: Inpaint not masked" in done.infotext


def test_latents_outside_of_the_mask_are_the_originals_at_the_end(load, monkeypatch):
    from pseudoword.models.diffusers_model import DiffusersModel

    model = load("sd1")
    decoded = []
    real = DiffusersModel.decode_latents
    monkeypatch.setattr(DiffusersModel, "decode_latents", lambda self, x: (decoded.append(x), real(self, x))[1])
    pictures(model, Sources(init=PICTURE, mask=MASK), mask_blur=0)
    original = model.encode_pictures(to_pixels(PICTURE))[0]
    differs = (decoded[0] - original).abs().amax(1)[0] > 1e-5
    assert differs.nonzero().tolist() == [[y, x] for y in (2, 3, 4) for x in (2, 3, 4)]


@pytest.mark.parametrize("content", ["fill", "original", "latent noise", "latent nothing"])
def test_masked_content_changes_the_start_and_a_batch_equals_single_runs(load, content, calls):
    sources = Sources(init=PICTURE, mask=MASK)
    both = pictures(load("sd1"), sources, batch_size=2, masked_content=content)
    second = pictures(load("sd1"), sources, seed=6, masked_content=content)
    assert np.abs(values(both[1].image) - values(second[0].image)).max() <= 1
    plain = pictures(load("sd1"), sources)
    assert np.array_equal(values(plain[0].image), values(both[0].image)) == (content == "original")


def test_only_masked_draws_the_region_at_full_size_into_a_larger_picture(load):
    large = PICTURE.resize((200, 120))
    mask = Image.new("L", (200, 120))
    ImageDraw.Draw(mask).rectangle((100, 50, 119, 69), fill=255)
    [done] = pictures(
        load("sd1"), Sources(init=large, mask=mask), inpaint_area="only masked", mask_padding=5, mask_blur=0
    )
    changed = (values(done.image) != values(large)).any(axis=2)
    assert done.image.size == (200, 120)
    assert changed[50:70, 100:120].mean() > 0.9
    assert changed.sum() <= 400
    assert "Inpaint area: Only masked, Masked area padding: 5" in done.infotext


def test_inpainting_models_are_shown_the_mask_and_the_masked_picture(load, calls):
    model = load("sd1-inpainting")
    pictures(model, Sources(init=PICTURE, mask=MASK), mask_blur=0, steps=1)
    concat = calls[0][3]
    assert concat.shape == (2, 5, 8, 8)
    assert concat[0, 0].nonzero().tolist() == [[y, x] for y in (2, 3, 4) for x in (2, 3, 4)]
    grey = to_pixels(PICTURE)
    grey[:, :, 16:40, 16:40] = 0
    assert torch.allclose(concat[:1, 1:], model.encode_pictures(grey)[0], atol=1e-5)


def test_inpainting_models_without_a_mask_are_shown_that_all_is_masked(load, calls):
    assert len(pictures(load("sd1-inpainting"), steps=1)) == 1
    assert len(pictures(load("sd1-inpainting"), Sources(init=PICTURE), steps=1)) == 1
    assert all(call[3] is None for call in calls)


@pytest.mark.parametrize("mode", ["just resize", "1", "Resize and fill", "latent upscale"])
def test_every_resize_mode_draws_the_size_that_was_asked_for(load, mode):
    [done] = pictures(load("sd1"), Sources(init=PICTURE.resize((90, 50))), resize_mode=mode, width=72, height=48)
    assert done.image.size == (72, 48)


def test_pictures_that_cannot_be_read_are_named(tmp_path):
    (tmp_path / "a.png").write_text("nothing")
    with pytest.raises(BadFile, match=r"a\.png cannot be read as a picture"):
        load_sources(request(init_image=tmp_path / "a.png"))
    with pytest.raises(BadFile, match="cannot be read"):
        load_sources(request(init_image=tmp_path / "b.png"))


def test_what_does_not_go_together_is_refused(load, tmp_path):
    for wrong in (
        {"mask": tmp_path / "m.png"},
        {"init_image": tmp_path / "a.png", "hires_scale": 2.0},
        {"resize_mode": "4"},
        {"masked_content": "nothing"},
        {"hires_upscaler": "ESRGAN"},
        {"hires_sampler": "x"},
        {"denoising_strength": 1.5},
        {"noise_source": "GPU"},
        {"eta": float("nan")},
    ):
        with pytest.raises(BadOption):
            request(**wrong)
    with pytest.raises(BadOption, match="black everywhere"):
        pictures(load("sd1"), Sources(init=PICTURE, mask=Image.new("L", (64, 64))))


@pytest.mark.parametrize(
    ("options", "whole", "size"),
    [
        ({"hires_scale": 1.5}, (96, 48), (96, 48)),
        ({"hires_scale": 1.3}, (80, 40), (80, 40)),
        ({"hires_width": 128}, (128, 64), (128, 64)),
        ({"hires_height": 64}, (128, 64), (128, 64)),
        ({"hires_width": 96, "hires_height": 96}, (192, 96), (96, 96)),
        ({"hires_width": 192, "hires_height": 64}, (192, 96), (192, 64)),
    ],
)
def test_the_size_of_the_hires_pass(options, whole, size):
    target = target_of(request(**options), (64, 32), 8)
    assert (target.whole, target.size) == (whole, size)


@pytest.mark.parametrize("upscaler", UPSCALERS)
def test_the_hires_pass_makes_its_own_steps_at_its_own_size(load, calls, upscaler):
    [done] = pictures(load("sd1"), width=64, height=40, hires_scale=1.5, hires_steps=3, hires_upscaler=upscaler.upper())
    assert done.image.size == (96, 56)
    assert [tuple(call[0].shape[-2:]) for call in calls] == [(5, 8)] * 4 + [(7, 12)] * 3
    assert f"Hires upscale: 1.5, Hires steps: 3, Hires upscaler: {upscaler}" in done.infotext
    assert "Denoising strength: 0.7" in done.infotext and "Size: 64x40" in done.infotext


def test_the_hires_pass_may_have_prompts_and_a_sampler_of_its_own(load, calls):
    [done] = pictures(
        load("sd1"),
        hires_scale=1.5,
        hires_steps=2,
        hires_prompt="a dog",
        hires_sampler="Heun",
        hires_scheduler="karras",
    )
    hidden = [call[2].hidden for call in calls]
    assert len(hidden) == 4 + 3
    told = Conditioner(load("sd1")).encode(["", "a cat", "a dog"], {}).hidden
    assert all(torch.allclose(one, told[[0, 1]], atol=1e-5) for one in hidden[:4])
    assert all(torch.allclose(one, told[[0, 2]], atol=1e-5) for one in hidden[4:])
    assert "Hires sampler: Heun, Hires schedule type: Karras, Hires prompt: a dog" in done.infotext


def test_prompt_editing_goes_by_calls_and_reaches_the_hires_pass(load, calls):
    pictures(load("sd1"), prompt="[cat:dog:1.5]", hires_scale=1.5, hires_steps=4, cfg_scale=1)
    told = Conditioner(load("sd1")).encode(["cat", "dog"], {}).hidden
    is_dog = [bool(torch.allclose(call[2].hidden, told[1:], atol=1e-5)) for call in calls]
    assert is_dog == [False] * 4 + [False] * 3 + [True]  # `call ≤ end`: the first text stays for one call more


def test_parts_joined_by_and_are_weighted(load):
    model = load("sd1")
    [one] = pictures(model, prompt="a cat AND a dog :0.5", cfg_scale=3)
    [other] = pictures(model, prompt="a cat AND a dog :0", cfg_scale=3)
    [plain] = pictures(model, prompt="a cat", cfg_scale=3)
    assert not np.array_equal(values(one.image), values(plain.image))
    assert np.abs(values(other.image) - values(plain.image)).max() <= 1


def test_skip_ends_one_batch_early_and_interrupt_ends_all(load):
    for signal, expected in ((Signal.SKIP, [5, 6, 7]), (Signal.INTERRUPT, [5])):
        events = draw(Conditioner(load("sd1")), request(count=3), {})
        answer, seeds, sent = None, [], False
        while True:
            try:
                event = events.send(answer)
            except StopIteration:
                break
            answer = signal if isinstance(event, Progress) and not sent else None
            sent = sent or answer is not None
            if isinstance(event, PictureDone):
                seeds.append(event.seed)
        assert seeds == expected


def test_tiling_makes_opposite_edges_meet_and_leaves_the_model_as_it_was(load):
    model = load("sd1")
    [before] = pictures(model)
    [tiled] = pictures(model, tiling=True)
    [after] = pictures(model)
    assert "Tiling: True" in tiled.infotext
    assert np.array_equal(values(before.image), values(after.image))
    assert not np.array_equal(values(before.image), values(tiled.image))


def test_a_tiled_network_does_not_see_where_the_picture_is_cut(load):
    from pseudoword.models.tiling import tiled

    model = load("sd1")
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    with tiled(model, on=True):
        whole = model.decode_latents(latents)
        moved = model.decode_latents(latents.roll((3, 2), (2, 3)))
    assert torch.allclose(whole.roll((24, 16), (2, 3)), moved, atol=1e-4)


def test_tiling_in_one_thread_leaves_the_pictures_of_another_alone(load):
    from threading import Event, Thread

    from pseudoword.models.tiling import tiled

    model = load("sd1")
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    plain = model.decode_latents(latents)
    open_there, done_here = Event(), Event()

    def other():
        with tiled(model, on=True):
            open_there.set()
            done_here.wait(60)

    thread = Thread(target=other)
    thread.start()
    assert open_there.wait(60)
    here = model.decode_latents(latents)
    done_here.set()
    thread.join()
    assert torch.equal(here, plain)


def test_a_schedule_that_the_sampler_does_not_take_is_told(load):
    events = list(draw(Conditioner(load("sd1")), request(sampler="DDIM", scheduler="karras"), {}))
    assert [e.message for e in events if isinstance(e, Warned)] == [
        "DDIM has its own timesteps; the schedule Karras is not used"
    ]


def test_the_infotext_tells_the_knobs_that_were_turned(load):
    [done] = pictures(
        load("sd1"), sampler="Euler a", ensd=31337, eta=0.5, noise_source="nv", variation_seed=8,
        variation_strength=0.25, seed_resize_width=32, seed_resize_height=32, scheduler="karras", rho=5.0,
        s_noise=1.01, prompt="a (cat:1.2)", emphasis="Ignore", clip_skip=2, s_min_uncond=0.5,
    )  # fmt: skip
    for pair in (
        "Schedule type: Karras", "Variation seed: 8", "Variation seed strength: 0.25", "Seed resize from: 32x32",
        "ENSD: 31337", "RNG: NV", "Eta: 0.5", "Sigma noise: 1.01", "Schedule rho: 5", "Emphasis: Ignore",
        "Clip skip: 2", "NGMS: 0.5",
    ):  # fmt: skip
        assert f"{pair}," in done.infotext


def test_variations_share_the_seed_and_count_their_own(load):
    three = pictures(load("sd1"), count=3, variation_strength=0.1, variation_seed=40)
    assert [done.seed for done in three] == [5, 5, 5]
    assert [f"Variation seed: {40 + n}," in done.infotext for n, done in enumerate(three)] == [True] * 3


def test_leaving_the_negative_prompt_out_saves_rows(load, calls):
    pictures(load("sd1"), s_min_uncond=100.0)
    assert [len(call[0]) for call in calls] == [2, 1, 2, 1]
