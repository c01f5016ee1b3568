"""The network alone: ms and memory a picture by batch, number type and compilation; `python -m bench.network --help`.

The weights are what the network begins its training with: they cost what trained ones cost, and cut out nothing.
Contenders take turns within each round. On a GPU times are those of the device's own clock.
"""

import argparse
import resource
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from worker.engines.birefnet import BiRefNet, BiRefNetConfig
from worker.engines.birefnet.variants import VARIANTS

TYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def network(variant: str, kind: str, device: torch.device, *, compiles: bool) -> Callable[[Tensor], Any]:
    """The variant with numbers of that type, as worker.engines.birefnet.engine runs it."""
    torch.manual_seed(0)
    model: Any = BiRefNet(BiRefNetConfig.variant(variant))
    model = model.eval().to(device, TYPES[kind], memory_format=torch.channels_last)
    return torch.compile(model, fullgraph=True) if compiles else model


def picture(batch: int, side: int, kind: str, device: torch.device) -> Tensor:
    """Noise, (batch, 3, side, side)."""
    noise = torch.rand(batch, 3, side, side, device=device, dtype=torch.float32)
    return noise.to(TYPES[kind], memory_format=torch.channels_last)


def seconds(run: Callable[[Tensor], Any], pictures: Tensor) -> float:
    """How long one call takes."""
    if pictures.is_cuda:
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        begin.record()
        run(pictures)
        end.record()
        torch.cuda.synchronize()
        return float(begin.elapsed_time(end)) / 1000
    begun = time.perf_counter()
    run(pictures)
    return time.perf_counter() - begun


def peak_mib(device: torch.device) -> float:
    """The most memory so far: of the GPU since the last reset, of the process where there is none."""
    if device.type == "cuda":
        peak = torch.cuda.max_memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        return peak / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variant", choices=VARIANTS, default="lite")
    parser.add_argument("--side", type=int, default=1024, help="of a picture, in pixels; a multiple of 32")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--types", nargs="+", choices=TYPES, default=["float32"])
    parser.add_argument("--compile", action="store_true", help="compiled ones too")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    ways = [(kind, compiles) for kind in options.types for compiles in ([False, True] if options.compile else [False])]
    networks = {way: network(options.variant, way[0], device, compiles=way[1]) for way in ways}
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    sys.stdout.write(f"{options.variant}, {options.side} x {options.side}, {where}, torch {torch.__version__}\n\n")
    sys.stdout.write(f"| numbers | compiled | batch | ms a picture | least | most MiB |\n{'|---' * 6}|\n")
    with torch.inference_mode():
        for batch in options.batches:
            _rows(networks, batch, options.side, options.rounds, device)


def _rows(
    networks: dict[tuple[str, bool], Callable[[Tensor], Any]], batch: int, side: int, rounds: int, device: torch.device
) -> None:
    taken: dict[tuple[str, bool], list[float]] = {way: [] for way in networks}
    peaks: dict[tuple[str, bool], float] = {}
    for way, run in networks.items():
        run(picture(batch, side, way[0], device))  # kernels are chosen, or compiled
    for _ in range(rounds):
        for way, run in networks.items():
            peak_mib(device)
            taken[way].append(seconds(run, picture(batch, side, way[0], device)) * 1000 / batch)
            peaks[way] = peak_mib(device)
    for (kind, compiles), times in taken.items():
        cells = (kind, "yes" if compiles else "no", batch, f"{statistics.median(times):.1f}", f"{min(times):.1f}")
        sys.stdout.write(f"| {' | '.join(map(str, cells))} | {peaks[kind, compiles]:.0f} |\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
