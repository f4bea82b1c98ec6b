"""Fuzz every reader of embedding files for as long as one likes: `python -m tools.fuzz_readers --minutes 10`.

By hypothesis over mutated files, or with `--atheris` by libFuzzer over Python's branches (pip install atheris). A
finding stops the run, is printed and is written to the folder `fuzz/`; it becomes a case of the tests.
"""

import argparse
import collections
import hashlib
import sys
import time
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings

FINDINGS = Path("fuzz")


def main() -> None:
    """Read the command line and fuzz."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--atheris", action="store_true")
    options = parser.parse_args()
    (by_atheris if options.atheris else by_hypothesis)(options.minutes, options.seed)


def checked(content: bytes) -> str:
    """The outcome; an input that breaks the invariant is kept before the error goes on."""
    from tests.fuzzing import check

    try:
        return check(content)
    except BaseException:
        FINDINGS.mkdir(exist_ok=True)
        (FINDINGS / hashlib.sha256(content).hexdigest()[:16]).write_bytes(content)
        raise


def by_hypothesis(minutes: float, first_seed: int) -> None:
    """Rounds of examples, each with its own seed, until the time is over."""
    from tests.fuzzing import files, seeds

    start, end, outcomes, number = seeds(), time.monotonic() + 60 * minutes, collections.Counter(), first_seed
    while time.monotonic() < end:

        @seed(number)
        @settings(
            max_examples=2000, database=None, deadline=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(files(start))
        def round_of(content: bytes) -> None:
            if time.monotonic() < end:
                outcomes[checked(content)] += 1

        round_of()
        number += 1
    print(
        f"{sum(outcomes.values())} files in {minutes:g} minutes, seeds {first_seed} to {number - 1}: {dict(outcomes)}"
    )


def by_atheris(minutes: float, first_seed: int) -> None:
    """libFuzzer, guided by the branches of this package."""
    import atheris

    with atheris.instrument_imports(include=["pseudoword"]):
        import pseudoword.embeddings
        import pseudoword.unpickle  # noqa: F401
    from tests.fuzzing import seeds

    corpus = FINDINGS / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for content in seeds():
        (corpus / hashlib.sha256(content).hexdigest()[:16]).write_bytes(content)
    arguments = [f"-max_total_time={int(60 * minutes)}", f"-seed={first_seed + 1}", "-max_len=60000", "-timeout=60"]
    atheris.Setup([sys.argv[0], *arguments, f"-artifact_prefix={FINDINGS}/", str(corpus)], checked)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
