"""Folders of pictures as users have them: every format, turned, transparent, broken."""

import numpy as np
import pytest
import torch
from PIL import Image

from pseudoword.errors import BadPictures
from pseudoword.events import Warned
from pseudoword.training.pictures import Preparation, load_pictures
from pseudoword.training.remarks import remarks
from pseudoword.training.sources import Source


def load(folder, resolution=8):
    *events, pictures = load_pictures([Source(folder=folder)], Preparation(resolution=resolution))
    return pictures, [event.message for event in events if isinstance(event, Warned)]


def halves(size=(16, 16), left="black", right="white", mode="RGB"):
    image = Image.new(mode, size, right)
    image.paste(Image.new(mode, (size[0] // 2, size[1]), left), (0, 0))
    return image


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "gif", "tiff", "avif"])
def test_every_format_that_pillow_reads_counts(tmp_path, suffix):
    halves().save(tmp_path / f"x.{suffix}")
    [picture], warnings = load(tmp_path)
    assert picture.pixels.shape == (3, 8, 8)
    assert picture.pixels[:, :, 0].mean() < -0.9
    assert picture.pixels[:, :, -1].mean() > 0.9
    assert warnings == []


def test_exif_rotation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned clockwise by 90 degrees when shown
    halves().save(tmp_path / "x.jpg", exif=exif, quality=95)
    [picture], _ = load(tmp_path)
    assert picture.pixels[:, 0].mean() < -0.9
    assert picture.pixels[:, -1].mean() > 0.9


def test_transparency_is_laid_on_white(tmp_path):
    image = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    image.paste((255, 0, 0, 255), (0, 0, 4, 8))
    image.save(tmp_path / "a.png")
    image.convert("LA").save(tmp_path / "b.png")
    palette = Image.new("P", (8, 8), 0)
    palette.putpalette([0, 0, 0, 255, 255, 255])
    palette.save(tmp_path / "c.png", transparency=0)
    (red, gray, see_through), _ = load(tmp_path)
    assert red.pixels[:, 0, 0].tolist() == [1, -1, -1]
    assert red.pixels[:, 0, -1].tolist() == [1, 1, 1]
    assert gray.pixels[:, 0, -1].tolist() == [1, 1, 1]
    assert see_through.pixels.min() == 1


def test_nothing_is_squashed_the_middle_square_is_taken(tmp_path):
    image = Image.new("RGB", (40, 20), "red")
    image.paste("blue", (10, 0, 30, 20))
    image.save(tmp_path / "x.png")
    [picture], _ = load(tmp_path, 20)
    blue = torch.tensor([-1.0, -1.0, 1.0]).view(3, 1, 1).expand(3, 20, 20)
    torch.testing.assert_close(picture.pixels, blue)


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "I;16", "F", "I"])
def test_other_colour_modes_become_rgb(tmp_path, mode):
    name = "x.tiff" if mode in ("CMYK", "F", "I") else "x.png"
    if mode == "I;16":
        Image.fromarray(np.full((8, 8), 65535, np.uint16)).save(tmp_path / name)
    elif mode in ("F", "I"):
        Image.new("L", (8, 8), 255).convert(mode).save(tmp_path / name)
    else:
        Image.new("RGB", (8, 8), "white").convert(mode).save(tmp_path / name)
    [picture], warnings = load(tmp_path)
    assert picture.pixels.shape == (3, 8, 8)
    assert picture.pixels.mean() > 0.9
    assert warnings == []


def test_unreadable_files_are_named_and_skipped(tmp_path):
    halves().save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"no picture at all")
    (tmp_path / "cut.png").write_bytes((tmp_path / "good.png").read_bytes()[:60])
    pictures, warnings = load(tmp_path)
    assert [picture.path.name for picture in pictures] == ["good.png"]
    assert warnings == ["bad.png is skipped: no picture", "cut.png is skipped: damaged"]


def test_texts_and_hidden_files_are_no_pictures_and_no_warnings(tmp_path):
    halves().save(tmp_path / "good.png")
    (tmp_path / "good.txt").write_text("words")
    (tmp_path / ".DS_Store").write_bytes(b"x")
    (tmp_path / "README.md").write_text("x")
    (tmp_path / "sub").mkdir()
    pictures, warnings = load(tmp_path)
    assert [picture.words for picture in pictures] == ["words"]
    assert warnings == []


def test_pictures_come_in_the_order_of_their_names_with_digests(tmp_path):
    for name in ("b", "a", "c"):
        halves().save(tmp_path / f"{name}.png")
    pictures, _ = load(tmp_path)
    assert [picture.words for picture in pictures] == ["a", "b", "c"]
    assert len({picture.sha256 for picture in pictures}) == 3  # of file and words together
    again, _ = load(tmp_path)
    assert [picture.sha256 for picture in pictures] == [picture.sha256 for picture in again]


