"""Every exception that this package raises on purpose.

    PseudowordError
    ├─ BadInput             the user must act: one line, exit code 2
    │   ├─ BadOption          a setting is out of range, malformed or contradicts another
    │   ├─ BadFile            a file is missing, of another kind, or damaged
    │   │   ├─ UnsafePickle     a pickle names something that is not on the allow-list
    │   │   └─ PlainPicture     a picture that carries no embedding
    │   ├─ BadModel           a folder or hub id is no model that can be used here
    │   ├─ BadPictures        a folder holds no pictures, or they changed under a run
    │   ├─ MissingExtra       a library that this command needs is not installed
    │   ├─ Unreachable        a server, or what was asked of it, is not to be had
    │   ├─ NameTaken          writing would replace something that is there
    │   └─ WrongFamily        an embedding does not fit the model
    ├─ TrainingDiverged     loss or rows are no longer finite; the last good state is kept
    ├─ NothingLearned       a training ended and its rows are where they began
    └─ NotSaved             a training's files can no longer be written; the last state that could is kept

An error says what was got, what was expected and the next move.
"""


class PseudowordError(Exception):
    """Root of all errors that this package raises on purpose."""


class BadInput(PseudowordError):
    """Input that the user must change.

    Args:
        got: what was found, with its name or value.
        expected: what would have been right; may be empty where `got` says it all.
        next_move: what the user does now, as a sentence or a command.
    """

    def __init__(self, got: str, *, expected: str = "", next_move: str = "") -> None:
        self.got = got
        self.expected = expected
        self.next_move = next_move
        super().__init__(got)  # the rest travels between processes as attributes

    def __str__(self) -> str:
        text = self.got.rstrip(".")
        if self.expected:
            text += f"; expected {self.expected.rstrip('.')}"
        if self.next_move:
            text += f". {self.next_move.rstrip('.')}"
        return " ".join(f"{text}.".split())


class BadOption(BadInput):
    """A setting is out of range, malformed or contradicts another."""


class BadFile(BadInput):
    """A file is missing, of another kind than expected, or damaged."""


class UnsafePickle(BadFile):
    """A pickle names something that is not on the allow-list; nothing of it was run."""


class PlainPicture(BadFile):
    """A picture that carries no embedding, which beside embeddings is a preview and no fault."""


class BadModel(BadInput):
    """A folder or hub id is no model that can be used here."""


class BadPictures(BadInput):
    """A folder holds no pictures, or they are not the ones that a run began with."""


class MissingExtra(BadInput):
    """A library that this command needs is not installed; the next move is the command that installs it."""


class Unreachable(BadInput):
    """A server cannot be reached, or does not hand out what was asked of it."""


class NameTaken(BadInput):
    """Writing would replace something that is already there."""


class WrongFamily(BadInput):
    """An embedding does not fit the loaded model."""


class TrainingDiverged(PseudowordError):
    """Loss or rows are no longer finite.

    Args:
        step: the optimiser step at which it was noticed.
        kept: where the last good state lies.
    """

    def __init__(self, step: int, kept: str) -> None:
        self.step = step
        self.kept = kept
        super().__init__(
            f"step {step}: the loss is not a finite number; the state before it is kept in {kept}. "
            "Start again with a lower --learning-rate, or with --precision fp32."
        )

    def __reduce__(self) -> tuple[type["TrainingDiverged"], tuple[int, str]]:
        return type(self), (self.step, self.kept)


class NothingLearned(PseudowordError):
    """A training ended and its rows are where they began.

    Args:
        step: the steps that were made.
        run: the run's folder.
    """

    def __init__(self, step: int, run: str) -> None:
        self.step = step
        self.run = run
        super().__init__(
            f"after {step} steps the word is what it was at the start; nothing was learned, and no embedding is "
            f"written. The run is kept in {run}. Start again with a higher --learning-rate."
        )

    def __reduce__(self) -> tuple[type["NothingLearned"], tuple[int, str]]:
        return type(self), (self.step, self.run)


class NotSaved(PseudowordError):
    """A training's files can no longer be written; it was ended, for it could not have been continued.

    Args:
        problem: which file, and why.
        step: the step whose state is on disk.
        run: the run's folder.
    """

    def __init__(self, problem: str, step: int, run: str) -> None:
        self.problem = problem
        self.step = step
        self.run = run
        super().__init__(
            f"{problem.rstrip('.')}. The training was stopped; its state after step {step} is kept. "
            f"Mend that, then continue with: pseudoword resume {run}"
        )

    def __reduce__(self) -> tuple[type["NotSaved"], tuple[str, int, str]]:
        return type(self), (self.problem, self.step, self.run)
