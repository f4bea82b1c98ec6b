"""Draws are keyed: they depend on step and sample and on nothing that came before."""

import torch

from pseudoword.models.protocols import NoiseSchedule
from pseudoword.training.captions import make_templates
from pseudoword.training.draws import Drawing, TrainingData, draw_samples, picture_of
from pseudoword.training.latents import Latents

SCHEDULE = NoiseSchedule(alphas_cumprod=torch.linspace(1, 0.01, 1000), prediction_type="epsilon")
DATA = TrainingData(
    latents=Latents(
        mean=torch.arange(5.0).view(5, 1, 1, 1).expand(5, 2, 4, 4), deviation=torch.full((5, 2, 4, 4), 0.01)
    ),
    words=("a", "b", "c", "d", "e"),
    templates=make_templates(["[filewords] one [name]", "[filewords] two [name]", "[filewords] three [name]"]),
    name="zorp",
)


def draw(step, samples, seed=3, per_step=8, **changes):
    return draw_samples(DATA, SCHEDULE, Drawing(seed=seed, per_step=per_step, **changes), step, samples)


def same(one, other):
    tensors = all(torch.equal(getattr(one, key), getattr(other, key)) for key in ("latents", "noise", "timesteps"))
    return tensors and one.captions == other.captions


def test_how_a_step_is_split_into_passes_changes_nothing():
    whole = draw(6, range(8))
    parts = [draw(6, range(3)), draw(6, range(3, 8))]
    assert torch.equal(whole.noise, torch.cat([part.noise for part in parts]))
    assert torch.equal(whole.latents, torch.cat([part.latents for part in parts]))
    assert torch.equal(whole.timesteps, torch.cat([part.timesteps for part in parts]))
    assert whole.captions == parts[0].captions + parts[1].captions


def test_a_step_is_the_same_whatever_was_drawn_before():
    first = draw(9, range(8))
    for step in range(9):
        draw(step, range(8))
    assert same(first, draw(9, range(8)))


def test_steps_samples_and_seeds_differ():
    assert not same(draw(0, range(4)), draw(1, range(4)))
    assert not same(draw(0, range(4)), draw(0, range(4), seed=4))
    noise = draw(0, range(4)).noise
    assert not torch.equal(noise[0], noise[1])


def test_every_epoch_shows_every_picture_once_in_another_order():
    epochs = [[picture_of(5 * epoch + i, 5, 0) for i in range(5)] for epoch in range(6)]
    assert all(sorted(epoch) == [0, 1, 2, 3, 4] for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_the_caption_belongs_to_the_picture():
    samples = draw(2, range(8))
    pictures = samples.latents.mean(dim=(1, 2, 3)).round().int().tolist()
    assert [caption[0] for caption in samples.captions] == ["abcde"[p] for p in pictures]


def test_a_template_is_drawn_anew_for_every_sample():
    lines = {caption.split()[1] for step in range(8) for caption in draw(step, range(8)).captions}
    assert lines == {"one", "two", "three"}


def test_every_use_of_a_picture_is_a_fresh_sample_of_its_latents():
    latents = Latents(mean=torch.zeros(1, 2, 4, 4), deviation=torch.full((1, 2, 4, 4), 2.0))
    data = TrainingData(latents=latents, words=("a",), templates=DATA.templates, name="zorp")
    drawn = torch.cat(
        [draw_samples(data, SCHEDULE, Drawing(seed=0, per_step=8), s, range(8)).latents for s in range(50)]
    )
    assert abs(drawn.mean()) < 0.05
    assert abs(drawn.std() - 2) < 0.05


def test_noise_levels_cover_the_whole_schedule_evenly():
    times = torch.cat([draw(step, range(8)).timesteps for step in range(300)])
    counts = torch.histc(times.float(), bins=4, min=0, max=1000)
    assert ((counts / counts.sum() - 0.25).abs() < 0.03).all()


def test_timesteps_keep_to_the_range_that_was_asked_for():
    found = torch.cat([draw(step, range(8), lowest=200, end=300).timesteps for step in range(200)])
    assert (int(found.min()), int(found.max())) == (200, 299)


def test_offset_noise_moves_each_channel_of_a_picture_as_a_whole():
    plain, moved = draw(0, range(4)), draw(0, range(4), offset_noise=0.1)
    difference = moved.noise - plain.noise
    torch.testing.assert_close(difference, difference[:, :, :1, :1].expand_as(difference), atol=1e-5, rtol=0)
    assert difference[:, :, 0, 0].unique().numel() == difference[:, :, 0, 0].numel()
    many = torch.cat([draw(s, range(8), offset_noise=0.1).noise - draw(s, range(8)).noise for s in range(50)])
    assert 0.08 < float(many[:, :, 0, 0].std()) < 0.12


def test_latents_are_drawn_once_or_at_every_use_or_not_at_all():
    def of_first_picture(step, way):
        samples = draw(step, range(5), per_step=5, latent_sampling=way)
        return samples.latents[int(samples.latents.mean(dim=(1, 2, 3)).argmin())]

    assert torch.equal(of_first_picture(0, "once"), of_first_picture(1, "once"))
    assert not torch.equal(of_first_picture(0, "random"), of_first_picture(1, "random"))
    assert torch.equal(of_first_picture(0, "deterministic"), DATA.latents.mean[0])
