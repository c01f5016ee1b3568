"""From a file of weights to a network: sizes by shapes, names and numbers held against what the network has."""

import json
import math
import re
from collections import Counter
from pathlib import Path

import torch

from worker import checkpoints
from worker.checkpoints import CheckpointError, State
from worker.engines.birefnet import tile_evidence, variants, windows
from worker.engines.birefnet.config import BiRefNetConfig
from worker.engines.birefnet.model import BiRefNet
from worker.engines.birefnet.variants import Backbone

_EMBEDDING = "bb.patch_embed.proj.bias"
_TABLE = re.compile(r"bb\.layers\.(\d)\.blocks\.\d+\.attn\.relative_position_bias_table")


def load(
    source: str | Path,
    *,
    variant: str | None = None,
    tile_order: str | None = None,
    revision: str | None = None,
    local_files_only: bool = False,
) -> BiRefNet:
    """The network whose weights lie at `source`: a folder, a file, an id on the hub, or the name of a variant.

    Nothing may be missing or unexpected, and no shape may differ. Resolution and order of tiles are those of a
    config.json of ours beside the file. Without one they are those of the variant, which is known by its hub id or
    digest or has to be named; but if training left another order in the weights, that one is taken. `tile_order`
    overrides.
    What comes from the hub under the id and the commit of a variant has to have its digest, where that is known.
    The weights keep the type that they have in the file. Raises CheckpointError, and ValueError for an unknown
    variant or order.
    """
    known = variants.VARIANTS.get(str(source)) if not Path(source).exists() else None
    if known and known.hub_id:
        variant, source = str(source), known.hub_id
    variant = variant or by_hub_id(str(source))
    revision = revision or (variants.find(variant).revision if variant else None)
    path = checkpoints.locate(source, revision, local_files_only=local_files_only)
    if path.suffix in checkpoints.PICKLES:
        raise CheckpointError(f"{path} is a pickle. Make a folder of it first: python -m worker.weights convert.")
    state = checkpoints.read(path, published_digest(str(source), revision))
    return made(state, configuration(path, state, variant, tile_order))


def made(state: State, config: BiRefNetConfig) -> BiRefNet:
    """The network of `config` with these weights, in evaluation mode. Raises CheckpointError where they do not fit."""
    with torch.device("meta"):
        model = BiRefNet(config)
    if found := [*checkpoints.differences(state, model.state_dict()), *_wrong_indices(state, config.window)]:
        raise CheckpointError(f"These are not the weights of this BiRefNet: {'; '.join(found)}.")
    model.load_state_dict(state, assign=True)
    return model.eval()


def configuration(path: Path, state: State, variant: str | None, tile_order: str | None) -> BiRefNetConfig:
    """What is known about the weights in `path`: sizes by their shapes, the rest as `load` tells."""
    sizes = backbone(state)
    order = tile_order or tile_evidence.weigh(state).verdict
    config = saved(path)
    if config is None and (name := variant or by_digest(checkpoints.digest(path))):
        config = BiRefNetConfig.variant(name, order)
    if config is None:
        names = ", ".join(fitting(sizes)) or "none fits"
        raise CheckpointError(f"{path} does not say what it was trained for. Name its variant: {names}.")
    if sizes != _sizes(config):
        raise CheckpointError(f"The weights have the backbone {sizes}, the configuration {_sizes(config)}.")
    if tile_order:
        config.tile_order = variants.tile_order(tile_order)
    return config


def saved(path: Path) -> BiRefNetConfig | None:
    """The configuration of ours that lies beside a file of weights, if one does."""
    # The hub's own config.json names classes that would have to be fetched and run; it is not ours to read.
    beside = path.with_name("config.json")
    if not beside.is_file() or json.loads(beside.read_text()).get("model_type") != BiRefNetConfig.model_type:
        return None
    return BiRefNetConfig.from_json_file(beside)


def backbone(state: State) -> Backbone:
    """The sizes of the backbone that these weights belong to. Raises CheckpointError if they are no BiRefNet's."""
    depths = Counter(match[1] for key in sorted(state) if (match := _TABLE.fullmatch(key)))
    first = [f"bb.layers.{stage}.blocks.0.attn.relative_position_bias_table" for stage in depths]
    if not depths or not {_EMBEDDING, *first} <= state.keys():
        raise CheckpointError("These are no weights of a BiRefNet with a Swin backbone.")
    tables = [state[key] for key in first]
    return Backbone(
        embed_dim=state[_EMBEDDING].shape[0],
        depths=tuple(depths.values()),
        heads=tuple(table.shape[1] for table in tables),
        window=(math.isqrt(tables[0].shape[0]) + 1) // 2,
    )


def fitting(sizes: Backbone) -> list[str]:
    """The names of the variants with a backbone of these sizes."""
    return [name for name, variant in variants.VARIANTS.items() if variant.backbone == sizes]


def by_hub_id(source: str) -> str | None:
    """The variant that is published under an id of the hub, if there is one."""
    return next((name for name, variant in variants.VARIANTS.items() if variant.hub_id == source), None)


def published_digest(hub_id: str, revision: str | None) -> str | None:
    """The digest that the file behind an id of the hub has at a commit, where both are a variant's and it is known."""
    known = (one for one in variants.VARIANTS.values() if hub_id == one.hub_id and revision == one.revision)
    return next((one.sha256 for one in known), None)


def by_digest(sha256: str) -> str | None:
    """The variant whose published file has this digest, if it is known."""
    return next((name for name, variant in variants.VARIANTS.items() if variant.sha256 == sha256), None)


def _sizes(config: BiRefNetConfig) -> Backbone:
    return Backbone(config.embed_dim, tuple(config.depths), tuple(config.heads), config.window)


def _wrong_indices(state: State, window: int) -> list[str]:
    expected = windows.relative_positions(window)
    indices = [value for key, value in state.items() if key.endswith("relative_position_index")]
    wrong = sum(not torch.equal(value, expected) for value in indices)
    return [f"{wrong} relative_position_index with other numbers"] if wrong else []
