"""From the published files to networks: each .pth is checked, read as plain tensors, and kept as safetensors."""

import os
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from worker import checkpoints
from worker.checkpoints import CheckpointError, State
from worker.engines.realesrgan import models
from worker.engines.realesrgan.rrdb import RRDBNet
from worker.engines.realesrgan.srvgg import SRVGGNetCompact


def load(name: str, folder: Path) -> RRDBNet | SRVGGNetCompact:
    """The model `name` with its weights from `folder`: NAME.safetensors, or NAME.pth, which is converted first.

    A .pth has to have the published digest. A .safetensors is believed by its name: its digest depends on who wrote
    it, so only names and shapes are held against the model; whoever can write to the folder decides what is run, as
    numbers and never as code. Raises CheckpointError if there is no such file, if a .pth is not the published one, or
    if the weights do not fit.
    """
    return made(name, state(name, folder))


def state(name: str, folder: Path) -> State:
    """The weights of a model or twin; raises as `load` does."""
    converted, pickled = folder / f"{name}.safetensors", folder / f"{name}.pth"
    if not converted.is_file() and pickled.is_file():
        convert(name, pickled, converted)
    if not converted.is_file():
        raise CheckpointError(f"{folder} holds neither {converted.name} nor {pickled.name}.")
    return checkpoints.read(converted)


def lies_in(name: str, folder: Path) -> bool:
    """Whether `folder` holds a file of the model or twin `name`."""
    return any((folder / f"{name}{suffix}").is_file() for suffix in (".safetensors", ".pth"))


def convert(name: str, source: Path, target: Path, sha256: str | None = None) -> None:
    """Write the weights in `source`, which has to have the digest `sha256` or else the published one, to `target`.

    What goes wrong leaves no target behind. Raises CheckpointError.
    """
    weights = checkpoints.read(source, sha256 or models.find(name).sha256)
    made(name, weights)
    half_done = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        save_file({key: value.contiguous() for key, value in weights.items()}, half_done)
        half_done.replace(target)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{target} cannot be written: {error}. Convert it elsewhere beforehand.") from error
    finally:
        half_done.unlink(missing_ok=True)


def made(name: str, weights: State) -> RRDBNet | SRVGGNetCompact:
    """The network of the model or twin `name` with these weights. Raises CheckpointError where they do not fit."""
    with torch.device("meta"):
        network = models.find(name).network()
    if found := checkpoints.differences(weights, network.state_dict()):
        raise CheckpointError(f"These are not the weights of {name}: {'; '.join(found)}.")
    network.load_state_dict(weights, assign=True)
    return network.eval()


def fitting(weights: State) -> list[str]:
    """The names of the models and twins that these weights have the names and shapes of."""
    with torch.device("meta"):
        return [
            name
            for name, model in (models.MODELS | models.TWINS).items()
            if not checkpoints.differences(weights, model.network().state_dict())
        ]


def by_digest(sha256: str) -> str | None:
    """The model or twin whose published file has this digest."""
    return next((name for name, model in (models.MODELS | models.TWINS).items() if model.sha256 == sha256), None)
