"""The samplers and schedules by A1111's names (reference a1111.md §3.1); importing it loads no torch.

A name may be written in upper or lower case, as an alias (`k_euler_a`), or joined with its schedule as before
A1111 1.9 (`DPM++ 2M Karras`). A name that nothing has is an error that lists them all, never a silent default.
"""

from dataclasses import dataclass

from pseudoword.errors import BadOption

AUTOMATIC = "Automatic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampler:
    """One row of the table: how users call it and what upstream says about it."""

    name: str
    aliases: tuple[str, ...]
    algorithm: str
    """Key of `run.ALGORITHMS`."""
    schedule: str = AUTOMATIC
    """What `Automatic` stands for; `Automatic` itself is the model's own noise levels, evenly."""
    second_order: bool = False
    """Counts as two model calls a step, which is what prompt editing is timed by."""
    uses_ensd: bool = False
    brownian_noise: bool = False
    discards_next_to_last: bool = False
    by_timesteps: bool = False
    """Has its own timesteps (DDIM and its kin); schedules do not apply to it."""
    guidance_divisor: float = 1.0
    eta: float = 1.0
    """Share of fresh noise unless the request says another."""
    sees_uncond: bool = False
    """Uses what the negative prompt alone makes of the latents."""
    one_by_one: bool = False
    """Chooses its steps by looking at the picture, so every picture of a batch goes alone."""

    @property
    def takes_eta(self) -> bool:
        """Whether it adds fresh noise, in a share that may be set."""
        return self.algorithm not in _WITHOUT_ETA


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """One way to lay out the noise levels."""

    name: str
    """As APIs and old infotexts write it: `sgm_uniform`."""
    label: str
    """As the UI writes it: `SGM Uniform`."""
    aliases: tuple[str, ...] = ()
    rho: float | None = None
    """Default of its curvature, where it has one."""


SAMPLERS: tuple[Sampler, ...] = (
    Sampler(name="DPM++ 2M", aliases=("k_dpmpp_2m",), algorithm="dpmpp_2m", schedule="Karras"),
    Sampler(
        name="DPM++ SDE",
        aliases=("k_dpmpp_sde",),
        algorithm="dpmpp_sde",
        schedule="Karras",
        second_order=True,
        brownian_noise=True,
    ),
    Sampler(
        name="DPM++ 2M SDE",
        aliases=("k_dpmpp_2m_sde",),
        algorithm="dpmpp_2m_sde",
        schedule="Exponential",
        brownian_noise=True,
    ),
    Sampler(
        name="DPM++ 2M SDE Heun",
        aliases=("k_dpmpp_2m_sde_heun",),
        algorithm="dpmpp_2m_sde_heun",
        schedule="Exponential",
        brownian_noise=True,
    ),
    Sampler(
        name="DPM++ 2S a",
        aliases=("k_dpmpp_2s_a",),
        algorithm="dpmpp_2s_ancestral",
        schedule="Karras",
        second_order=True,
        uses_ensd=True,
    ),
    Sampler(
        name="DPM++ 3M SDE",
        aliases=("k_dpmpp_3m_sde",),
        algorithm="dpmpp_3m_sde",
        schedule="Exponential",
        discards_next_to_last=True,
        brownian_noise=True,
    ),
    Sampler(name="Euler a", aliases=("k_euler_a", "k_euler_ancestral"), algorithm="euler_ancestral", uses_ensd=True),
    Sampler(name="Euler", aliases=("k_euler",), algorithm="euler"),
    Sampler(name="LMS", aliases=("k_lms",), algorithm="lms"),
    Sampler(name="Heun", aliases=("k_heun",), algorithm="heun", second_order=True),
    Sampler(
        name="DPM2",
        aliases=("k_dpm_2",),
        algorithm="dpm_2",
        schedule="Karras",
        second_order=True,
        discards_next_to_last=True,
    ),
    Sampler(
        name="DPM2 a",
        aliases=("k_dpm_2_a",),
        algorithm="dpm_2_ancestral",
        schedule="Karras",
        second_order=True,
        discards_next_to_last=True,
        uses_ensd=True,
    ),
    Sampler(name="DPM fast", aliases=("k_dpm_fast",), algorithm="dpm_fast", uses_ensd=True),
    Sampler(name="DPM adaptive", aliases=("k_dpm_ad",), algorithm="dpm_adaptive", uses_ensd=True, one_by_one=True),
    Sampler(name="Restart", aliases=("restart",), algorithm="restart", schedule="Karras", second_order=True),
    Sampler(name="DDIM", aliases=("ddim",), algorithm="euler_ancestral", by_timesteps=True, eta=0.0),
    Sampler(
        name="DDIM CFG++",
        aliases=("ddim_cfgpp",),
        algorithm="ddim_cfgpp",
        by_timesteps=True,
        guidance_divisor=12.5,
        eta=0.0,
        sees_uncond=True,
    ),
    Sampler(name="PLMS", aliases=("plms",), algorithm="plms", by_timesteps=True),
    Sampler(name="UniPC", aliases=("unipc",), algorithm="unipc", by_timesteps=True),
    Sampler(name="LCM", aliases=("k_lcm",), algorithm="lcm"),
)
DEFAULT_SAMPLER = "Euler a"
_WITHOUT_ETA = frozenset(
    {"dpmpp_2m", "euler", "lms", "heun", "dpm_2", "restart", "plms", "unipc", "lcm"},
)

