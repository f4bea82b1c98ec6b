"""The styles file, for all commands that take prompts."""

from collections.abc import Sequence

from pseudoword.prompts.styles import apply_styles, read_styles
from pseudoword.settings import Settings


def with_styles(settings: Settings, prompt: str, negative_prompt: str, names: Sequence[str]) -> tuple[str, str]:
    """Both prompts with the named styles merged in; the file is only read when one is asked for.

    Raises:
        BadFile: the styles file is damaged.
        BadOption: there is no style of that name.
    """
    if not names:
        return prompt, negative_prompt
    return apply_styles(prompt, negative_prompt, names, read_styles(settings.styles_file))
