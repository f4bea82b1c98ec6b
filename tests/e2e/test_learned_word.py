"""The learned words work: the figures that the README gives, on pictures that were never trained on.

Needs minutes; the same measurements as `python -m benchmarks.learned_word`.
"""

import pytest
from benchmarks.learned_word import STYLE_SETS, measure_style, measure_subject

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


def test_the_style_word_beats_the_best_plain_style_word_and_draws_closer(tmp_path):
    figures = measure_style(tmp_path)
    best_set = min(figures.plain_losses[word] for word in STYLE_SETS)
    assert figures.learned_loss <= 0.93 * best_set, figures
    assert figures.learned_loss < figures.best_plain_loss, figures
    assert figures.pictures == 32
    assert figures.closer is not None
    assert figures.closer >= 26, figures
    # prompts still decide what is drawn: the same word over other things gives other pictures
    assert figures.spread_over_prompts is not None
    assert figures.spread_over_prompts > 0.5, figures


def test_the_subjects_word_beats_the_best_plain_noun(tmp_path):
    figures = measure_subject(tmp_path)
    assert figures.learned_loss < figures.best_plain_loss, figures
