"""How does the instance run? `serve` is web and worker in one process; `--no-worker` and `work` split them."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import click

from fedmatch.cli.house import Command, fail, interactive, load_config, settings

if TYPE_CHECKING:
    from schemas.config import Config


@click.command(cls=Command)
@click.option("--bind", metavar="ADDR:PORT", help="Listen here instead of at the configured address; port 0 takes a free one.")
@click.option("--no-worker", is_flag=True, help="Answer requests only; `fedmatch work` does the work elsewhere.")
def serve(bind: str | None, no_worker: bool) -> None:
    """Run the instance until SIGTERM or Ctrl-C; what was begun is finished within 10 s."""
    from fedmatch.serve import serve_forever
    from schemas.config import bind as checked

    if bind is not None:
        try:
            checked(bind)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="'--bind'") from None
    said = settings()
    _run(lambda config, passphrase: serve_forever(config, passphrase=passphrase, bind=bind, worker=not no_worker, json=said.json, config_path=said.config))


@click.command(cls=Command)
def work() -> None:
    """Run only the worker: what arrived is understood, what leaves is delivered."""
    from fedmatch.serve import work_forever

    said = settings()
    _run(lambda config, passphrase: work_forever(config, passphrase=passphrase, json=said.json))


def _run(live: "Callable[[Config, str | None], Awaitable[None]]") -> None:
    import asyncio

    from fedmatch import app, logs

    config = load_config()
    logs.configure(config)

    async def run() -> None:
        await live(config, await _passphrase(config))

    try:
        asyncio.run(run())
    except app.CannotStart as error:
        fail(str(error))


async def _passphrase(config: "Config") -> str | None:
    """The vault's passphrase where one is wanted and somebody sits there to type it; without it the instance starts locked."""
    from fedmatch import app
    from fedmatch.cli import secrets

    if config.vault.source != "passphrase":
        return None
    if await app.has_vault(config):
        return secrets.ask() if interactive() else None
    if interactive():
        return secrets.choose()
    return fail("the vault has no passphrase yet; choose one with `fedmatch unlock` (at the terminal, or one line on standard input), then start again")
