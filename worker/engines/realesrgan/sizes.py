"""How large an enlarged picture becomes, and where that ends."""

SCALE_LEAST, SCALE_MOST = 1.0, 6.0


def enlarged(height: int, width: int, scale: float, megapixels_max: float) -> tuple[int, int]:
    """The (width, height) of a picture enlarged `scale` times.

    Raises ValueError, with a sentence to the caller, if the scale is not 1 to 6 or the result has more than
    `megapixels_max` million pixels.
    """
    if not SCALE_LEAST <= scale <= SCALE_MOST:
        raise ValueError(f"The scale is {SCALE_LEAST:g} to {SCALE_MOST:g}, not {scale:g}.")
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if size[0] * size[1] > megapixels_max * 1e6:
        raise ValueError(
            f"The result would have {size[0] * size[1] / 1e6:.1f} megapixels; {megapixels_max:g} is the most."
        )
    return size
