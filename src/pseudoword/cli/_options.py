"""Command-line parameters made from option dataclasses, so that an option is declared once."""

import inspect
from collections.abc import Callable
from dataclasses import MISSING, Field, fields, replace
from pathlib import Path
from typing import Annotated, Any, cast, get_args, get_origin, get_type_hints

import typer

from pseudoword.cli._errors import clear_errors
from pseudoword.settings import Settings

_FOLDER_HELP = {
    "embeddings_dir": "Folder of the embeddings.",
    "outputs_dir": "Folder for pictures.",
    "runs_dir": "Folder of the training runs.",
}


def command_from(options: type, folders: tuple[str, ...]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a function `f(options, settings)` the parameters of a dataclass and of some folders.

    Fields without a default become arguments, or options that must be given where the metadata has `option`; all
    others become options, or arguments that may be left out where it has `argument`. Help comes from the field's
    metadata. A function with a parameter `given` gets the names of the options that the user wrote.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        wants_given = "given" in inspect.signature(function).parameters

        def command(context: typer.Context, **values: Any) -> None:
            chosen = {name: path for name in folders if (path := values.pop(name)) is not None}
            settings = Settings.from_environment()
            with clear_errors():
                extra = {"given": _given(context)} if wants_given else {}
                function(options(**_as_declared(values)), _with_folders(settings, chosen), **extra)

        hints = get_type_hints(options)
        declared = sorted(fields(options), key=lambda field: not field.metadata.get("first", False))
        parameters = [inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)]
        parameters += [_parameter(field, hints[field.name]) for field in declared]
        parameters += [_folder_parameter(name) for name in folders]
        command.__signature__ = inspect.Signature(parameters)  # pyright: ignore[reportFunctionMemberAccess]
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        command.__doc__ = function.__doc__
        command.__name__ = function.__name__
        return command

    return decorate


def _given(context: typer.Context) -> set[str]:
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return {name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"}


def folder_options(**chosen: Path | None) -> Settings:
    """Settings of the environment with the folders that were given."""
    return _with_folders(Settings.from_environment(), {k: v for k, v in chosen.items() if v is not None})


def _with_folders(settings: Settings, chosen: dict[str, Path]) -> Settings:
    return replace(settings, **{name: path.expanduser() for name, path in chosen.items()})


def _as_declared(values: dict[str, Any]) -> dict[str, Any]:
    """Options that may be given several times come as lists; option values are frozen."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def _parameter(field: "Field[Any]", hint: Any) -> inspect.Parameter:
    about = field.metadata
    if about.get("argument") or (field.default is MISSING and not about.get("option")):
        declared = typer.Argument(help=about["help"], metavar=about.get("metavar", field.name.upper()))
        default = inspect.Parameter.empty if field.default is MISSING else field.default
    else:
        flags = [about.get("flag", f"--{field.name.replace('_', '-')}")] + (
            [about["short"]] if "short" in about else []
        )
        required = field.default is MISSING
        declared = typer.Option(
            *flags, help=about["help"], show_default=not required and field.default not in (None, "")
        )
        default = inspect.Parameter.empty if required else field.default
    if get_origin(hint) is tuple:
        hint = list[get_args(hint)[0]]
        default = list(cast("tuple[Any, ...]", default))
    return inspect.Parameter(
        field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[hint, declared]
    )


def _folder_parameter(name: str) -> inspect.Parameter:
    flag = f"--{name.replace('_', '-')}"
    declared = typer.Option(flag, help=_FOLDER_HELP[name], show_default=name.removesuffix("_dir"))
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[Path | None, declared],
    )
