"""Words that pictures suggest: figures against a plain loop over diffusers' parts, and halving by hand."""

import pytest
import torch
from diffusers import DDPMScheduler

from pseudoword.conditioning.conditioner import Conditioner
from pseudoword.events import Progress, WordsScored
from pseudoword.models.load import load_model
from pseudoword.training.fixed_batch import FixedBatch
from pseudoword.training.suggesting import Field, mean_loss, promising, sample_losses, suggest_words, whole_words


@pytest.fixture
def field(tmp_path, tiny_folder):
    model = load_model(str(tiny_folder("sd1")), device="cpu", precision="fp32", hash_cache=tmp_path / "hashes.json")
    generator = torch.Generator().manual_seed(5)
    tensors = [torch.randn(4, 8, 8, generator=generator) for _ in range(8)]
    batch = FixedBatch(
        latents=tuple(tensors[:4]),
        noise=tuple(tensors[4:]),
        timesteps=torch.tensor([100, 950, 700, 650]),
        words=("a cat", "a dog", "a fish", ""),
    )
    return Field(conditioner=Conditioner(model), batch=batch, caption=lambda words, name: f"{words}, {name} style")


def independent_loss(field, place, word):
    """diffusers' own noise and UNet and transformers' own encoder, fed with the caption's ids."""
    model, batch = field.conditioner.model, field.batch
    tokenizer, encoder = model.encoders[0].tokenizer, model.encoders[0].module
    ids = tokenizer(field.caption(batch.words[place], word), padding="max_length", max_length=77, return_tensors="pt")
    noisy = DDPMScheduler.from_config(model.scheduler_config).add_noise(
        batch.latents[place : place + 1][0].unsqueeze(0), batch.noise[place].unsqueeze(0), batch.timesteps[place, None]
    )
    with torch.no_grad():
        hidden = encoder(ids.input_ids).last_hidden_state
        predicted = model.unet(noisy, batch.timesteps[place], hidden).sample
    return float(((predicted - batch.noise[place]) ** 2).mean())


def test_a_words_loss_is_that_of_its_plain_caption(field):
    words = ["star", "moon"]
    for place in range(4):
        expected = [independent_loss(field, place, word) for word in words]
        assert sample_losses(field, place, words) == pytest.approx(expected, rel=1e-4)
    assert mean_loss(field, "star") == pytest.approx(
        sum(independent_loss(field, place, "star") for place in range(4)) / 4, rel=1e-4
    )


def test_samples_of_high_noise_come_first(field):
    assert field.order == (2, 3, 0, 1)  # 700 and 650 of 1000 lie between 0.6 and 0.9


def test_only_whole_words_in_plain_letters_are_candidates(field):
    words = whole_words(field.conditioner.model.encoders[0])
    tokenizer = field.conditioner.model.encoders[0].tokenizer
    assert {"star", "moon", "style"} <= words.keys()
    assert all(word.isalpha() and word.isascii() and len(word) > 1 for word in words)
    assert tokenizer("star").input_ids[1:-1] == [words["star"]]


def test_the_best_of_the_candidates_is_found_with_all_samples(field):
    candidates = ["star", "moon", "cat", "dog", "tree", "car"]
    events = list(suggest_words(field, 2, also=("style",), candidates=candidates))
    final = events[-1]
    assert isinstance(final, WordsScored)
    assert final.final
    losses = {word: mean_loss(field, word) for word in candidates}
    best = sorted(candidates, key=lambda word: losses[word])[:2]
    assert [entry.word for entry in final.words] == [*best, "style"]
    assert [entry.only_compared for entry in final.words] == [False, False, True]
    assert final.words[0].loss == pytest.approx(losses[best[0]], rel=1e-4)
    assert all(entry.num_samples == 4 for entry in final.words)
    progress = [event for event in events if isinstance(event, Progress)]
    assert progress[-1].done == progress[-1].total == 4 * 7


def test_promising_words_are_those_that_the_gradient_speaks_for(field):
    few, more = promising(field, 5), promising(field, 40)
    assert more[:5] == few
    assert len(set(more)) == 40
    chosen = sum(mean_loss(field, word) for word in more[:20])
    known = list(whole_words(field.conditioner.model.encoders[0]))
    others = sum(mean_loss(field, word) for word in known[:: len(known) // 20][:20])
    assert chosen < others