def test_an_empty_or_missing_folder_is_refused(tmp_path):
    with pytest.raises(BadPictures, match="no picture in"):
        load(tmp_path)
    with pytest.raises(BadPictures, match="no folder"):
        load(tmp_path / "missing")


def prepared(folder, **changes):
    *events, pictures = load_pictures([Source(folder=folder)], Preparation(**({"resolution": 64} | changes)))
    return events, pictures


def gradient(path, size, alpha=None):
    image = Image.linear_gradient("L").resize(size).convert("RGB")
    if alpha is not None:
        image.putalpha(alpha)
    image.save(path)


def test_buckets_keep_proportions_and_cut_little_off(tmp_path):
    gradient(tmp_path / "wide.png", (200, 120))
    gradient(tmp_path / "square.png", (90, 90))
    _, pictures = prepared(tmp_path, crop="bucket", resolution=128, multiple=32)
    assert [tuple(picture.pixels.shape) for picture in pictures] == [(3, 128, 128), (3, 96, 160)]
    assert pictures[1].original == (200, 120)


def test_mirror_images_stand_beside_their_originals(tmp_path):
    gradient(tmp_path / "a.png", (64, 64))
    Image.open(tmp_path / "a.png").rotate(90).save(tmp_path / "a.png")
    _, [own, mirrored] = prepared(tmp_path, flip=True)
    assert (own.flipped, mirrored.flipped) == (False, True)
    assert torch.equal(mirrored.pixels, own.pixels.flip(2))
    assert not torch.equal(mirrored.pixels, own.pixels)


def test_weights_of_places_come_from_alpha_or_from_a_file_and_turn_with_the_picture(tmp_path):
    half = Image.new("L", (64, 64), 0)
    half.paste(255, (0, 0, 32, 64))
    gradient(tmp_path / "a.png", (64, 64), alpha=half)
    gradient(tmp_path / "b.png", (64, 64))
    half.resize((128, 128)).save(tmp_path / "b-masklabel.png")
    for masks, first, second in (("alpha", True, False), ("files", False, True), ("none", False, False)):
        _, pictures = prepared(tmp_path, masks=masks, flip=True)
        assert [picture.mask is not None for picture in pictures] == [first, first, second, second]
        for picture in pictures:
            if picture.mask is not None:
                left, right = picture.mask[:, :31].mean(), picture.mask[:, 33:].mean()
                assert (left, right) == ((0, 1) if picture.flipped else (1, 0))


def test_a_random_crop_is_the_same_every_time_and_another_for_another_seed(tmp_path):
    gradient(tmp_path / "a.png", (64, 300))
    crops = [prepared(tmp_path, crop="random", seed=seed)[1][0].pixels for seed in (0, 0, 1)]
    assert torch.equal(crops[0], crops[1])
    assert not torch.equal(crops[0], crops[2])


def test_a_changed_mask_changes_the_digest(tmp_path):
    gradient(tmp_path / "a.png", (64, 64))
    Image.new("L", (64, 64), 100).save(tmp_path / "a-masklabel.png")
    before = prepared(tmp_path, masks="files")[1][0].sha256
    Image.new("L", (64, 64), 200).save(tmp_path / "a-masklabel.png")
    assert prepared(tmp_path, masks="files")[1][0].sha256 != before


def test_doubles_near_doubles_and_enlarged_pictures_are_remarked_on(tmp_path):
    gradient(tmp_path / "a.png", (64, 64))
    gradient(tmp_path / "b.png", (64, 64))
    noise = Image.effect_noise((64, 64), 90).convert("RGB")
    noise.save(tmp_path / "c.png")
    noise.save(tmp_path / "d.jpg", quality=95)
    Image.effect_noise((20, 30), 90).convert("RGB").save(tmp_path / "e.png")
    found = remarks(prepared(tmp_path)[1])
    assert found[0] == "the same picture more than once: a.png = b.png"
    assert found[1] == "nearly the same picture: c.png ~ d.jpg"
    assert found[2] == "smaller than the model's pictures, and enlarged: e.png (20x30)"


def test_the_samples_that_ship_have_no_doubles():
    from pseudoword.services.samples import sample_folder

    for name in ("high-contrast", "mascot"):
        _, pictures = prepared(sample_folder(name, "training"), resolution=128)
        assert not [remark for remark in remarks(pictures) if "more than once" in remark]
