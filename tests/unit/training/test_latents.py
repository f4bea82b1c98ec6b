"""Encoded pictures in memory and on disk."""

import pytest
import torch
from PIL import Image

from pseudoword.training.latents import encode_latents
from pseudoword.training.pictures import Preparation, load_pictures
from pseudoword.training.sources import Source


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, size in enumerate([(64, 64), (64, 64), (100, 60), (64, 64)]):
        Image.effect_noise(size, 60 + number).convert("RGB").save(folder / f"{number}.png")
    *_, found = load_pictures([Source(folder=folder)], Preparation(resolution=64, multiple=16, crop="bucket"))
    return found


def encoded(model, pictures, cache=None):
    *_, latents = encode_latents(model, pictures, "", cache)
    return latents


def test_latents_on_disk_are_those_in_memory(load, pictures, tmp_path):
    kept, stored = encoded(load("sd1"), pictures), encoded(load("sd1"), pictures, tmp_path / "cache")
    assert len(kept) == len(stored) == 4
    assert len({tuple(mean.shape) for mean in kept.mean}) == 2
    for i in range(4):
        torch.testing.assert_close(stored.mean[i], kept.mean[i], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(stored.deviation[i], kept.deviation[i], atol=1e-5, rtol=1e-5)


def test_what_is_stored_is_not_encoded_again_unless_it_changed_or_is_damaged(load, pictures, tmp_path, monkeypatch):
    model, cache = load("sd1"), tmp_path / "cache"
    encoded(model, pictures, cache)
    seen = []
    real = type(model).encode_pictures
    monkeypatch.setattr(type(model), "encode_pictures", lambda self, p: (seen.append(len(p)), real(self, p))[1])
    encoded(model, pictures, cache)
    assert seen == []
    pictures[0].pixels[0, 0, 0] += 0.5
    encoded(model, pictures, cache)
    assert sum(seen) == 1
    for file in cache.iterdir():
        file.write_bytes(file.read_bytes()[:100])
    encoded(model, pictures, cache)
    assert sum(seen) == 5
