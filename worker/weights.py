"""The command line for weights: `python -m worker.weights` lists, verifies and converts them."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from worker.problems import Problem

NEEDS = "This needs torch, transformers and safetensors: pip install 'nijika[worker]' (docs/models.md tells more)."


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what is asked for; return the exit status: 0, or 1 with a sentence on stderr."""
    options = _parser().parse_args(arguments)
    try:
        appraisal = import_module("worker.appraisal")
    except ModuleNotFoundError as error:
        sys.stderr.write(f"{error}. {NEEDS}\n")
        return 1
    try:
        for line in getattr(appraisal, options.command)(options):
            sys.stdout.write(f"{line}\n")
    except OSError as error:
        reason = error.strerror or str(error)
        sys.stderr.write(f"{error.filename}: {reason}.\n" if error.filename else f"{reason}\n")
        return 1
    except (appraisal.checkpoints.SafetensorError, Problem, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m worker.weights", description="Look after files of weights.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("known", help="list the published models that the worker knows")
    verify = commands.add_parser("verify", help="tell what weights are, and which order of image tiles fits them")
    verify.add_argument("source", help="a file, a folder, or an id on the Hugging Face hub")
    verify.add_argument("--revision", help="commit of the hub id; known for the published variants")
    verify.add_argument("--local-files-only", action="store_true", help="ask the hub for nothing")
    verify.add_argument("--picture", type=Path, help="a picture: both orders' results are written beside it")
    convert = commands.add_parser("convert", help="check a published file and keep it as safetensors")
    convert.add_argument("source", type=Path, help="a .pth or .safetensors file")
    convert.add_argument("target", type=Path, help="the folder that the worker is to load")
    convert.add_argument(
        "--model", help="variant of BiRefNet, or name of a Real-ESRGAN model; guessed if only one fits"
    )
    convert.add_argument("--tile-order", choices=("chw", "whc"), help="for BiRefNet; else what the weights tell")
    convert.add_argument("--sha256", help="digest that the file must have; needed for .pth files that are not known")
    return parser


if __name__ == "__main__":
    sys.exit(main())
