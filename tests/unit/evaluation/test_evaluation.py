"""Style features and plots."""

import pytest
import torch
from PIL import Image

from pseudoword.evaluation.plots import plot_losses
from pseudoword.evaluation.style import gram_features, style_closeness


def test_closeness_is_the_cosine_to_the_mean_of_the_references():
    references = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    features = torch.tensor([[2.0, 2.0], [3.0, 0.0], [-1.0, -1.0]])
    assert style_closeness(features, references).tolist() == pytest.approx([1.0, 0.5**0.5, -1.0])


def test_gram_features_do_not_depend_on_where_things_stand(load):
    vae = load("bundled").vae
    pixels = torch.ones(1, 3, 128, 128)
    pixels[..., 32:64, 32:64] = -1
    moved = pixels.roll((32, 32), (2, 3))
    other = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0)) * 2 - 1
    features = gram_features(vae, torch.cat([pixels, moved, other]))
    near, far = style_closeness(features[1:], features[:1]).tolist()
    assert near > 0.999
    assert far < near - 0.01


def test_the_plot_is_a_picture(tmp_path):
    plot_losses([1, 2, 3], [0.3, 0.2, 0.1], [(0, 0.3), (3, 0.1)], tmp_path / "loss.png", "a “title”")
    with Image.open(tmp_path / "loss.png") as image:
        assert image.width > 400
