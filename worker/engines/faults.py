"""What torch's errors say about the device: that a call was too large for it, or that nothing will run there again."""

import torch

# Numbers of the CUDA runtime (cudaError_t); ROCm's are the same.
OUT_OF_MEMORY = 2
# Invalid value, configuration or function, and too many resources for a launch: they refuse one call, and the next one
# may do. After all others (assertion 710, illegal address 700, launch failure 719, ECC 214, …) every call fails.
OF_ONE_CALL = frozenset({1, OUT_OF_MEMORY, 9, 98, 701, 720})

# Of errors that come without a number, as those of libraries on top of CUDA do.
_NO_MEMORY = ("out of memory", "_STATUS_ALLOC_FAILED", "DefaultCPUAllocator")
_LOST = (
    "device-side assert",
    "illegal memory access",
    "misaligned address",
    "illegal instruction",
    "unspecified launch failure",
    "ecc error",
    "device is busy or unavailable",
)


def is_out_of_memory(error: Exception) -> bool:
    """Whether the device had too little memory for the call, in torch's allocator, a library or the driver."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and (
        _number(error) == OUT_OF_MEMORY or any(words in str(error) for words in _NO_MEMORY)
    )


def is_lost(error: Exception) -> bool:
    """Whether the device, or this process's part of it, is broken, so that only a new process may use it.

    An error of the accelerator is believed to be one unless it is known to concern one call alone (CUDA Runtime API,
    "Error handling": after most of them the process must be terminated and launched again).
    """
    if is_out_of_memory(error) or not isinstance(error, RuntimeError):
        return False
    number = _number(error)
    if number is not None:
        return number not in OF_ONE_CALL
    text = str(error).lower()
    return isinstance(error, torch.AcceleratorError) or any(words in text for words in _LOST)


def _number(error: Exception) -> int | None:
    return getattr(error, "error_code", None) if isinstance(error, torch.AcceleratorError) else None
