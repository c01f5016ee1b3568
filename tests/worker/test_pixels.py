"""Every kind of picture file becomes upright 8-bit RGB, or a problem with a sentence; never anything else."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, features

from tests.worker import pictures
from worker import pixels
from worker.problems import NotAnImage, Problem, TooLong, TooManyPixels, TruncatedImage

PIXELS_MAX = 1_000_000
UPRIGHT = pictures.noise()
# What the camera stored, from what it should look like: the inverse of each orientation's turn (EXIF 2.32, 4.6.4).
STORED = {
    1: UPRIGHT,
    2: UPRIGHT[:, ::-1],
    3: UPRIGHT[::-1, ::-1],
    4: UPRIGHT[::-1],
    5: UPRIGHT.swapaxes(0, 1),
    6: np.rot90(UPRIGHT, 1),
    7: UPRIGHT[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90(UPRIGHT, -1),
}


def decode(data: bytes) -> pixels.Picture:
    return pixels.decode(data, PIXELS_MAX)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_exif_orientation_is_applied_once(orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    data = pictures.file(np.ascontiguousarray(STORED[orientation]), kind, exif=exif, **options)

    picture = decode(data)

    np.testing.assert_array_equal(picture.rgb, UPRIGHT)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_orientation_in_a_jpeg_is_applied_once(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = pictures.file(np.ascontiguousarray(STORED[orientation]), "JPEG", exif=exif, quality=95)

    picture = decode(data)

    assert picture.rgb.shape == UPRIGHT.shape
    assert picture.rgb.flags.c_contiguous
    assert np.abs(picture.rgb.astype(int) - UPRIGHT).mean() < 4


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0, "quality": 98}, {"subsampling": 2}])
@pytest.mark.parametrize("profile", [None, pictures.srgb_profile()])
def test_a_jpeg_is_the_same_however_it_is_read(options: dict[str, int], profile: bytes | None) -> None:
    data = pictures.file(pictures.noise(203, 101), "JPEG", icc_profile=profile, **options)

    # What follows the end of a JPEG sends it the slower way, by Pillow.
    fast, slow = decode(data), decode(data + b"a note of the camera")

    np.testing.assert_array_equal(fast.rgb, slow.rgb)
    assert fast.icc == slow.icc == profile


def test_a_jpeg_whose_middle_is_missing_is_read_as_pillow_reads_it_or_refused() -> None:
    data = pictures.file(pictures.noise(200, 150), "JPEG", quality=95)

    _is_a_problem_or_a_picture(data[: len(data) // 2] + data[-2:])


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize(
    "options", [{"quality": 60}, {"lossless": True}, {"lossless": True, "exact": True}, {"alpha_quality": 30}]
)
def test_a_still_webp_is_read_without_pillow_and_just_as_by_it(
    options: dict[str, int], channels: int, orientation: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile, exif = pictures.srgb_profile(), Image.Exif()
    exif[0x0112] = orientation
    pixels_in = pictures.noise(203, 101, channels)
    data = pictures.file(pixels_in, "WEBP", icc_profile=profile, exif=exif, **options)
    by_pillow = np.asarray(
        pictures.opened(data).transpose(Image.Transpose.ROTATE_270) if orientation == 6 else pictures.opened(data)
    )
    monkeypatch.setattr("PIL.WebPImagePlugin.WebPImageFile.load", lambda _image: pytest.fail("by Pillow"))

    picture = decode(data)

    np.testing.assert_array_equal(picture.rgb, by_pillow[..., :3])
    assert (picture.alpha is None) == (channels == 3)
    if picture.alpha is not None:
        np.testing.assert_array_equal(picture.alpha, by_pillow[..., 3])
    assert picture.icc == profile


def test_a_broken_exif_block_does_not_refuse_the_picture() -> None:
    data = pictures.file(UPRIGHT, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")

    assert decode(data).rgb.shape == UPRIGHT.shape


@pytest.mark.parametrize("kind", [name for name in pixels.FORMATS if name != "AVIF" or features.check("avif")])
def test_every_promised_format_is_read(kind: str) -> None:
    picture = decode(pictures.file(UPRIGHT, kind))

    assert picture.rgb.shape == UPRIGHT.shape
    assert np.abs(picture.rgb.astype(int) - UPRIGHT).mean() < 12


def test_16_bit_grey_is_scaled_and_not_clipped() -> None:
    ramp = np.linspace(0, 65535, 60).astype(np.uint16)[None].repeat(4, 0)

    picture = decode(pictures.file(Image.fromarray(ramp)))

    np.testing.assert_array_equal(picture.rgb[..., 0], np.round(ramp / 257).astype(np.uint8))


def test_16_bit_rgb_keeps_its_brightness() -> None:
    row = b"\0" + struct.pack(">9H", 0, 32768, 65535, 256, 512, 51400, 65535, 65535, 65535)

    picture = decode(pictures.png(3, 1, 16, 2, row))

    true = np.array([0, 127.5, 255, 1, 2, 200, 255, 255, 255])
    np.testing.assert_allclose(picture.rgb.ravel(), true, atol=0.6)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_ink_is_not_inverted(kind: str) -> None:
    # Pillow writes CMYK JPEGs the Adobe way: inverted, with an APP14 marker.
    ink = Image.new("CMYK", (16, 16), (0, 255, 255, 0))

    picture = decode(pictures.file(ink, kind))

    red, green, blue = picture.rgb[8, 8]
    assert red > 200
    assert max(green, blue) < 60


def test_a_palette_with_transparency_keeps_colours_and_alpha() -> None:
    image = Image.new("P", (4, 1))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.putdata([0, 1, 2, 0])

    picture = decode(pictures.file(image, transparency=bytes([0, 128, 255])))

    assert picture.alpha is not None
    assert picture.alpha[0].tolist() == [0, 128, 255, 0]
    assert picture.rgb[0, 1:3].tolist() == [[0, 255, 0], [0, 0, 255]]


def test_grey_with_alpha_is_read() -> None:
    grey_alpha = Image.merge("LA", [Image.new("L", (5, 5), 90), Image.new("L", (5, 5), 40)])

    picture = decode(pictures.file(grey_alpha))

    assert picture.alpha is not None
    assert (picture.rgb[2, 2].tolist(), picture.alpha[2, 2]) == ([90, 90, 90], 40)


def test_one_bit_pictures_are_black_and_white() -> None:
    picture = decode(pictures.file(Image.fromarray(np.eye(9, dtype=bool))))

    np.testing.assert_array_equal(picture.rgb[..., 0], np.eye(9) * 255)


@pytest.mark.parametrize(("depth", "colour"), [(1, 1), (2, 2), (4, 9), (8, 77), (16, 40000)])
def test_the_transparent_grey_of_a_png_is_found_at_every_depth(depth: int, colour: int) -> None:
    values = [0, colour]
    packed = b"".join(struct.pack(">H", v) for v in values) if depth == 16 else bytes(values)
    if depth < 8:
        packed = bytes([values[0] << (8 - depth) | values[1] << (8 - 2 * depth)])
    data = pictures.png(2, 1, depth, 0, b"\0" + packed, pictures.chunk(b"tRNS", struct.pack(">H", colour)))

    picture = decode(data)

    assert picture.alpha is not None
    assert picture.alpha[0].tolist() == [255, 0]


def test_the_transparent_colour_of_a_16_bit_png_is_found() -> None:
    row = b"\0" + struct.pack(">6H", 0, 0, 0, 40000, 20000, 10000)
    data = pictures.png(2, 1, 16, 2, row, pictures.chunk(b"tRNS", struct.pack(">3H", 40000, 20000, 10000)))

    picture = decode(data)

    assert picture.alpha is not None
    assert picture.alpha[0].tolist() == [255, 0]


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_is_taken(kind: str) -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "lime", "blue")]

    picture = decode(pictures.file(frames[0], kind, save_all=True, append_images=frames[1:], duration=50))

    assert np.abs(picture.rgb[10, 10].astype(int) - (255, 0, 0)).max() < 8


def test_an_opaque_picture_has_no_alpha() -> None:
    opaque = np.dstack([UPRIGHT, np.full(UPRIGHT.shape[:2], 255, np.uint8)])

    assert decode(pictures.file(opaque)).alpha is None


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_an_rgb_profile_stays_with_the_picture(kind: str) -> None:
    profile = pictures.srgb_profile()

    assert decode(pictures.file(UPRIGHT, kind, icc_profile=profile)).icc == profile


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "TIFF"])
def test_a_profile_larger_than_a_mebibyte_is_taken_for_none(kind: str) -> None:
    profile = pictures.srgb_profile()

    for size, kept in ((2**20, True), (2**20 + 1, False)):
        padded = profile.ljust(size, b"\0")
        assert decode(pictures.file(UPRIGHT, kind, icc_profile=padded)).icc == (padded if kept else None)


@pytest.mark.parametrize("space", [b"CMYK", b"GRAY", b"Lab "])
def test_a_profile_of_another_colour_space_is_never_attached(space: bytes) -> None:
    data = pictures.file(UPRIGHT, "JPEG", icc_profile=pictures.profile_of_space(space))

    assert decode(data).icc is None


def test_cmyk_and_grey_pictures_with_a_broken_profile_are_still_read() -> None:
    ink = pictures.file(Image.new("CMYK", (8, 8)), "JPEG", icc_profile=pictures.profile_of_space(b"CMYK"))
    grey = pictures.file(Image.new("L", (8, 8), 90), icc_profile=pictures.profile_of_space(b"GRAY"))

    assert decode(ink).icc is None
    assert decode(grey).icc is None


def test_hidden_colours_are_shown_to_the_engine_as_neutral_grey() -> None:
    data = pictures.file(np.full((4, 4, 4), (250, 10, 10, 0), np.uint8))

    assert (decode(data).seen() == 128).all()


def _gif(width: int, height: int, frame: tuple[int, int]) -> bytes:
    control = b"\x21\xf9\x04\x08\0\0\0\0"
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    return head + control + b"," + struct.pack("<HHHHB", 0, 0, *frame, 0) + b"\x02\x02\x44\x01\x00;"


def _jpeg(width: int, height: int) -> bytes:
    data = bytearray(pictures.file(UPRIGHT, "JPEG"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def _webp(width: int, height: int) -> bytes:
    sizes = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    extended = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + sizes
    anim = b"ANIM" + struct.pack("<I", 6) + b"\0" * 6
    still = pictures.file(UPRIGHT, "WEBP", lossless=True)[12:]
    frame = b"\0" * 6 + (59).to_bytes(3, "little") + (39).to_bytes(3, "little") + b"\0" * 4 + still
    body = b"WEBP" + extended + anim + b"ANMF" + struct.pack("<I", len(frame)) + frame
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _bmp(width: int, height: int) -> bytes:
    data = bytearray(pictures.file(UPRIGHT, "BMP"))
    data[18:26] = struct.pack("<ii", width, height)
    return bytes(data)


def _tiff(width: int, height: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(UPRIGHT).save(out, "TIFF")
    data = bytearray(out.getvalue())
    for tag, value in ((256, width), (257, height)):
        at = data.index(struct.pack("<HHI", tag, 4 if struct.pack("<HHI", tag, 4, 1) in data else 3, 1))
        data[at : at + 12] = struct.pack("<HHII", tag, 4, 1, value)
    return bytes(data)


BOMBS = {
    "png": pictures.png(30_000, 30_000, 8, 2, b"\0"),
    "jpeg": _jpeg(30_000, 30_000),
    "gif": _gif(30_000, 30_000, (10, 10)),
    "gif whose frame is larger than its canvas": _gif(10, 10, (60_000, 60_000)),
    "webp": _webp(16_000, 16_000),
    "bmp": _bmp(30_000, 30_000),
    "tiff": _tiff(30_000, 30_000),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_header_with_too_many_pixels_is_refused_before_a_pixel_is_decoded(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda _image: pytest.fail("pixels were decoded"))

    with pytest.raises(TooManyPixels, match="megapixels"):
        decode(BOMBS[name])


def test_a_side_that_no_file_can_hold_is_refused() -> None:
    with pytest.raises(TooLong):
        decode(pictures.png(70_000, 1, 8, 0, b"\0" * 70_001))


def test_a_png_that_inflates_to_more_than_its_header_says_is_harmless() -> None:
    data = pictures.png(2, 1, 8, 0, b"\0\x10\x20" + b"\0" * 5_000_000)

    assert decode(data).rgb.shape == (1, 2, 3)


def test_a_compressed_profile_that_explodes_is_a_problem_and_no_crash() -> None:
    profile = pictures.chunk(b"iCCP", b"x\0\0" + zlib.compress(b"\0" * 20_000_000))

    with pytest.raises(Problem):
        decode(pictures.png(1, 1, 8, 0, b"\0\0", profile))


def test_a_jpeg_with_hundreds_of_scans_is_refused() -> None:
    data = pictures.file(UPRIGHT, "JPEG", progressive=True)
    at = data.rindex(b"\xff\xda")

    with pytest.raises(NotAnImage, match="scans"):
        decode(data[:at] + data[at:-2] * 200 + data[-2:])


@pytest.mark.parametrize("mode", ["I", "F"])
def test_32_bits_a_channel_are_refused_in_a_sentence(mode: str) -> None:
    with pytest.raises(NotAnImage, match="32 bits"):
        decode(pictures.file(Image.new(mode, (4, 4)), "TIFF"))


@pytest.mark.parametrize("kind", pixels.FORMATS)
def test_a_picture_cut_at_any_length_is_a_problem_or_a_picture(kind: str) -> None:
    data = pictures.file(UPRIGHT, kind)

    for length in {*range(0, 64, 3), *range(64, len(data), max(1, len(data) // 60))}:
        _is_a_problem_or_a_picture(data[:length])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"])
def test_a_picture_cut_in_the_middle_is_called_truncated(kind: str) -> None:
    data = pictures.file(pictures.noise(200, 150), kind)

    with pytest.raises(TruncatedImage, match="whole file"):
        decode(data[: len(data) // 2])


@pytest.mark.parametrize("kind", pixels.FORMATS)
def test_flipped_bytes_are_a_problem_or_a_picture(kind: str) -> None:
    rng = np.random.default_rng(11)
    data = np.frombuffer(pictures.file(UPRIGHT, kind), np.uint8)

    for _ in range(60):
        broken = data.copy()
        places = rng.integers(0, min(len(data), 400) if rng.random() < 0.5 else len(data), rng.integers(1, 12))
        broken[places] = rng.integers(0, 256, len(places))
        _is_a_problem_or_a_picture(broken.tobytes())


def test_random_bytes_are_a_problem_or_a_picture() -> None:
    rng = np.random.default_rng(12)
    heads = (b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\0", b"MM\0*", b"RIFF\0\0\0\0WEBP")

    for number in range(400):
        _is_a_problem_or_a_picture(heads[number % len(heads)] + rng.bytes(int(rng.integers(0, 600))))


def _is_a_problem_or_a_picture(data: bytes) -> None:
    try:
        picture = decode(data)
    except (NotAnImage, TruncatedImage, TooManyPixels, TooLong):
        return
    assert picture.rgb.dtype == np.uint8
    assert picture.rgb.ndim == 3
