"""What a file of weights is, told in lines to a person; and the file turned into what the worker loads."""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from worker import checkpoints, pixels
from worker.checkpoints import CheckpointError, State
from worker.engines import birefnet
from worker.engines.birefnet import engine, tile_evidence, tile_trial, variants
from worker.engines.birefnet import published as mattes
from worker.engines.realesrgan import models
from worker.engines.realesrgan import published as upscales

PICTURE_PIXELS_MAX = 50_000_000


def known(_options: argparse.Namespace) -> Iterator[str]:
    """Every published model by name, with where it comes from."""
    for name, variant in variants.VARIANTS.items():
        height, width = variant.resolution
        place = f"{variant.hub_id} at {variant.revision}" if variant.hub_id else "for weights of your own"
        yield f"BiRefNet {name}: {width}x{height}, {place}"
    for name, model in (models.MODELS | models.TWINS).items():
        yield f"Real-ESRGAN {name}: {model.scale}x, {name}.pth with SHA-256 {model.sha256}"


def verify(options: argparse.Namespace) -> Iterator[str]:
    """What `source` holds. Raises CheckpointError if it is nothing that the worker can run."""
    source = options.source
    named = mattes.by_hub_id(source)
    revision = options.revision or (variants.find(named).revision if named else None)
    path = checkpoints.locate(source, revision, local_files_only=options.local_files_only)
    digest, state = checkpoints.digest(path), checkpoints.read(path)
    yield f"file: {path}, {path.stat().st_size:,} bytes, SHA-256 {digest}"
    yield f"types: {', '.join(sorted({str(value.dtype).removeprefix('torch.') for value in state.values()}))}"
    fitting = upscales.fitting(state)
    if fitting:
        yield f"fits: Real-ESRGAN {', '.join(fitting)}; all {len(state)} names and shapes are there, and no others"
        yield _identity(upscales.by_digest(digest))
        return
    sizes = mattes.backbone(state)
    model = mattes.made(state, mattes.saved(path) or birefnet.BiRefNetConfig(**vars(sizes)))
    variants_fitting = ", ".join(mattes.fitting(sizes)) or "with a backbone of its own"
    yield f"fits: BiRefNet {variants_fitting}; all {len(state)} names and shapes are there, and no others"
    yield _identity(mattes.by_digest(digest))
    yield from _tile_order(state)
    if options.picture:
        yield from _pictures(model.float(), options.picture)


def convert(options: argparse.Namespace) -> Iterator[str]:
    """Write `source` to the folder `target`. Raises CheckpointError if it is not what it is said to be."""
    digest = checkpoints.digest(options.source)
    name = upscales.by_digest(digest) or mattes.by_digest(digest)
    if options.source.suffix in checkpoints.PICKLES and not name and not options.sha256:
        raise CheckpointError(f"{options.source} is not known. If it comes from whom you trust: --sha256 {digest}")
    state = checkpoints.read(options.source, options.sha256)
    options.target.mkdir(parents=True, exist_ok=True)
    fitting = upscales.fitting(state)
    chosen = options.model or name or (fitting[0] if len(fitting) == 1 else None)
    if fitting:
        if chosen is None:
            raise CheckpointError(f"These weights fit several models. Name one with --model: {', '.join(fitting)}.")
        upscales.convert(chosen, options.source, options.target / f"{chosen}.safetensors", digest)
        yield f"{options.target / chosen}.safetensors"
        return
    yield from _convert_matte(state, chosen, options)


def _convert_matte(state: State, variant: str | None, options: argparse.Namespace) -> Iterator[str]:
    evidence = tile_evidence.weigh(state)
    order = options.tile_order or evidence.verdict
    if order is None:
        raise CheckpointError("The weights do not tell the order of their tiles. Name it with --tile-order.")
    config = mattes.configuration(options.source, state, variant, order)
    mattes.made(state, config)
    save_file(state, options.target / checkpoints.FILE, {"format": "pt"})
    config.save_pretrained(options.target)
    yield f"{options.target}: BiRefNet, {config.resolution[1]}x{config.resolution[0]}, tile order {order}"


def _identity(name: str | None) -> str:
    return f"published: this is the file of {name}" if name else "published: not a file whose digest is known here"


def _tile_order(state: State) -> Iterator[str]:
    evidence = tile_evidence.weigh(state)
    likeness = ", ".join(f"{order} {value:.4f}" for order, value in evidence.likeness.items())
    yield f"likeness of weights that ought to be alike: {likeness}"
    deviations = ", ".join(f"{block} {value:+.1f}" for block, value in evidence.deviations.items())
    yield f"standard deviations for chw: {deviations}"
    told = (
        f"{evidence.verdict}, by what training left in the weights" if evidence.verdict else "the weights do not tell"
    )
    yield f"tile order: {told}; to be sure, look at a picture in both orders (--picture)"


def _pictures(model: birefnet.BiRefNet, path: Path) -> Iterator[str]:
    picture = pixels.decode(path.read_bytes(), PICTURE_PIXELS_MAX).seen()
    height, width = model.config.resolution
    view = torch.from_numpy(engine.resized(picture, height, width))[None]
    alphas = tile_trial.run(model, engine.normalised(view))
    for order, alpha in alphas.items():
        target = path.with_name(f"{path.stem}.{order}.png")
        values = engine.resized((alpha.numpy() * 255).round().astype(np.uint8), *picture.shape[:2])
        Image.fromarray(values).save(target)
        yield f"foreground in tile order {order}: {target}"
    difference = float((alphas["chw"] - alphas["whc"]).abs().mean())
    yield f"the two differ by {difference:.4f} on average; which one is right is for you to see"
