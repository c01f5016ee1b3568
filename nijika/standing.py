"""How this process stands to the others of its gateway."""

from dataclasses import dataclass


@dataclass
class Standing:
    """It `retires` once it accepts no more calls; `refused` tells that a newer configuration was no good."""

    retires: bool = False
    refused: bool = False
