"""Which precision to train in, found by a tiny measurement, and fp32 master weights for the half one.

bf16 is up to nine times faster than fp32 on processors that have it and 150 times slower on those that
emulate it, and no flag tells the two apart everywhere; a product of two 128 × 128 matrices does. The
optimiser always works on fp32 weights: bf16 has eight bits, and a step of 0.1 % of a weight would vanish in
them.
"""

import time
from collections.abc import Mapping

import torch

SIDE = 128
ROUNDS = 50
CHOICES = ("auto", "bf16", "fp32")


def matmul_seconds(dtype: torch.dtype) -> float:
    """Shortest time of a product of two 128 × 128 matrices in one thread.

    The shortest, and one thread, because another program on the same cores can make single products a hundred
    times slower, and has made a median choose wrongly.
    """
    left = torch.ones(SIDE, SIDE, dtype=dtype)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return min(_seconds(left) for _ in range(ROUNDS))
    finally:
        torch.set_num_threads(threads)


def _seconds(left: torch.Tensor) -> float:
    begun = time.perf_counter()
    torch.mm(left, left)
    return time.perf_counter() - begun


def choose_precision(asked: str = "auto") -> torch.dtype:
    """bf16 where its product takes no longer than fp32's, else fp32; `asked` overrides."""
    if asked != "auto":
        return {"bf16": torch.bfloat16, "fp32": torch.float32}[asked]
    half, full = matmul_seconds(torch.bfloat16), matmul_seconds(torch.float32)
    chosen = torch.bfloat16 if half <= full else torch.float32
    print(f"bf16 takes {half / full:.2f} times as long as fp32 here: training in {str(chosen)[6:]}")
    return chosen


class MasterWeights:
    """fp32 weights that the optimiser changes, beside the networks' own, which may be bf16.

    With fp32 the two are the same tensors and nothing is copied.
    """

    def __init__(self, networks: Mapping[str, torch.nn.Module], dtype: torch.dtype) -> None:
        self._shared = dtype == torch.float32
        self.weights: dict[str, torch.Tensor] = {}
        for prefix, network in networks.items():
            for name, weight in network.named_parameters():
                kept = weight if self._shared else weight.detach().float().clone()
                self.weights[f"{prefix}.{name}"] = kept
            if not self._shared:
                network.to(dtype)
        self._used = [weight for network in networks.values() for weight in network.parameters()]

    def gather_gradients(self) -> None:
        """Move the networks' gradients to the master weights."""
        if self._shared:
            return
        for master, used in zip(self.weights.values(), self._used, strict=True):
            master.grad = None if used.grad is None else used.grad.float()
            used.grad = None

    def publish(self) -> None:
        """Copy the master weights into the networks, rounded to their precision."""
        if self._shared:
            return
        with torch.no_grad():
            for master, used in zip(self.weights.values(), self._used, strict=True):
                used.copy_(master)

    def tensors(self, prefix: str) -> dict[str, torch.Tensor]:
        """The master weights by prefixed name, for the saved state."""
        return {prefix + name: weight.detach() for name, weight in self.weights.items()}

    def restore(self, tensors: Mapping[str, torch.Tensor], prefix: str) -> None:
        """Take the master weights from a saved state and publish them."""
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(tensors[prefix + name])
        self.publish()
