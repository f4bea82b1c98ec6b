"""What can be asked of `pseudoword suggest-init`; importing it loads no torch."""

from dataclasses import dataclass, field

from pseudoword.errors import BadOption
from pseudoword.models.options import (
    check_model_options,
    memory_option,
    model_option,
    prediction_option,
    vae_option,
)
from pseudoword.settings import DEVICES, PRECISIONS
from pseudoword.training.data_options import DataOptions

_MOST = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class SuggestOptions(DataOptions):
    """Pictures, the model that looks at them, and how many words to name."""

    held_back: str = field(
        default="", metadata={"help": "Folder with pictures to judge the chosen words by, not used in the choice."}
    )
    model: str = model_option()
    vae: str = vae_option()
    prediction: str = prediction_option()
    count: int = field(default=10, metadata={"help": "How many words to name."})
    device: str = field(default="auto", metadata={"help": " | ".join(DEVICES)})
    precision: str = field(default="auto", metadata={"help": " | ".join(PRECISIONS)})
    memory: str = memory_option()
    seed: int = field(default=0, metadata={"help": "Seed of random crops."})
    as_json: bool = field(default=False, metadata={"help": "One JSON object.", "flag": "--json"})

    def __post_init__(self) -> None:
        self.check_data()
        check_model_options(self.prediction, self.memory)
        if not 1 <= self.count <= _MOST:
            raise BadOption(f"--count {self.count}", expected=f"1 to {_MOST}")
        for name, value, known in (
            ("device", self.device.split(":")[0], DEVICES),
            ("precision", self.precision, PRECISIONS),
        ):
            if value not in known:
                raise BadOption(f"--{name} {value!r}", expected=" | ".join(known))
