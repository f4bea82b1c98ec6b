"""Every random draw of the package; the only place that seeds anything.

Two kinds of draw:

* Keyed draws, for training. A draw depends on (seed, purpose, step, sample) and on nothing else, so neither
  the order of draws, nor how a batch is split, nor the number of processes, nor an interruption changes it.
  The key is hashed (BLAKE2b) into the 128-bit key of a Philox 4×64 counter generator (Salmon et al. 2011,
  "Parallel random numbers: as easy as 1, 2, 3").
* Picture generators, for sampling: one `torch.Generator` on the CPU per picture, seeded with the picture's
  own seed, as A1111 does with its noise source `CPU`. Noise inside the sampler comes from it too.
"""

import hashlib
import secrets
from collections.abc import Sequence

import numpy as np
import torch

MAX_SEED = 2**32 - 1


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


def fresh_seed() -> int:
    """A seed nobody chose, in A1111's range 0 … 2³²-1."""
    return secrets.randbelow(MAX_SEED + 1)
