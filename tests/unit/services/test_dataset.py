"""What would be trained, shown before it is."""

import pytest
from PIL import Image

from pseudoword.errors import BadOption
from pseudoword.events import DatasetDescribed, Saved
from pseudoword.services.dataset import describe_dataset
from pseudoword.settings import Settings
from pseudoword.training.data_options import DatasetOptions


@pytest.fixture
def folder(tmp_path):
    found = tmp_path / "pictures"
    found.mkdir()
    Image.effect_noise((64, 64), 50).convert("RGB").save(found / "1-cat.png")
    Image.effect_noise((200, 64), 50).convert("RGB").save(found / "2-dog.png")
    return found


def described(folder, tmp_path, tiny_folder, **changes):
    options = DatasetOptions(pictures=str(folder), model=str(tiny_folder("sd1")), **changes)
    settings = Settings(outputs_dir=tmp_path / "outputs", cache_dir=tmp_path / "cache")
    return list(describe_dataset(options, settings))


def test_sizes_captions_and_a_contact_sheet_are_shown(folder, tmp_path, tiny_folder):
    events = described(folder, tmp_path, tiny_folder, name="zorp", noun="beast", flip=True)
    shown = events[-1]
    assert isinstance(shown, DatasetDescribed)
    assert shown.num_pictures == 4
    assert sum(count for _, count in shown.sizes) == 4
    assert dict(shown.sizes)[64, 64] == 2
    captions = dict(shown.captions)
    assert set(captions) == {"1-cat.png", "2-dog.png"}
    assert all("zorp beast" in caption and "cat" in caption for caption in captions["1-cat.png"])
    [sheet] = [event.path for event in events if isinstance(event, Saved)]
    with Image.open(sheet) as image:
        assert image.width > 4 * 64


def test_copies_are_split_and_mirrored_with_captions_beside_them(folder, tmp_path, tiny_folder):
    out = tmp_path / "copies"
    described(folder, tmp_path, tiny_folder, flip=True, split_long=True, write=out)
    names = sorted(file.name for file in out.iterdir() if file.suffix == ".png")
    # 200 x 64 at 64: (200 - 12.8) / 51.2 = 3.7, so 4 pieces and their mirror images
    assert names == ["00000-0-1-cat.png", "00000-1-1-cat.png", *(f"00001-{i}-2-dog.png" for i in range(8))]
    assert (out / "00001-7-2-dog.txt").read_text() == "dog"
    with Image.open(out / "00001-0-2-dog.png") as one, Image.open(out / "00001-1-2-dog.png") as other:
        assert one.size == (64, 64)
        assert one.transpose(Image.Transpose.FLIP_LEFT_RIGHT).tobytes() == other.tobytes()


def test_nothing_is_written_over(folder, tmp_path, tiny_folder):
    with pytest.raises(BadOption, match="not empty"):
        described(folder, tmp_path, tiny_folder, write=folder)
    with pytest.raises(BadOption, match="--write"):
        DatasetOptions(pictures=str(folder), split_long=True)
