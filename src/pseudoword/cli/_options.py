"""Command-line parameters made from option dataclasses, so that an option is declared once."""

import inspect
from collections.abc import Callable
from dataclasses import MISSING, Field, fields, replace
from pathlib import Path
from typing import Annotated, Any, cast, get_args, get_origin, get_type_hints

import typer

from pseudoword.cli._errors import clear_errors
from pseudoword.errors import BadOption
from pseudoword.settings import Settings

_FOLDER_HELP = {
    "embeddings_dir": "Folder of the embeddings.",
    "outputs_dir": "Folder for pictures.",
    "runs_dir": "Folder of the training runs.",
}


Reader = Callable[[Path], dict[str, Any]]
"""Reads the settings in a file."""


def command_from(
    options: type, folders: tuple[str, ...], read_config: Callable[[], Reader] | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a function `f(options, settings)` the parameters of a dataclass and of some folders.

    Fields without a default become arguments, or options that must be given where the metadata has `option`; all
    others become options, or arguments that may be left out where it has `argument`. Help comes from the field's
    metadata. A function with a parameter `given` gets the names of the options that the user wrote. Where
    `read_config` gives a reader there is `--config FILE` too: what is written on the command line goes before what
    the file says, flags can be taken back, and arguments may stand in the file.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        wants_given = "given" in inspect.signature(function).parameters

        def command(context: typer.Context, **values: Any) -> None:
            chosen = {name: path for name in folders if (path := values.pop(name)) is not None}
            settings = Settings.from_environment()
            with clear_errors():
                extra = {"given": _given(context)} if wants_given else {}
                if read_config is not None:
                    values = _over_file(options, values, _given(context), read_config)
                function(options(**_as_declared(values)), _with_folders(settings, chosen), **extra)

        hints = get_type_hints(options)
        parameters = [_CONTEXT]
        parameters += [
            _parameter(field, hints[field.name], config=read_config is not None) for field in _order(options)
        ]
        parameters += [_CONFIG] if read_config is not None else []
        parameters += [_folder_parameter(name) for name in folders]
        return _with_parameters(command, function, parameters)

    return decorate


def changes_from(
    options: type, leave_out: frozenset[str], folders: tuple[str, ...], first: inspect.Parameter
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a function `f(first, changes, settings)` an option for every field of a dataclass, all without value.

    `changes` holds those that were written, by their names.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        def command(**values: Any) -> None:
            chosen = {name: path for name in folders if (path := values.pop(name)) is not None}
            subject = values.pop(first.name)
            changes = {name: value for name, value in values.items() if value not in (None, [])}
            with clear_errors():
                function(subject, _as_declared(changes), folder_options(**chosen))

        hints = get_type_hints(options)
        chosen_fields = [field for field in _order(options) if field.name not in leave_out]
        parameters = [first, *(_change_parameter(field, hints[field.name]) for field in chosen_fields)]
        parameters += [_folder_parameter(name) for name in folders]
        return _with_parameters(command, function, parameters)

    return decorate


_CONTEXT = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
_CONFIG = inspect.Parameter(
    "config",
    inspect.Parameter.KEYWORD_ONLY,
    default=None,
    annotation=Annotated[
        Path | None, typer.Option("--config", help="TOML file with settings, such as a run's config.toml.")
    ],
)


def _order(options: type) -> "list[Field[Any]]":
    return sorted(fields(options), key=lambda field: not field.metadata.get("first", False))


def _with_parameters(
    command: Callable[..., None], function: Callable[..., None], parameters: list[inspect.Parameter]
) -> Callable[..., None]:
    command.__signature__ = inspect.Signature(parameters)  # pyright: ignore[reportFunctionMemberAccess]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    command.__doc__ = function.__doc__
    command.__name__ = function.__name__
    return command


def _over_file(
    options: type, values: dict[str, Any], given: set[str], read_config: Callable[[], Reader]
) -> dict[str, Any]:
    file = values.pop("config")
    from_file = read_config()(file.expanduser()) if file is not None else {}
    merged = values | {name: value for name, value in from_file.items() if name not in given}
    required = [field for field in _order(options) if field.default is MISSING]
    missing = [_metavar(field) for field in required if merged[field.name] is None]
    if missing:
        raise BadOption(f"no {' and no '.join(missing)}", expected="it on the command line, or in the file of --config")
    return merged


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


def _metavar(field: "Field[Any]") -> str:
    return field.metadata.get("metavar", field.name.upper())


def _flag(field: "Field[Any]", hint: Any, *, negatable: bool) -> str:
    flag = field.metadata.get("flag", f"--{field.name.replace('_', '-')}")
    return f"{flag}/--no-{flag.removeprefix('--')}" if negatable and hint is bool else flag


def _change_parameter(field: "Field[Any]", hint: Any) -> inspect.Parameter:
    inner = list[get_args(hint)[0]] if get_origin(hint) is tuple else hint
    declared = typer.Option(_flag(field, hint, negatable=True), help=field.metadata["help"], show_default=False)
    return inspect.Parameter(
        field.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[inner | None, declared]
    )


def _parameter(field: "Field[Any]", hint: Any, *, config: bool = False) -> inspect.Parameter:
    about = field.metadata
    if about.get("argument") or (field.default is MISSING and not about.get("option")):
        declared = typer.Argument(help=about["help"], metavar=_metavar(field))
        default = inspect.Parameter.empty if field.default is MISSING else field.default
        if config and field.default is MISSING:
            hint, default = hint | None, None
    else:
        flags = [_flag(field, hint, negatable=config)] + ([about["short"]] if "short" in about else [])
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
