"""Writes models of diffusers' layout as single-file checkpoints of the original one, for the tests of the loader.

Independent of the loader's tables: names are counted up as the original code builds its blocks
(latent-diffusion's `openaimodel.py` and `model.py`, OpenCLIP's `transformer.py`), and the modules are asked for
their weights, where the loader goes from the weights' names to the file.
"""

from pathlib import Path
from typing import Any

import torch

Tensors = dict[str, torch.Tensor]

_RESNET = (
    ("norm1", "in_layers.0"),
    ("conv1", "in_layers.2"),
    ("time_emb_proj", "emb_layers.1"),
    ("norm2", "out_layers.0"),
    ("conv2", "out_layers.3"),
    ("conv_shortcut", "skip_connection"),
)


def original_state(folder: Path, *, with_vae: bool = True) -> Tensors:
    """All weights of a model in diffusers' layout under their names in a single-file checkpoint."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    unet = UNet2DConditionModel.from_pretrained(folder / "unet")
    state = {f"model.diffusion_model.{name}": value for name, value in unet_state(unet).items()}
    if with_vae:
        vae = AutoencoderKL.from_pretrained(folder / "vae")
        state |= {f"first_stage_model.{name}": value for name, value in vae_state(vae).items()}
    first = CLIPTextModel.from_pretrained(folder / "text_encoder")
    if (folder / "text_encoder_2").exists():
        second = CLIPTextModelWithProjection.from_pretrained(folder / "text_encoder_2")
        state |= _under("conditioner.embedders.0.transformer.text_model.", openai_state(first))
        state |= _under("conditioner.embedders.1.model.", open_clip_state(second))
    elif first.config.hidden_act == "gelu":
        state |= _under("cond_stage_model.model.", open_clip_state(first))
    else:
        state |= _under("cond_stage_model.transformer.text_model.", openai_state(first))
    return {name: value.detach().clone() for name, value in state.items()}


def averaged_only(state: Tensors) -> Tensors:
    """The same with the UNet's weights under the names of their running average only."""
    start = "model.diffusion_model."
    return {
        ("model_ema.diffusion_model" + name.removeprefix(start).replace(".", "") if name.startswith(start) else name): v
        for name, v in state.items()
    }


def _under(prefix: str, state: Tensors) -> Tensors:
    return {prefix + name: value for name, value in state.items()}


def _own(module: Any, name: str) -> Tensors:
    """A leaf's weight and bias under another name."""
    return {f"{name}.{key}": value for key, value in module.named_parameters()}


def unet_state(unet: Any) -> Tensors:
    """The UNet as `UNetModel` numbers it: input_blocks, middle_block, output_blocks."""
    outside = {
        "conv_in": "input_blocks.0.0",
        "time_embedding.linear_1": "time_embed.0",
        "time_embedding.linear_2": "time_embed.2",
        "conv_norm_out": "out.0",
        "conv_out": "out.2",
    }
    if getattr(unet, "add_embedding", None) is not None:
        outside |= {"add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2"}
    state: Tensors = {}
    for ours, theirs in outside.items():
        state |= _own(unet.get_submodule(ours), theirs)
    state |= _resnet(unet.mid_block.resnets[0], "middle_block.0")
    state |= _own(unet.mid_block.attentions[0], "middle_block.1")
    state |= _resnet(unet.mid_block.resnets[1], "middle_block.2")
    return state | _input_blocks(unet) | _output_blocks(unet)


def _input_blocks(unet: Any) -> Tensors:
    state: Tensors = {}
    number = 0
    for block in unet.down_blocks:
        attentions = list(getattr(block, "attentions", []))
        for index, resnet in enumerate(block.resnets):
            number += 1
            state |= _resnet(resnet, f"input_blocks.{number}.0")
            if attentions:
                state |= _own(attentions[index], f"input_blocks.{number}.1")
        if block.downsamplers:
            number += 1
            state |= _own(block.downsamplers[0].conv, f"input_blocks.{number}.0.op")
    return state


def _output_blocks(unet: Any) -> Tensors:
    state: Tensors = {}
    number = -1
    for block in unet.up_blocks:
        attentions = list(getattr(block, "attentions", []))
        for index, resnet in enumerate(block.resnets):
            number += 1
            layers = [_resnet(resnet, f"output_blocks.{number}.0")]
            if attentions:
                layers.append(_own(attentions[index], f"output_blocks.{number}.1"))
            if block.upsamplers and index == len(block.resnets) - 1:
                layers.append(_own(block.upsamplers[0].conv, f"output_blocks.{number}.{len(layers)}.conv"))
            for layer in layers:
                state |= layer
    return state


