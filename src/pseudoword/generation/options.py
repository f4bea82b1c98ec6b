"""What can be asked of txt2img: one declaration per option; importing it loads no torch."""

from dataclasses import dataclass, field

from pseudoword.errors import BadOption
from pseudoword.models.samplers import DEFAULT_SAMPLER, sampler_named


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateOptions:
    """Settings of one txt2img request; None means the model's own default."""

    prompt: str = field(metadata={"help": "What to draw; learned words by their names."})
    negative_prompt: str = field(default="", metadata={"help": "What to keep away from.", "short": "-n"})
    sampler: str = field(default=DEFAULT_SAMPLER, metadata={"help": "Sampler, by A1111's name."})
    steps: int = field(default=20, metadata={"help": "Sampling steps, 1 to 150."})
    cfg_scale: float | None = field(
        default=None, metadata={"help": "Classifier-free guidance; 1 is none. Default: the model family's."}
    )
    width: int | None = field(default=None, metadata={"help": "Pixels. Default: the model's own size."})
    height: int | None = field(default=None, metadata={"help": "Pixels. Default: the model's own size."})
    seed: int = field(default=-1, metadata={"help": "Seed of the first picture; -1 draws one."})
    batch_size: int = field(default=1, metadata={"help": "Pictures drawn at once."})
    count: int = field(default=1, metadata={"help": "How many batches, each with the next seeds."})

    def __post_init__(self) -> None:
        sampler_named(self.sampler)
        for name, text in (("prompt", self.prompt), ("negative prompt", self.negative_prompt)):
            _check_text(name, text)
        _in_range("steps", self.steps, 1, 150)
        _in_range("batch-size", self.batch_size, 1, 64)
        _in_range("count", self.count, 1, 1000)
        _in_range("seed", self.seed, -1, 2**32 - 1)
        if self.cfg_scale is not None:
            _in_range("cfg-scale", self.cfg_scale, 1, 30)
        for name, value in (("width", self.width), ("height", self.height)):
            if value is not None:
                _in_range(name, value, 8, 4096)


def _check_text(name: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as problem:
        raise BadOption(f"{name} {text!r} with bytes that are no text", expected="UTF-8 text") from problem


def _in_range(name: str, value: float, low: int, high: int) -> None:
    if not low <= value <= high:
        raise BadOption(f"--{name} {value}", expected=f"{low} to {high}")
