"""What do all commands share? `--config` and `--json` in either place, the two ways out, and a door into the instance.

Exit codes: 0 done, 1 failed (the reason is on standard error), 2 used wrongly.
Nothing heavy is imported here before a command runs: `fedmatch --help` has to be quick.
"""

import json
import os
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from schemas import unseen

if TYPE_CHECKING:
    from actors.instance import Instance
    from actors.known import Actor
    from fedmatch.board.checks import Questions
    from fedmatch.board.identities import Window
    from schemas.config import Config

T = TypeVar("T")

Json = None | bool | int | str | Sequence["Json"] | Mapping[str, "Json"]


@dataclass(slots=True)
class Settings:
    """What the command line said before any command ran."""

    config: Path = Path("instance.toml")
    json: bool = False


def settings() -> Settings:
    """The settings of the command that runs now."""
    return click.get_current_context().ensure_object(Settings)


def _config(context: click.Context, _option: click.Parameter, value: Path | None) -> None:
    if value is not None:
        context.ensure_object(Settings).config = value


def _json(context: click.Context, _option: click.Parameter, value: bool) -> None:
    if value:
        context.ensure_object(Settings).json = True


def _shared(*, environment: bool) -> list[click.Parameter]:
    # Only the outermost group reads FEDMATCH_CONFIG: a sub-command must not overrule a `--config` that stood before it.
    return [
        click.Option(
            ["--config"],
            type=click.Path(path_type=Path, dir_okay=False),
            envvar="FEDMATCH_CONFIG" if environment else None,
            metavar="FILE",
            help="The instance's file (default: ./instance.toml, or FEDMATCH_CONFIG).",
            expose_value=False,
            callback=_config,
            is_eager=True,
        ),
        click.Option(["--json"], is_flag=True, help="Print JSON on standard output.", expose_value=False, callback=_json, is_eager=True),
    ]


class Command(click.Command):
    """A command that knows `--config` and `--json`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # click's own arguments, passed on unseen
        super().__init__(*args, **kwargs)
        self.params += _shared(environment=False)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # A reason or a name may travel, too, and other servers refuse what holds control characters.
        return super().parse_args(ctx, [unseen.without(word) for word in args])


class Group(click.Group):
    """A group whose commands, and itself, know `--config` and `--json`."""

    command_class = Command
    group_class = type

    def __init__(self, *args: Any, environment: bool = False, **kwargs: Any) -> None:  # click's own arguments, passed on unseen
        super().__init__(*args, **kwargs)
        self.params += _shared(environment=environment)


class Failed(click.ClickException):
    """The command could not do it: exit code 1, the reason on standard error."""

    exit_code = 1

    def format_message(self) -> str:
        return unseen.marked(self.message)


def fail(reason: str) -> NoReturn:
    """Ends the command with exit code 1 and this reason."""
    raise Failed(reason)


def id_of(what: str, where: str) -> Callable[[str], int]:
    """How an option or argument that is the number of a thing is read; anything else names nothing here: exit code 1, as for a number that nothing has."""

    def number(value: str) -> int:
        if not value.isascii() or not value.isdigit() or len(value) > 19 or int(value) >= 2**63:
            fail(f"there is no {what} {value}; `{where}` shows them")
        return int(value)

    return number


def say(value: Json, text: str) -> None:
    """Prints `value` with `--json`, else `text`; what others wrote cannot command the terminal either way."""
    click.echo(unseen.spelled(json.dumps(value, ensure_ascii=False, indent=2)) if settings().json else unseen.marked(text))


def hint(text: str | None) -> None:
    """Says something on standard error that is no failure, if there is anything to say; standard output stays what scripts read."""
    if text is not None:
        click.echo(unseen.marked(text), err=True)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, empty: str, most: int | None = None) -> str:
    """Rows as aligned columns for people, cells of more than `most` letters on several lines; `empty` if there are none."""
    # A line feed in a cell would look like one more row.
    lines = [tuple(heads), *(tuple(" ".join(cell.split()) for cell in row) for row in rows)]
    if len(lines) == 1:
        return empty
    if most is not None:
        broken = [[wrap(cell, most) or [""] for cell in line] for line in lines]
        lines = [cells for line in broken for cells in zip_longest(*line, fillvalue="")]
    widths = [max(len(line[place]) for line in lines) for place in range(len(heads))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)


def further(text: str) -> str:
    """What somebody wrote, its further lines further in, so that none of them passes for a line of ours."""
    return text.replace("\n", "\n      ")


def text_of(value: str) -> str:
    """The text itself, or standard input for `-`, without what nobody sees: other servers refuse control characters."""
    try:
        text = unseen.without(sys.stdin.buffer.read().decode("utf-8") if value == "-" else value).strip()
    except UnicodeDecodeError:
        raise click.UsageError("Standard input is not UTF-8 text; save the file as UTF-8, or send it through `iconv -t UTF-8`.") from None
    if not text:
        raise click.UsageError("The text is empty.")
    return text


def load_config() -> "Config":
    """The instance's file, read and checked; ends the command if it is missing or wrong."""
    from schemas.config import ConfigError
    from schemas.config_file import load

    path = settings().config
    if not path.exists():
        fail(f"{path}: there is no such file; `fedmatch init --host localhost:8000` writes one, `--config FILE` names another")
    try:
        return load(path)
    except ConfigError as error:
        fail(str(error))


