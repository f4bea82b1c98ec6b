"""Device and precision, chosen by what is there and by a short measurement."""

import time
from collections.abc import Callable
from functools import cache

import torch

from pseudoword.errors import BadOption
from pseudoword.settings import DEVICES, PRECISIONS

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_WORTHWHILE = 1.3
"""How much faster than fp32 bf16 must be measured on a CPU before its coarser rounding is taken."""


def choose_device(requested: str = "auto") -> torch.device:
    """The requested device, or the first of CUDA, MPS and CPU that is there.

    Raises:
        BadOption: the name is unknown or the device is not there.
    """
    kind = requested.split(":")[0]
    if kind not in DEVICES:
        raise BadOption(f"device {requested!r}", expected=" | ".join(DEVICES))
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if kind == "auto":
        return torch.device(next(name for name, available in there.items() if available))
    if not there[kind]:
        raise BadOption(
            f"device {requested!r}, which this torch cannot use here",
            next_move="Leave --device out to take the best one there is",
        )
    try:
        return torch.device(requested)
    except RuntimeError as problem:
        raise BadOption(f"device {requested!r}", expected="a name such as cuda, cuda:1, mps or cpu") from problem


def choose_dtype(requested: str, device: torch.device) -> torch.dtype:
    """Weights' and activations' type for `device`; `auto` takes the fastest that trains safely.

    CUDA takes bf16 where the card computes in it, else fp16; MPS takes fp32, as its fp16 is known to give
    NaN; a CPU takes bf16 only where a measured matrix product is faster in it, since a processor without
    the instructions is a hundred times slower in bf16 than in fp32.

    Raises:
        BadOption: the precision is unknown.
    """
    if requested not in PRECISIONS:
        raise BadOption(f"precision {requested!r}", expected=" | ".join(PRECISIONS))
    if requested != "auto":
        return _DTYPES[requested]
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if native else torch.float16
    if device.type == "cpu" and bf16_speed_ratio() > _WORTHWHILE:
        return torch.bfloat16
    return torch.float32


def precision_name(dtype: torch.dtype) -> str:
    """`fp32`, `bf16` or `fp16`."""
    return next(name for name, value in _DTYPES.items() if value == dtype)


@cache
def bf16_speed_ratio(size: int = 160) -> float:
    """How many times faster a bf16 matrix product of `size`² is than an fp32 one on this CPU.

    Measured with one thread: on a busy machine a product on several waits for its slowest, which has made
    fp32 look slower than bf16 on a processor that only emulates bf16.
    """
    full = torch.ones(size, size)
    half = full.bfloat16()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _best_seconds(lambda: full @ full) / _best_seconds(lambda: half @ half)
    finally:
        torch.set_num_threads(threads)


def _best_seconds(work: Callable[[], object], repeats: int = 5) -> float:
    work()
    times: list[float] = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)
