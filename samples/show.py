"""Makes the pictures of the front page: the sample as it is, and its cut-out, as the worker makes it through nijika.

With `nijika demo` running, in this folder's parent: `python samples/show.py http://127.0.0.1:8080 nj_live_…`
"""

import io
import sys
import urllib.request
from pathlib import Path

from PIL import Image

STATIC = Path(__file__).parents[1] / "static"
SIZE = (900, 675)


def main(url: str, key: str) -> None:
    """Write static/mug.jpg and static/mug-cutout.webp."""
    with Image.open(Path(__file__).with_name("mug.jpg")) as sample:
        sample.resize(SIZE, Image.Resampling.LANCZOS).save(STATIC / "mug.jpg", quality=85, optimize=True)
    address = f"{url}/api/removebg"
    headers = {"X-API-Key": key, "Content-Type": "image/jpeg"}
    request = urllib.request.Request(address, (STATIC / "mug.jpg").read_bytes(), headers)  # noqa: S310 (our own gateway)
    with urllib.request.urlopen(request, timeout=120) as answer, Image.open(io.BytesIO(answer.read())) as cutout:  # noqa: S310 (our own gateway)
        # Smaller, not better: edges and transparency stay as they came.
        cutout.save(STATIC / "mug-cutout.webp", quality=85, alpha_quality=100, method=6)


if __name__ == "__main__":
    main(*sys.argv[1:])
