"""The bundled models draw what they drew before: within rounding everywhere, to the bit where a machine is known.

A change here is either a mistake or something to look at with one's own eyes, `make regenerate`, and say so in the
changelog. How the bounds were chosen is in README.md beside this file.
"""

import json

import numpy as np
import pytest
from PIL import Image

from tests.golden import cases

DRAWN: dict[str, Image.Image] = {}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Image.Image]:
    """Every case's picture, drawn once for both tests."""
    if not DRAWN:
        studios = cases.open_studios(cache=tmp_path_factory.getbasetemp() / "cache")
        with cases.computing_threads(1):
            DRAWN.update({case.name: cases.draw(case, studios) for case in cases.CASES})
    return DRAWN


@pytest.mark.parametrize("case", cases.CASES, ids=lambda case: case.name)
def test_a_picture_is_the_golden_one_within_rounding(drawn, case):
    mean, far = cases.difference(drawn[case.name], Image.open(case.path))
    assert mean <= cases.MEAN_LEVELS, f"{mean:.2f} levels on average"
    assert far <= cases.FAR_SHARE, f"{far:.1%} of the values are more than {cases.FAR_LEVELS} levels away"


@pytest.mark.parametrize("case", cases.CASES, ids=lambda case: case.name)
def test_on_a_known_machine_a_picture_is_the_golden_one_to_the_bit(drawn, case):
    known = json.loads(cases.HASHES.read_text("utf-8"))
    key = cases.machine_key()
    if key not in known:
        pytest.skip(f"no hashes of {key}")
    assert cases.pixel_hash(drawn[case.name]) == known[key][case.name]


def test_all_golden_files_belong_to_a_case_and_are_small():
    pictures = {path.stem for path in cases.FOLDER.glob("*.png")}
    assert pictures == {case.name for case in cases.CASES}
    assert sum(path.stat().st_size for path in cases.FOLDER.iterdir() if path.is_file()) < 200_000
    for key, hashes in json.loads(cases.HASHES.read_text("utf-8")).items():
        assert key.startswith("torch "), key
        assert set(hashes) == pictures


@pytest.mark.parametrize(("moved", "bound_holds"), [(0, True), (1, False)])
def test_the_comparison_counts_levels(moved, bound_holds):
    kept = Image.fromarray(np.full((8, 8, 3), 100, np.uint8))
    other = Image.fromarray(np.full((8, 8, 3), 100 + moved, np.uint8))
    mean, far = cases.difference(other, kept)
    assert (mean, far) == (moved, 0)
    assert (mean <= cases.MEAN_LEVELS) == bound_holds


def test_the_comparison_notices_a_small_spot_that_the_mean_forgives():
    kept = Image.new("RGB", (64, 64), "white")
    other = kept.copy()
    other.paste("black", (0, 0, 8, 8))
    mean, far = cases.difference(other, kept)
    assert mean == pytest.approx(255 / 64)
    assert far == pytest.approx(1 / 64)
    assert far > cases.FAR_SHARE
