"""Memory modes: which parts of a model are on the device, and how large a piece is worked on at once.

normal  everything stays on the device.
medium  text encoders, UNet and autoencoder are on the device only while they work; pictures go through the
        autoencoder one by one.
low     as medium; of the UNet only one block at a time; attention in slices on MPS (on CUDA and CPUs what is used
        anyway needs less still); pictures above the model's own size go through the autoencoder in overlapping tiles;
        training keeps few activations and computes the others again (Chen et al. 2016, arXiv 1604.06174).

The weights' home is the host's memory: a part that leaves the device is dropped there, not copied back, as frozen
weights do not change. Nobody has to ask for a part: hooks on the modules do. While gradients are recorded,
what takes part in training stays, since the way back needs the same weights. On a CPU the device is the
host, so that moving costs and saves nothing; tiles and recomputing do.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from pseudoword.errors import BadOption
from pseudoword.models.protocols import Parts
from pseudoword.settings import MEMORY_MODES

_TEXT, _UNET, _VAE = "text encoders", "unet", "autoencoder"


@dataclass(frozen=True, slots=True)
class _Load:
    """Parameters and buffers of a part, with their values in the host's memory."""

    tensors: tuple[torch.Tensor, ...]
    home: tuple[torch.Tensor, ...]

    @classmethod
    def of(cls, tensors: Iterable[torch.Tensor]) -> "_Load":
        held = tuple(tensors)
        return cls(held, tuple(tensor.data for tensor in held))

    def put_on(self, device: torch.device) -> None:
        for tensor, value in zip(self.tensors, self.home, strict=True):
            tensor.data = value.to(device)

    def take_home(self) -> None:
        for tensor, value in zip(self.tensors, self.home, strict=True):
            tensor.data = value


class PartsState:
    """Which parts are on the device now.

    Args:
        loads: the parts by name.
        company: by name, the parts that may stay on the device beside it.
        device: where they work.
    """

    def __init__(self, loads: Mapping[str, _Load], company: Mapping[str, frozenset[str]], device: torch.device) -> None:
        self._loads = loads
        self._company = company
        self._device = device
        self.there: set[str] = set()

    def need(self, name: str) -> None:
        """Put this part on the device and take home what need not be beside it."""
        stays = self._company[name] | {name}
        if torch.is_grad_enabled():
            stays |= self._loads.keys() - {_VAE}
        for other in sorted(self.there - stays):
            self._loads[other].take_home()
            self.there.discard(other)
        if name not in self.there:
            self._loads[name].put_on(self._device)
            self.there.add(name)


def save_memory(parts: Parts, mode: str, device: torch.device) -> PartsState | None:
    """Put the parts where the mode has them; the modules ask for what they need from then on.

    Raises:
        BadOption: no such mode.
    """
    if mode not in MEMORY_MODES:
        raise BadOption(f"--memory {mode!r}", expected=" | ".join(MEMORY_MODES))
    modules = [parts.unet, parts.vae, *(encoder.module for encoder in parts.encoders)]
    if mode == "normal":
        for module in modules:
            module.to(device)
        return None
    parts.vae.enable_slicing()
    if mode == "low":
        _work_in_pieces(parts, device)
    return _move_on_demand(parts, device, by_block=mode == "low")


def _work_in_pieces(parts: Parts, device: torch.device) -> None:
    vae, unet = parts.vae, parts.unet
    downscale = 2 ** (len(vae.config.block_out_channels) - 1)
    size = unet.config.sample_size
    edge = size if isinstance(size, int) else max(size)
    vae.enable_tiling()
    vae.tile_latent_min_size, vae.tile_sample_min_size = edge, edge * downscale
    unet.enable_gradient_checkpointing()
    if device.type == "mps":
        unet.set_attention_slice("max")


def _move_on_demand(parts: Parts, device: torch.device, *, by_block: bool) -> PartsState:
    unet = parts.unet
    blocks: dict[str, nn.Module] = {}
    if by_block:
        named = [*enumerate(unet.down_blocks), ("middle", unet.mid_block), *enumerate(unet.up_blocks, 100)]
        blocks = {f"{_UNET} block {number}": block for number, block in named}
    inside = {id(tensor) for block in blocks.values() for tensor in _tensors(block)}
    encoders = [encoder.module for encoder in parts.encoders]
    loads = {
        _TEXT: _Load.of(tensor for module in encoders for tensor in _tensors(module)),
        _UNET: _Load.of(tensor for tensor in _tensors(unet) if id(tensor) not in inside),
        _VAE: _Load.of(_tensors(parts.vae)),
        **{name: _Load.of(_tensors(block)) for name, block in blocks.items()},
    }
    company = {name: frozenset({_UNET}) if name in blocks else frozenset[str]() for name in loads}
    state = PartsState(loads, company, device)
    for module in encoders:
        _ask(module, state, _TEXT)
    _ask(unet, state, _UNET)
    for name, block in blocks.items():
        _ask(block, state, name)
    for module in (parts.vae.encoder, parts.vae.post_quant_conv, parts.vae.decoder):
        if module is not None:
            _ask(module, state, _VAE)
    return state


def _tensors(module: Any) -> list[torch.Tensor]:
    return [*module.parameters(), *module.buffers()]


def _ask(module: Any, state: PartsState, name: str) -> None:
    module.register_forward_pre_hook(lambda *_: state.need(name))
