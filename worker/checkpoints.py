"""Files of weights: where they lie, what is in them, and that they are the ones that somebody meant."""

import hashlib
import pickle
import re
from pathlib import Path
from typing import TypeAlias

import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

State: TypeAlias = dict[str, Tensor]
"""Tensors by the names of the module that they belong to."""

FILE = "model.safetensors"
PICKLES = (".pth", ".pt", ".bin")

_COMMIT = re.compile(r"[0-9a-f]{40}")
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_WRAPPERS = ("params_ema", "params", "state_dict")
# What training on several cards and compiling put before every name.
_PREFIXES = ("module.", "_orig_mod.")


class CheckpointError(ValueError):
    """Weights that cannot be found, read or believed, in a sentence to the operator."""


def locate(source: str | Path, revision: str | None = None, *, local_files_only: bool = False) -> Path:
    """The file that `source` means: itself, the model.safetensors of a folder, or of an id on the Hugging Face hub.

    From the hub only a commit of 40 hexadecimal digits is taken, since a branch may move; with `local_files_only`,
    and with HF_HUB_OFFLINE set, only from the cache. Raises CheckpointError.
    """
    path = Path(source)
    if path.is_file():
        return path
    if path.is_dir():
        return _in_folder(path)
    if not _HUB_ID.fullmatch(str(source)):
        raise CheckpointError(f"There is no file or folder {source}.")
    return _on_hub(str(source), revision, local_files_only=local_files_only)


def read(path: Path, sha256: str | None = None) -> State:
    """The tensors of a safetensors file, or of a pickle that holds nothing but tensors; on the CPU, in their own types.

    A dict under params_ema, params or state_dict is unwrapped, and prefixes of training are taken off the names.
    With `sha256` the file has to have that digest. Raises CheckpointError.
    """
    if sha256 is not None and (found := digest(path)) != sha256.lower():
        raise CheckpointError(f"{path} is not the file that was meant: its SHA-256 is {found}, not {sha256}.")
    try:
        content = _unpickled(path) if path.suffix in PICKLES else load_file(path)
    except (OSError, SafetensorError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        # Not with torch's words: they propose to run what is in the file.
        raise CheckpointError(f"{path} is damaged, or holds something else than tensors, which is not run.") from error
    return {_bare(key): value for key, value in content.items()}


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def differences(state: State, expected: State) -> list[str]:
    """What keeps `state` from being loaded where `expected` is, one sentence for each kind; [] if nothing does."""
    lacking, foreign = [key for key in expected if key not in state], [key for key in state if key not in expected]
    shaped = [key for key, value in expected.items() if key in state and state[key].shape != value.shape]
    return [
        f"{len(keys)} {what}: {', '.join(keys[:3])}{' …' if len(keys) > 3 else ''}"  # noqa: PLR2004 - enough to see
        for keys, what in ((lacking, "missing"), (foreign, "unexpected"), (shaped, "of another shape"))
        if keys
    ]


def _in_folder(folder: Path) -> Path:
    files = [folder / FILE] if (folder / FILE).is_file() else sorted(folder.glob("*.safetensors"))
    if len(files) != 1:
        raise CheckpointError(f"{folder} has to hold {FILE}, or one *.safetensors file; it holds {len(files)}.")
    return files[0]


def _on_hub(repository: str, revision: str | None, *, local_files_only: bool) -> Path:
    if revision is None or not _COMMIT.fullmatch(revision):
        raise CheckpointError(
            f"Weights from the hub are taken at a commit of 40 hexadecimal digits; {repository} was asked for at "
            f"{revision or 'none'}."
        )
    try:
        return Path(hf_hub_download(repository, FILE, revision=revision, local_files_only=local_files_only))
    except LocalEntryNotFoundError as error:
        raise CheckpointError(
            f"{repository} at {revision} is not in the cache, and the hub was not asked or could not be reached."
        ) from error
    except (HfHubHTTPError, OSError) as error:
        raise CheckpointError(f"{repository} at {revision} cannot be fetched from the hub: {error}") from error


def _unpickled(path: Path) -> State:
    content = torch.load(path, map_location="cpu", weights_only=True)
    for wrapper in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
            break
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise CheckpointError(f"{path} holds something else than tensors by name.")
    return content


def _bare(key: str) -> str:
    while key.startswith(_PREFIXES):
        key = key.partition(".")[2]
    return key
