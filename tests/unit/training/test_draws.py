"""Draws are keyed: they depend on step and sample and on nothing that came before."""

import torch

from pseudoword.models.protocols import NoiseSchedule
from pseudoword.training.captions import make_templates
from pseudoword.training.draws import Drawing, TrainingData, draw_groups, draw_samples, picture_of
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
    epochs = [[picture_of(DATA, 5 * epoch + i, 0) for i in range(5)] for epoch in range(6)]
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


def two_sizes(**changes):
    mean = [torch.full((2, 4, 4 if i < 6 else 6), float(i)) for i in range(9)]
    latents = Latents(mean=mean, deviation=[torch.zeros_like(m) for m in mean])
    words = tuple(f"w{i}, a, b, c" for i in range(9))
    return TrainingData(latents=latents, words=words, templates=DATA.templates, name="zorp", **changes)


def test_pictures_of_several_sizes_come_once_an_epoch_and_in_groups_of_one_size():
    data, how = two_sizes(), Drawing(seed=1, per_step=9)
    for step in range(4):
        groups = draw_groups(data, SCHEDULE, how, step, range(9))
        assert {group.latents.shape[1:] for group in groups} == {(2, 4, 4), (2, 4, 6)}
        assert sorted(v for group in groups for v in group.latents[:, 0, 0, 0].tolist()) == list(range(9))
        assert all(group.noise.shape == group.latents.shape for group in groups)


def test_neighbours_have_one_size_mostly_so_that_passes_need_few_calls():
    data, how = two_sizes(), Drawing(seed=1, per_step=3)
    calls = [len(draw_groups(data, SCHEDULE, how, step, range(3))) for step in range(60)]
    assert sum(calls) / len(calls) < 1.5


def test_repeats_and_weights_belong_to_their_pictures():
    data = two_sizes(repeats=(3,) + (1,) * 8, weights=(0.5,) + (1.0,) * 8)
    assert len(data) == 11
    groups = draw_groups(data, SCHEDULE, Drawing(seed=1, per_step=11), 0, range(11))
    pairs = [(v, w) for g in groups for v, w in zip(g.latents[:, 0, 0, 0].tolist(), g.weights.tolist(), strict=True)]
    assert sorted(pairs) == [(0, 0.5)] * 3 + [(float(i), 1.0) for i in range(1, 9)]


def test_a_mask_goes_with_its_picture_and_the_others_count_everywhere():
    mask = torch.zeros(4, 4)
    data = two_sizes(masks=(mask,) + (None,) * 8)
    groups = draw_groups(data, SCHEDULE, Drawing(seed=1, per_step=9), 0, range(9))
    square = next(group for group in groups if group.latents.shape[-1] == 4)
    assert [float(m.sum()) for m, v in zip(square.masks, square.latents[:, 0, 0, 0], strict=True) if v == 0] == [0]
    assert [float(m.mean()) for m, v in zip(square.masks, square.latents[:, 0, 0, 0], strict=True) if v > 0] == [1] * 5
    assert next(group for group in groups if group.latents.shape[-1] == 6).masks is None


def test_tags_are_shuffled_and_dropped_by_key_and_some_always_stay():
    data = two_sizes(shuffle_tags=True, drop_tags=0.4)
    how = Drawing(seed=1, per_step=9)
    captions = [c for step in range(30) for g in draw_groups(data, SCHEDULE, how, step, range(9)) for c in g.captions]
    again = [c for step in range(30) for g in draw_groups(data, SCHEDULE, how, step, range(9)) for c in g.captions]
    assert captions == again
    tags = [caption.replace("zorp", "").rsplit(" ", 2)[0].split(", ") for caption in captions]
    kept = sum(len(t) for t in tags) / len(tags)
    assert 2.1 < kept < 2.8  # of 4, each kept with 0.6; captions that would be empty keep one
    assert any(t != sorted(t, key="w012345678abc".index) for t in tags if all(len(x) == 1 for x in t))
    everything_dropped = two_sizes(drop_tags=1.0)
    assert all("w" in c for g in draw_groups(everything_dropped, SCHEDULE, how, 0, range(9)) for c in g.captions)
