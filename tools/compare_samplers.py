"""Compares the samplers with k-diffusion's own on the bundled model: same levels, same noise, final latents.

    pip download --no-deps k-diffusion==0.1.1.post1 && unzip k_diffusion-*.whl -d k-diffusion
    python tools/compare_samplers.py k-diffusion

Only k-diffusion's sampling functions are loaded; what its package imports beside them (torchvision, torchdiffeq, …)
is not needed for that and replaced by empty modules. The table goes into docs/guide/pictures.md.
"""

import importlib
import sys
import types
from pathlib import Path

import torch

from pseudoword.conditioning.conditioner import Conditioner
from pseudoword.generation.options import GenerateOptions
from pseudoword.generation.request import encode_prompts, resolve_request
from pseudoword.generation.sampling.names import SAMPLERS
from pseudoword.generation.sampling.run import Tally, sample
from pseudoword.models.load import load_model
from pseudoword.settings import Settings

THEIRS = {
    "DPM++ 2M": ("sample_dpmpp_2m", {}),
    "DPM++ SDE": ("sample_dpmpp_sde", {}),
    "DPM++ 2M SDE": ("sample_dpmpp_2m_sde", {}),
    "DPM++ 2M SDE Heun": ("sample_dpmpp_2m_sde", {"solver_type": "heun"}),
    "DPM++ 2S a": ("sample_dpmpp_2s_ancestral", {}),
    "DPM++ 3M SDE": ("sample_dpmpp_3m_sde", {}),
    "Euler a": ("sample_euler_ancestral", {}),
    "Euler": ("sample_euler", {}),
    "LMS": ("sample_lms", {}),
    "Heun": ("sample_heun", {}),
    "DPM2": ("sample_dpm_2", {}),
    "DPM2 a": ("sample_dpm_2_ancestral", {}),
    "DPM fast": ("sample_dpm_fast", {"eta": 1.0}),
    "DPM adaptive": ("sample_dpm_adaptive", {"eta": 1.0}),
}
STEPS, SEED = 20, 5


def load_k_diffusion(folder: Path) -> types.ModuleType:
    """Its module `sampling`, from an unpacked wheel."""
    for name in ("torchdiffeq", "k_diffusion", "k_diffusion.utils"):
        sys.modules[name] = types.ModuleType(name)
    sys.modules["torchdiffeq"].odeint = None  # pyright: ignore[reportAttributeAccessIssue]
    package, utils = sys.modules["k_diffusion"], sys.modules["k_diffusion.utils"]
    package.__path__ = [str(folder / "k_diffusion")]
    package.utils = utils  # pyright: ignore[reportAttributeAccessIssue]
    utils.append_dims = lambda x, n: x[(...,) + (None,) * (n - x.ndim)]  # pyright: ignore[reportAttributeAccessIssue]
    return importlib.import_module("k_diffusion.sampling")


def differences(sampling: types.ModuleType):
    """Name and relative difference of the final latents of every sampler that k-diffusion has."""
    settings = Settings.from_environment()
    model = load_model("bundled", device="cpu", precision="fp32", hash_cache=settings.cache_dir / "hashes.json")
    conditioner = Conditioner(model)
    for name in (row.name for row in SAMPLERS if row.name in THEIRS):
        request = resolve_request(model, GenerateOptions(prompt="a cat", steps=STEPS, seed=SEED, sampler=name))
        prompts = encode_prompts(conditioner, request, {})
        plan = request.first_plan(from_picture=False)
        noise = request.noise(request.seeds(0), request.shape(request.size))
        ours = _end(sample(plan, request.denoiser(plan.sampler, prompts.first), noise, None, Tally(0, STEPS)))[0]
        theirs = _theirs(sampling, name, request, request.denoiser(plan.sampler, prompts.first), plan)
        yield name, float((ours - theirs).norm() / theirs.norm())


@torch.no_grad()
def _theirs(sampling, name, request, denoiser, plan):
    function, more = THEIRS[name]
    sigmas = torch.tensor(plan.sigmas)
    generator = torch.Generator().manual_seed(SEED)
    first = torch.randn(1, *request.shape(request.size), generator=generator)
    x = first * sigmas[0]
    given = {"noise_sampler": lambda *_: torch.randn(x.shape, generator=generator)}
    if plan.sampler.brownian_noise:
        low, high = sigmas[sigmas > 0].min(), sigmas.max()
        given = {"noise_sampler": sampling.BrownianTreeNoiseSampler(x, low, high, seed=[SEED])}
    if not plan.sampler.takes_eta:
        given = {}

    def model(latents, sigma):
        return denoiser(latents, float(sigma[0]))

    if name.startswith("DPM fast"):
        return sampling.sample_dpm_fast(
            model, x, float(sigmas[-1]), float(sigmas[0]), STEPS, disable=True, **given, **more
        )
    if name == "DPM adaptive":
        return sampling.sample_dpm_adaptive(
            model, x, float(sigmas[-1]), float(sigmas[0]), disable=True, **given, **more
        )
    return getattr(sampling, function)(model, x, sigmas, disable=True, **given, **more)


def _end(events):
    while True:
        try:
            next(events)
        except StopIteration as end:
            return end.value


if __name__ == "__main__":
    torch.set_num_threads(1)
    print("| sampler | relative difference |\n|---|---|")
    for sampler, difference in differences(load_k_diffusion(Path(sys.argv[1]))):
        print(f"| {sampler} | {difference:.0e} |", flush=True)
