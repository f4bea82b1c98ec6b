"""What can be asked of a training: one declaration per option; importing it loads no torch.

None stands for "the model family's own default" and is replaced once, by `resolved`, before a run begins.
"""

from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from pseudoword.errors import BadFile, BadOption
from pseudoword.families import Family
from pseudoword.files import check_name
from pseudoword.models.options import (
    check_model_options,
    memory_option,
    model_option,
    prediction_option,
    vae_option,
)
from pseudoword.settings import DEVICES, PRECISIONS
from pseudoword.training.data_options import DataOptions
from pseudoword.training.other_words import OtherWord, parse_words
from pseudoword.training.rate import parse_rates
from pseudoword.training.record_options import RECORD_LIMITS, RecordOptions
from pseudoword.training.sources import Source

MAX_VECTORS = 75
OPTIMIZERS = ("adamw", "prodigy", "adafactor")
CLIP_MODES = ("none", "value", "norm")
PARAMETERISATIONS = ("free", "norm")
LATENT_SAMPLINGS = ("random", "once", "deterministic")
_NORM_RATE = "1e-2"
"""Radians a step, as in the DTI paper; family defaults are meant for AdamW."""
_PRODIGY_RATE = "1"
_LEAST_EVERY = 20
_NO_END = 1_000_000
"""Steps of a training that time ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions(RecordOptions):
    """Settings of one training."""

    name: str = field(metadata={"help": "The new word, as it will be written in prompts.", "first": True})
    model: str = model_option()
    vae: str = vae_option()
    prediction: str = prediction_option()
    init: str = field(
        default="",
        metadata={
            "help": "Initial text: the word starts from its vectors; suggest: the word that the pictures suggest. "
            "Default: by template."
        },
    )
    other_words: tuple[str, ...] = field(
        default=(),
        metadata={
            "flag": "--and",
            "metavar": "NAME=FOLDER",
            "help": "A further word to teach in the same run, with its own pictures: NAME=FOLDER:REPEATS:WEIGHT, and "
            "behind it ;init=TEXT ;vectors=N ;template=STYLE ;noun=NOUN. Without =FOLDER it is named in captions.",
        },
    )
    init_from: str = field(
        default="text", metadata={"help": "text (--init), random, zeros, or an embedding file to continue from."}
    )
    vectors: int | None = field(default=None, metadata={"help": "Vectors of the word, 1 to 75."})
    learning_rate: str | None = field(
        default=None, metadata={"help": "A rate, or a schedule such as '0.005:100, 1e-3:1000, 1e-4'."}
    )
    batch_size: int = field(default=4, metadata={"help": "Pictures per pass."})
    accumulate: int = field(default=1, metadata={"help": "Passes per optimiser step."})
    num_processes: int = field(
        default=1,
        metadata={"help": "Processes that share every step, each with a batch of its own (one for each card)."},
    )
    optimizer: str = field(
        default="adamw", metadata={"help": " | ".join(OPTIMIZERS) + " (prodigy finds its own rate)."}
    )
    clip_grad_mode: str = field(default="none", metadata={"help": " | ".join(CLIP_MODES) + ": bound gradients."})
    clip_grad_value: str = field(default="0.1", metadata={"help": "The bound; a schedule as for --learning-rate."})
    parameterisation: str = field(
        default="free",
        metadata={"help": "free, or norm: vectors keep the vocabulary's length and only turn."},
    )
    editability: float = field(
        default=0.0,
        metadata={"help": "With norm: pull to the initial direction, 0 to 10 (1: prior of 1e-4); more obeys prompts."},
    )
    ema: float = field(
        default=0.0, metadata={"help": "Decay of a running average of the vectors, such as 0.98; 0: none."}
    )
    min_snr: float = field(default=0.0, metadata={"help": "Gamma of min-SNR loss weights, such as 5; 0: none."})
    offset_noise: float = field(default=0.0, metadata={"help": "Share of noise that is even over the picture, 0 to 1."})
    min_timestep: int = field(default=0, metadata={"help": "Least noisy step of the schedule to train on."})
    max_timestep: int | None = field(default=None, metadata={"help": "Where the steps to train on end. Default: all."})
    latent_sampling: str = field(
        default="random", metadata={"help": " | ".join(LATENT_SAMPLINGS) + ": how pictures are taken from the encoder."}
    )
    seed: int = field(default=0, metadata={"help": "Seed of every random draw."})
    device: str = field(default="auto", metadata={"help": " | ".join(DEVICES)})
    precision: str = field(
        default="auto",
        metadata={
            "help": " | ".join(PRECISIONS)
            + " for the frozen model; the word itself is always fp32. (A1111: --no-half.)"
        },
    )
    memory: str = memory_option()
    overwrite: bool = field(default=False, metadata={"help": "Replace an embedding of this name."})

    def __post_init__(self) -> None:
        check_name(self.name)
        _check_numbers(self)
        if self.learning_rate is not None:
            parse_rates(self.learning_rate)
        parse_rates(self.clip_grad_value)
        self.check_data()
        self.check_record()
        _check_choices(self)
        _check_together(self)

    def words(self) -> tuple[OtherWord, ...]:
        """The run's further words.

        Raises:
            BadOption: one is written wrongly, or a name comes twice.
        """
        return parse_words(self.other_words, self.name)

    def sources(self) -> tuple[Source, ...]:
        """The folders of all words.

        Raises:
            BadOption: repeats or weight of one are out of range.
        """
        others = (word.source for word in self.words())
        return (*DataOptions.sources(self), *(source for source in others if source is not None))

    def resolved(self, family: Family) -> "TrainOptions":
        """The same options with the family's defaults in place of None."""
        return replace(
            self,
            vectors=family.num_vectors if self.vectors is None else self.vectors,
            learning_rate=self._default_rate(family) if self.learning_rate is None else self.learning_rate,
            steps=(family.steps if self.stop != "time" else _NO_END) if self.steps is None else self.steps,
            evaluate_every=max(_LEAST_EVERY, family.steps // 20)
            if self.evaluate_every is None
            else self.evaluate_every,
            init=self.init or default_text(self.template),
        )

    def _default_rate(self, family: Family) -> str:
        if self.parameterisation == "norm":
            return _NORM_RATE
        return _PRODIGY_RATE if self.optimizer == "prodigy" else family.learning_rate

    def as_json(self) -> dict[str, Any]:
        """Plain values, for a run's record."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "TrainOptions":
        """The inverse of `as_json`.

        Raises:
            BadFile: unknown keys, all named together.
        """
        known = {f.name for f in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise BadFile(f"unknown settings {', '.join(unknown)} in the run's record", expected=", ".join(known))
        frozen: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
        if isinstance(prompt := frozen.get("preview_prompt"), str):  # one, or none, in records of the first format
            frozen["preview_prompt"] = (prompt,) if prompt else ()
        return cls(**frozen)


def default_text(template: str) -> str:
    """What a word starts from where nothing is said."""
    return "style" if template == "style" else "thing"


def _check_choices(options: TrainOptions) -> None:
    check_model_options(options.prediction, options.memory)
    for name, value, known in (
        ("device", options.device.split(":")[0], DEVICES),
        ("precision", options.precision, PRECISIONS),
        ("optimizer", options.optimizer, OPTIMIZERS),
        ("clip-grad-mode", options.clip_grad_mode, CLIP_MODES),
        ("parameterisation", options.parameterisation, PARAMETERISATIONS),
        ("latent-sampling", options.latent_sampling, LATENT_SAMPLINGS),
    ):
        if value not in known:
            raise BadOption(f"--{name} {value!r}", expected=" | ".join(known))


def _check_together(options: TrainOptions) -> None:
    """Settings that contradict each other."""
    if options.parameterisation == "norm" and options.optimizer != "adamw":
        raise BadOption(
            f"--parameterisation norm with --optimizer {options.optimizer}",
            expected="one of the two: turning vectors has a step of its own",
        )
    if options.parameterisation == "norm" and options.init_from == "zeros":
        raise BadOption("--parameterisation norm with --init-from zeros", expected="vectors with a direction")
    if options.editability and options.parameterisation != "norm":
        raise BadOption(f"--editability {options.editability:g}", expected="--parameterisation norm beside it")
    if options.max_timestep is not None and options.max_timestep <= options.min_timestep:
        raise BadOption(
            f"--max-timestep {options.max_timestep}", expected=f"more than --min-timestep {options.min_timestep}"
        )


def _check_numbers(options: TrainOptions) -> None:
    limits: dict[str, tuple[float, float]] = {
        **RECORD_LIMITS,
        "vectors": (1, MAX_VECTORS),
        "batch_size": (1, 1024),
        "accumulate": (1, 1024),
        "num_processes": (1, 64),
        "seed": (0, 2**63 - 1),
        "editability": (0, 10),
        "ema": (0, 0.99999),
        "min_snr": (0, 100),
        "offset_noise": (0, 1),
        "min_timestep": (0, 100_000),
        "max_timestep": (1, 100_000),
    }
    for name, (low, high) in limits.items():
        value = getattr(options, name)
        if value is not None and not low <= value <= high:
            raise BadOption(f"--{name.replace('_', '-')} {value}", expected=f"{low} to {high}")
