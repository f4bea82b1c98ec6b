"""Every random draw of the package; the only place that seeds anything.

Two kinds of draw:

* Keyed draws, for training. A draw depends on (seed, purpose, step, sample) and on nothing else, so neither
  the order of draws, nor how a batch is split, nor the number of processes, nor an interruption changes it.
  The key is hashed (BLAKE2b) into the 128-bit key of a Philox 4×64 counter generator (Salmon et al. 2011,
  "Parallel random numbers: as easy as 1, 2, 3").
* Picture streams, for sampling: one per picture, seeded with the picture's own seed, from which the first noise
  and the sampler's come (reference a1111.md §3.3). Two sources: `CPU` is torch's generator on the CPU; `NV` is
  what torch draws on an NVIDIA card, computed here. Samplers that follow a stochastic differential equation take
  theirs from a Brownian path, also one per picture, so that the noise between two levels does not depend on the
  number of steps (Li et al. 2020, arXiv 2001.01328).
"""

import hashlib
import math
import secrets
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch

MAX_SEED = 2**32 - 1
CPU, NV = "CPU", "NV"
SOURCES = (CPU, NV)
_CUDA_UNIT = float(np.float32(2.3283064e-10))
_CUDA_TURN = float(np.float32(2.3283064e-10 * 6.2831855))
"""2⁻³² and 2π·2⁻³² as CUDA writes them."""
_BROWNIAN_DIGITS = 6
"""To so many decimals torchsde's tree rounds its ends."""


def _stream(seed: int, purpose: str, step: int, sample: int) -> np.random.Generator:
    text = f"{seed}\0{purpose}\0{step}\0{sample}".encode()
    key = np.frombuffer(hashlib.blake2b(text, digest_size=16).digest(), dtype="<u8")
    return np.random.Generator(np.random.Philox(key=key.astype(np.uint64)))


def normal(shape: Sequence[int], seed: int, purpose: str, step: int = 0, samples: Sequence[int] = (0,)) -> torch.Tensor:
    """Standard normal float32 draws of shape (len(samples), *shape), one keyed stream per sample."""
    draws = [_stream(seed, purpose, step, n).standard_normal(tuple(shape), dtype=np.float32) for n in samples]
    return torch.from_numpy(np.stack(draws))


def integers(high: int, seed: int, purpose: str, step: int = 0, samples: Sequence[int] = (0,)) -> list[int]:
    """One uniform integer in [0, high) per sample."""
    return [int(_stream(seed, purpose, step, n).integers(high)) for n in samples]


def permutation(n: int, seed: int, purpose: str, step: int = 0) -> list[int]:
    """A permutation of 0 … n-1."""
    return [int(i) for i in _stream(seed, purpose, step, 0).permutation(n)]


def picture_generator(seed: int) -> torch.Generator:
    """A CPU generator seeded as A1111 seeds one picture's with the noise source `CPU`."""
    return torch.Generator("cpu").manual_seed(seed)


class NormalStream(Protocol):
    """One picture's stream of standard normal float32 draws."""

    def normal(self, shape: Sequence[int]) -> torch.Tensor:
        """The next draws, on the CPU."""
        ...


class CpuStream:
    """The source `CPU`."""

    def __init__(self, seed: int) -> None:
        self._generator = picture_generator(seed)

    def normal(self, shape: Sequence[int]) -> torch.Tensor:
        """See `NormalStream.normal`."""
        return torch.randn(tuple(shape), generator=self._generator)


class NvStream:
    """The source `NV`: Philox 4×32-10 (Salmon et al. 2011) and the sine branch of Box and Muller, as CUDA has them.

    The counter's first word is the number of the draw, its third the place in the tensor; the key is the seed.
    """

    def __init__(self, seed: int) -> None:
        self._key = (seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF)
        self._num_draws = 0

    def normal(self, shape: Sequence[int]) -> torch.Tensor:
        """See `NormalStream.normal`."""
        places = np.arange(math.prod(shape), dtype=np.uint64)
        counter = [np.zeros_like(places) for _ in range(4)]
        counter[0] += np.uint64(self._num_draws)
        counter[2] = places
        self._num_draws += 1
        first, second = _philox_4x32(counter, self._key)[:2]
        uniform = first * _CUDA_UNIT + _CUDA_UNIT / 2
        angle = second * _CUDA_TURN + _CUDA_TURN / 2
        values = np.sqrt(-2 * np.log(uniform)) * np.sin(angle)
        return torch.from_numpy(values.astype(np.float32).reshape(tuple(shape)))


def _philox_4x32(counter: list[np.ndarray], key: tuple[int, int], rounds: int = 10) -> list[np.ndarray]:
    """Salmon et al. 2011, §3.3, on 32-bit words kept in 64 bits so that products do not overflow."""
    mask, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    for number in range(rounds):
        keys = [
            np.uint64((word + number * bump) & 0xFFFFFFFF)
            for word, bump in zip(key, (0x9E3779B9, 0xBB67AE85), strict=True)
        ]
        left, right = counter[0] * np.uint64(0xD2511F53), counter[2] * np.uint64(0xCD9E8D57)
        first, third = (right >> half) ^ counter[1] ^ keys[0], (left >> half) ^ counter[3] ^ keys[1]
        counter = [first, right & mask, third, left & mask]
    return counter


def picture_stream(seed: int, source: str = CPU) -> NormalStream:
    """The stream of one picture; `source` is one of `SOURCES`."""
    return NvStream(seed) if source == NV else CpuStream(seed)


class BrownianPath:
    """Noise of one picture between any two noise levels, from torchsde's Brownian tree.

    Levels are rounded to single precision, as k-diffusion has them: the path is rough, and a difference in the
    seventh digit of a level is one in the fourth of its noise.

    Args:
        seed: of the picture.
        shape: of the noise.
        low: the least noise level that will be asked for.
        high: the most.
    """

    def __init__(self, seed: int, shape: Sequence[int], low: float, high: float) -> None:
        import torchsde

        self._ends = (round(_single(low), _BROWNIAN_DIGITS), round(_single(high), _BROWNIAN_DIGITS))
        self._tree: Any = torchsde.BrownianTree(self._ends[0], torch.zeros(tuple(shape)), self._ends[1], entropy=seed)

    def normal(self, start: float, end: float) -> torch.Tensor:
        """The path's increment from one level to the other, scaled to a standard deviation of 1."""
        low, high = sorted(min(max(_single(level), self._ends[0]), self._ends[1]) for level in (start, end))
        increment = self._tree(low, high) / math.sqrt(high - low)
        return increment if start < end else -increment


def _single(level: float) -> float:
    return float(np.float32(level))


def fresh_seed() -> int:
    """A seed nobody chose, in A1111's range 0 … 4294967293."""
    return secrets.randbelow(MAX_SEED - 1)