def _resnet(resnet: Any, name: str) -> Tensors:
    state: Tensors = {}
    for ours, theirs in _RESNET:
        layer = getattr(resnet, ours)
        if layer is not None:
            state |= _own(layer, f"{name}.{theirs}")
    return state


def vae_state(vae: Any) -> Tensors:
    """The autoencoder as `Encoder` and `Decoder` name it; the decoder's levels are counted from the picture."""
    state: Tensors = {}
    for side, blocks, way in (("encoder", vae.encoder.down_blocks, "down"), ("decoder", vae.decoder.up_blocks, "up")):
        half = getattr(vae, side)
        state |= _own(half.conv_in, f"{side}.conv_in") | _own(half.conv_out, f"{side}.conv_out")
        state |= _own(half.conv_norm_out, f"{side}.norm_out")
        for index, block in enumerate(blocks):
            level = index if way == "down" else len(blocks) - 1 - index
            for number, resnet in enumerate(block.resnets):
                state |= _vae_resnet(resnet, f"{side}.{way}.{level}.block.{number}")
            sampler = (block.downsamplers if way == "down" else block.upsamplers) or []
            for one in sampler:
                state |= _own(one.conv, f"{side}.{way}.{level}.{way}sample.conv")
        state |= _vae_resnet(half.mid_block.resnets[0], f"{side}.mid.block_1")
        state |= _vae_resnet(half.mid_block.resnets[1], f"{side}.mid.block_2")
        attention, name = half.mid_block.attentions[0], f"{side}.mid.attn_1"
        state |= _own(attention.group_norm, f"{name}.norm")
        layers = (attention.to_q, attention.to_k, attention.to_v, attention.to_out[0])
        for layer, letter in zip(layers, ("q", "k", "v", "proj_out"), strict=True):
            state[f"{name}.{letter}.weight"] = layer.weight[:, :, None, None]  # 1 × 1 convolutions there
            state[f"{name}.{letter}.bias"] = layer.bias
    return state | _own(vae.quant_conv, "quant_conv") | _own(vae.post_quant_conv, "post_quant_conv")


def _vae_resnet(resnet: Any, name: str) -> Tensors:
    state: Tensors = {}
    for layer in ("norm1", "conv1", "norm2", "conv2"):
        state |= _own(getattr(resnet, layer), f"{name}.{layer}")
    if resnet.conv_shortcut is not None:
        state |= _own(resnet.conv_shortcut, f"{name}.nin_shortcut")
    return state


def openai_state(encoder: Any) -> Tensors:
    """CLIP ViT-L: transformers' own names, and the positions' numbers that old files also hold."""
    text = getattr(encoder, "text_model", encoder)
    numbers = torch.arange(encoder.config.max_position_embeddings)[None]
    return {**dict(text.named_parameters()), "embeddings.position_ids": numbers}


def open_clip_state(encoder: Any) -> Tensors:
    """OpenCLIP's `TextTransformer`: q, k and v stacked, the projection as a plain matrix."""
    text = getattr(encoder, "text_model", encoder)
    state: Tensors = {
        "token_embedding.weight": text.embeddings.token_embedding.weight,
        "positional_embedding": text.embeddings.position_embedding.weight,
        "logit_scale": torch.tensor(4.6),
        **_own(text.final_layer_norm, "ln_final"),
    }
    for number, layer in enumerate(text.encoder.layers):
        name, attention = f"transformer.resblocks.{number}", layer.self_attn
        stacked = (attention.q_proj, attention.k_proj, attention.v_proj)
        state[f"{name}.attn.in_proj_weight"] = torch.cat([linear.weight for linear in stacked])
        state[f"{name}.attn.in_proj_bias"] = torch.cat([linear.bias for linear in stacked])
        state |= _own(attention.out_proj, f"{name}.attn.out_proj")
        state |= _own(layer.layer_norm1, f"{name}.ln_1") | _own(layer.layer_norm2, f"{name}.ln_2")
        state |= _own(layer.mlp.fc1, f"{name}.mlp.c_fc") | _own(layer.mlp.fc2, f"{name}.mlp.c_proj")
    if hasattr(encoder, "text_projection"):
        state["text_projection"] = encoder.text_projection.weight.T
    return state
