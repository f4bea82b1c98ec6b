"""Which word of the vocabulary a new word should start from: the one whose plain captions the frozen model likes best.

Every candidate stands in the captions in place of the learned word, and the loss on the fixed batch is taken:
the same pictures, noise and noise levels for all, so that a few samples rank them. A vocabulary has thousands of
words, so the field is thinned twice. First without drawing a loss for each: the gradient of the loss in the word's
row, averaged over some starting words, says to first order what every row of the table would change (Ebrahimi et
al. 2018, arXiv 1712.06751, §3). Then by successive halving (Jamieson & Talwalkar 2016, arXiv 1502.07943): many
candidates on few samples, fewer on more. The first samples are of high noise, where words change the loss most
(docs/experiments.md).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch

from pseudoword import rng
from pseudoword.conditioning.conditioner import Conditioner
from pseudoword.events import Event, Progress, ScoredWord, WordsScored
from pseudoword.models.protocols import TextEncoder
from pseudoword.training.fixed_batch import FixedBatch
from pseudoword.training.initial import vocabulary_rows
from pseudoword.training.objective import add_noise, mean_squared_error, target

SUGGEST = "suggest"
"""As initial text: let the pictures decide."""
_ROUNDS = ((384, 2), (96, 6), (24, 20))
"""How many candidates see how many samples; the last ones see all."""
_STARTS = 4
_GRADIENT_SAMPLES = 8
_AT_ONCE = 16
_TELLING = (0.6, 0.9)
"""Share of the schedule where words change the loss most."""
_SEED = 20180521
_PLACEHOLDER = "pseudowordplaceholder"
_LABEL = "scoring words"

Caption = Callable[[str, str], str]
"""(a picture's words, what stands for the learned word) → caption."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """What candidates are compared on."""

    conditioner: Conditioner
    batch: FixedBatch
    caption: Caption
    order: tuple[int, ...] = field(init=False)
    """Samples of the batch, the telling ones first."""

    def __post_init__(self) -> None:
        levels = self.batch.timesteps / self.conditioner.model.schedule.num_timesteps
        telling = [bool(_TELLING[0] <= level < _TELLING[1]) for level in levels]
        order = sorted(range(len(telling)), key=lambda i: not telling[i])
        object.__setattr__(self, "order", tuple(order))


def suggest_words(
    field: Field, count: int, also: Sequence[str] = (), candidates: Sequence[str] | None = None
) -> Iterator[Event]:
    """Yield `Progress` and, after each round, `WordsScored` with the best so far; the last one is final.

    Args:
        field: what they are compared on.
        count: how many to keep.
        also: words or texts that are scored beside them to the end, such as the default initial text.
        candidates: words to choose from; None takes the vocabulary's whole words.
    """
    words = promising(field, _ROUNDS[0][0]) if candidates is None else list(candidates)
    losses: dict[str, list[float]] = {word: [] for word in dict.fromkeys((*words, *also))}
    rounds = [*((max(keep, count), samples) for keep, samples in _ROUNDS), (count, len(field.order))]
    kept = list(losses)
    total, done = _cost(rounds, len(kept), len(also), len(field.order)), 0
    for keep, samples in rounds:
        ranked = _ranked(kept, losses)
        kept = list(dict.fromkeys((*[word for word in ranked if word not in also][:keep], *also)))
        for place in field.order[len(losses[kept[0]]) : samples]:
            for start in range(0, len(kept), _AT_ONCE):
                group = kept[start : start + _AT_ONCE]
                for word, loss in zip(group, sample_losses(field, place, group), strict=True):
                    losses[word].append(loss)
                done += len(group)
                yield Progress(label=_LABEL, done=min(done, total), total=total)
        yield _scored(kept, losses, also, count, final=(keep, samples) == rounds[-1])


@torch.no_grad()
def sample_losses(field: Field, place: int, words: Sequence[str]) -> list[float]:
    """The loss of each word on one sample of the batch."""
    batch, model = field.batch, field.conditioner.model
    number = len(words)
    latents = batch.latents[place].expand(number, -1, -1, -1)
    noise = batch.noise[place].expand(number, -1, -1, -1)
    timesteps = batch.timesteps[place].expand(number)
    conditioning = field.conditioner.encode([field.caption(batch.words[place], word) for word in words], {})
    prediction = model.predict(add_noise(latents, noise, timesteps, model.schedule), timesteps, conditioning).cpu()
    return mean_squared_error(prediction, target(latents, noise, timesteps, model.schedule)).tolist()


def mean_loss(field: Field, word: str) -> float:
    """A word's mean loss over the whole batch."""
    losses = [sample_losses(field, place, [word])[0] for place in field.order]
    return sum(losses) / len(losses)


def whole_words(encoder: TextEncoder) -> dict[str, int]:
    """Tokens of the vocabulary that are words by themselves, in plain letters, with their ids."""
    tokens = encoder.tokenizer.convert_ids_to_tokens(list(range(encoder.vocabulary_size)))
    found = ((token.removesuffix("</w>"), i) for i, token in enumerate(tokens) if token.endswith("</w>"))
    return {word: i for word, i in found if len(word) > 1 and word.isascii() and word.isalpha()}


def promising(field: Field, number: int) -> list[str]:
    """The `number` whole words that the gradient of the loss speaks for, the best first."""
    encoders = field.conditioner.model.encoders
    known = whole_words(encoders[0])
    words = [word for word in known if _is_one_token(encoders, word, known[word])]
    if len(words) <= number:
        return words
    ids = torch.tensor([known[word] for word in words])
    score = torch.zeros(len(words))
    for start in rng.permutation(len(words), _SEED, "starting words")[:_STARTS]:
        rows = {encoder.slot: _row(encoder, int(ids[start])).requires_grad_() for encoder in encoders}
        _add_gradients(field, rows)
        for encoder in encoders:
            table = vocabulary_rows(encoder).detach()
            chosen = table[ids.to(table.device)].float().cpu()
            gradient = rows[encoder.slot].grad
            assert gradient is not None
            score += (chosen - rows[encoder.slot].detach()) @ gradient[0]
    return [words[i] for i in score.argsort()[:number].tolist()]


def _add_gradients(field: Field, rows: dict[str, torch.Tensor]) -> None:
    """The gradient of the loss in a word's row, one sample at a time: sizes may differ."""
    batch, model = field.batch, field.conditioner.model
    for place in field.order[:_GRADIENT_SAMPLES]:
        latents, noise = batch.latents[place].unsqueeze(0), batch.noise[place].unsqueeze(0)
        timesteps = batch.timesteps[place].unsqueeze(0)
        caption = field.caption(batch.words[place], _PLACEHOLDER)
        conditioning = field.conditioner.encode([caption], {_PLACEHOLDER: rows})
        prediction = model.predict(add_noise(latents, noise, timesteps, model.schedule), timesteps, conditioning)
        wanted = target(latents, noise, timesteps, model.schedule).to(prediction.device)
        mean_squared_error(prediction, wanted).sum().backward()


def _row(encoder: TextEncoder, token: int) -> torch.Tensor:
    return vocabulary_rows(encoder)[token : token + 1].detach().float().cpu().clone()


def _is_one_token(encoders: Sequence[TextEncoder], word: str, token: int) -> bool:
    """Whether every tokenizer reads this word as that one token, also where it stands by itself."""
    return all(encoder.tokenizer(word, add_special_tokens=False).input_ids == [token] for encoder in encoders)


def _ranked(words: Sequence[str], losses: dict[str, list[float]]) -> list[str]:
    return sorted(words, key=lambda word: sum(losses[word]) / max(1, len(losses[word])))


def _cost(rounds: Sequence[tuple[int, int]], candidates: int, also: int, samples: int) -> int:
    """Losses that will be taken in all."""
    total, seen, kept = 0, 0, candidates
    for keep, wanted in rounds:
        kept = min(kept, keep + also)
        total += kept * max(0, min(wanted, samples) - seen)
        seen = max(seen, min(wanted, samples))
    return total


def _scored(
    kept: Sequence[str], losses: dict[str, list[float]], also: Sequence[str], count: int, *, final: bool
) -> WordsScored:
    entries = [
        ScoredWord(
            word=word,
            loss=sum(losses[word]) / len(losses[word]),
            num_samples=len(losses[word]),
            only_compared=word in also,
        )
        for word in _ranked(kept, losses)
    ]
    best = [entry for entry in entries if not entry.only_compared][:count]
    return WordsScored(words=(*best, *(entry for entry in entries if entry.only_compared)), final=final)