SCHEDULES: tuple[Schedule, ...] = (
    Schedule(name="automatic", label=AUTOMATIC),
    Schedule(name="uniform", label="Uniform"),
    Schedule(name="karras", label="Karras", rho=7.0),
    Schedule(name="exponential", label="Exponential"),
    Schedule(name="polyexponential", label="Polyexponential", rho=1.0),
    Schedule(name="sgm_uniform", label="SGM Uniform", aliases=("SGMUniform",)),
    Schedule(name="kl_optimal", label="KL Optimal"),
    Schedule(name="align_your_steps", label="Align Your Steps"),
    Schedule(name="simple", label="Simple"),
    Schedule(name="normal", label="Normal"),
    Schedule(name="ddim", label="DDIM"),
    Schedule(name="beta", label="Beta"),
)


def resolve(sampler: str, scheduler: str = "") -> tuple[Sampler, Schedule]:
    """The sampler and the schedule of a request; a schedule joined to the sampler's name yields to a given one.

    Raises:
        BadOption: one of the names is unknown.
    """
    found = _sampler(sampler)
    if found is not None:
        return found, schedule_named(scheduler or AUTOMATIC)
    wanted = sampler.strip().casefold()
    for schedule in SCHEDULES:
        for suffix in _names(schedule):
            if wanted.endswith(" " + suffix) and (found := _sampler(wanted.removesuffix(suffix))):
                given = schedule_named(scheduler or AUTOMATIC)
                return found, schedule if given.label == AUTOMATIC else given
    raise BadOption(f"sampler {sampler!r}", expected=f"one of {', '.join(row.name for row in SAMPLERS)}")


def sampler_named(name: str) -> Sampler:
    """The sampler of this name, alias or joined name.

    Raises:
        BadOption: nothing has it; the message lists all names.
    """
    return resolve(name)[0]


def schedule_named(name: str) -> Schedule:
    """The schedule of this name or label.

    Raises:
        BadOption: nothing has it; the message lists all labels.
    """
    wanted = name.strip().casefold()
    for schedule in SCHEDULES:
        if wanted in _names(schedule):
            return schedule
    raise BadOption(f"scheduler {name!r}", expected=f"one of {', '.join(row.label for row in SCHEDULES)}")


def effective(sampler: Sampler, schedule: Schedule) -> Schedule:
    """The schedule that is really used: the sampler's own for `Automatic`, and always for the timestep samplers."""
    if sampler.by_timesteps:
        return SCHEDULES[0]
    return schedule_named(sampler.schedule) if schedule.label == AUTOMATIC else schedule


def _sampler(name: str) -> Sampler | None:
    wanted = name.strip().casefold()
    known = ((row, (row.name.casefold(), *row.aliases)) for row in SAMPLERS)
    return next((row for row, names in known if wanted in names), None)


def _names(schedule: Schedule) -> tuple[str, ...]:
    return (schedule.label.casefold(), schedule.name, *(alias.casefold() for alias in schedule.aliases))