def within(work: "Callable[[Instance], Awaitable[T]]", *, opened: bool = False) -> T:
    """Opens the instance, does `work(instance)`, closes it, and returns its answer. A running server is not disturbed.

    Where the work needs a key of a passphrase vault, the passphrase is asked at the terminal and the work begun again; with `opened` before it begins:
    what writes first and reads then would be done twice.
    """
    import asyncio

    from actors.vault import Locked, WrongSecret
    from fedmatch import app, logs
    from fedmatch.board import index
    from schemas.storage import Unavailable

    config = load_config()
    logs.configure(config, quiet=True)

    async def run(passphrase: str | None) -> T:
        instance = await app.build(config, passphrase=passphrase, check=False)
        try:
            if opened and instance.vault.locked:
                raise Locked
            answer = await work(instance)
            await index.tidy_up(instance)
            return answer
        finally:
            await app.close(instance)

    try:
        try:
            return asyncio.run(run(None))
        except Locked:
            if not interactive():
                fail("the vault is locked and this needs its keys; type the command at a terminal, where the passphrase can be asked")
            return asyncio.run(run(click.prompt("Passphrase of the vault", hide_input=True, err=True)))
    except WrongSecret:
        fail("that is not the passphrase; nothing was done")
    except (app.CannotStart, Unavailable) as error:
        fail(str(error))


async def person(instance: "Instance", name: str, *, suspended: bool = False) -> "Actor":
    """The active local actor called `name`, with `suspended` also one that is; ends the command if there is none."""
    from actors import known

    actor = await instance.database.read(known.by_name, name.removeprefix("@").lower())
    if actor is None or actor.kind == "Application":
        fail(f"there is no {name} here; `fedmatch user create {name}` makes one, `fedmatch user list` shows who is")
    if actor.state != "active" and not (suspended and actor.state == "suspended"):
        fail(f"{name} is {actor.state} and can do nothing")
    return actor


async def staff(instance: "Instance", name: str) -> "Actor":
    """The active moderator or admin called `name`; ends the command for anybody else."""
    from actors import local

    actor = await person(instance, name)
    if not {"moderator", "admin"} & set(await instance.database.read(local.roles, actor.id)):
        fail(f"{name} is neither moderator nor admin of this instance; `fedmatch user role {actor.username} moderator` makes them one")
    return actor


def interactive() -> bool:
    """Whether a person sits at the terminal."""
    return sys.stdin.isatty() and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def anyway_of(questions: "Questions", language: str, *, anyway: bool, verb: str, refused: str, option: str) -> bool:
    """Explains in `language` what the safety linter found, and whether it is meant, by `option` or when asked; ends the command without a yes."""
    for one in questions.findings:
        hint(f"{one.field}: {one.words!r}: {one.why(language)} {one.cure(language)}")
    if questions.serious and not anyway:
        if not (interactive() and click.confirm(f"{verb} it anyway?", default=False, err=True)):
            fail(f"{refused}: change what is named above, or add {option}")
        return True
    return anyway


def delay_of(instance: "Instance", delay: str | None, urgency: str | None) -> "Window":
    """When what is said under a one-time identity leaves, as `--delay` has it; ends the command where that means nothing."""
    from fedmatch.board import identities

    try:
        return identities.window(delay, urgency, development=instance.config.development is not None)
    except identities.CannotHide as error:
        raise click.UsageError(str(error)) from None
