"""Pictures brought to another size, as A1111's resize modes do it (reference a1111.md §3.3)."""

from PIL import Image, ImageOps

JUST_RESIZE, CROP, FILL, LATENT = range(4)


def resized(image: Image.Image, width: int, height: int, mode: int = JUST_RESIZE) -> Image.Image:
    """By Lanczos: squeezed (0), with the overhang cut off (1), or with the edges drawn out over the gap (2)."""
    if image.size == (width, height):
        return image
    if mode == CROP:
        return _centred(_scaled(image, width, height, cover=True), width, height)
    if mode == FILL:
        return _edges_drawn_out(_scaled(image, width, height, cover=False), width, height)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def flattened(image: Image.Image) -> Image.Image:
    """RGB, transparent parts on white, turned as its EXIF note says."""
    image = ImageOps.exif_transpose(image)
    if "A" not in image.getbands() and "transparency" not in image.info:
        return image.convert("RGB")
    image = image.convert("RGBA")
    ground = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(ground, image).convert("RGB")


def _scaled(image: Image.Image, width: int, height: int, *, cover: bool) -> Image.Image:
    """Keeping proportions, so that the frame is covered, or so that all of it is inside."""
    by_width = (width / height > image.width / image.height) == cover
    size = (width, image.height * width // image.width) if by_width else (image.width * height // image.height, height)
    return image.resize((max(size[0], 1), max(size[1], 1)), Image.Resampling.LANCZOS)


def _centred(image: Image.Image, width: int, height: int) -> Image.Image:
    frame = Image.new(image.mode, (width, height))
    frame.paste(image, (width // 2 - image.width // 2, height // 2 - image.height // 2))
    return frame


def _edges_drawn_out(image: Image.Image, width: int, height: int) -> Image.Image:
    frame = _centred(image, width, height)
    left, top = width // 2 - image.width // 2, height // 2 - image.height // 2
    right, bottom = width - left - image.width, height - top - image.height
    for row, y, length in ((0, 0, top), (image.height - 1, height - bottom, bottom)):
        if length > 0:
            edge = image.crop((0, row, image.width, row + 1)).resize((image.width, length))
            frame.paste(edge, (left, y))
    for column, x, length in ((0, 0, left), (image.width - 1, width - right, right)):
        if length > 0:
            edge = image.crop((column, 0, column + 1, image.height)).resize((length, image.height))
            frame.paste(edge, (x, top))
    return frame
