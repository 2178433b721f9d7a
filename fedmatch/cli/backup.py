"""What if the disk is gone? `fedmatch backup` makes a copy that only the vault's key opens; `fedmatch restore` brings one back."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fedmatch.cli.house import Command, fail, hint, load_config, say, within

if TYPE_CHECKING:
    from fedmatch.backup.restore import Backup
    from schemas.config import Config


@click.command(cls=Command)
@click.argument("path", required=False, type=click.Path(path_type=Path, dir_okay=True))
def backup(path: Path | None) -> None:
    """Copy the database to PATH, encrypted, while the instance runs.

    Without PATH it goes to `backups` in the data folder; a folder gets a file of its own. The key of the vault is not in it, nor is the instance's file.
    """
    from actors.instance import Instance
    from fedmatch.backup import take

    async def work(instance: Instance) -> None:
        place = take.default_path(instance.config, instance.clock.ms()).name
        try:
            taken = await take.take(instance, _inside(path, place))
        except take.CannotTake as error:
            fail(str(error))
        words = (
            f"{taken.path}: {taken.rows} rows, {taken.size} bytes, encrypted.\n"
            f"Keep it on another machine, with {instance.config.path.name}. Keep the {_key(instance.config)} somewhere else again: nobody can open it without."
        )
        say({"path": str(taken.path), "bytes": taken.size, "rows": taken.rows, "milliseconds": round(taken.seconds * 1000)}, words)

    within(work)


def _inside(path: Path | None, name: str) -> Path | None:
    return path / name if path is not None and path.is_dir() else path


def _key(config: "Config") -> str:
    match config.vault.source:
        case "passphrase":
            return "passphrase of the vault"
        case "file":
            return f"key {config.vault.file}"
        case "credential":
            return f"credential {config.vault.credential}"


@click.command(cls=Command)
@click.argument("path", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--replace", is_flag=True, help="Put it in the place of the database that is there, which is set aside for a week.")
@click.option("--check", is_flag=True, help="Only read it to its end and say what it is; nothing is changed.")
@click.option("--ledger", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="The ledger of what was deleted since, if it lies elsewhere.")
@click.option("--without-ledger", is_flag=True, help="The ledger is lost: accept that what was deleted since the backup comes back.")
def restore(path: Path, replace: bool, check: bool, ledger: Path | None, without_ledger: bool) -> None:
    """Bring the backup at PATH back. The instance must be stopped.

    What was deleted, closed or revoked since the backup stays so. A passphrase is asked, or read from standard input.
    """
    import asyncio

    from actors.vault import Locked
    from fedmatch import logs
    from fedmatch.cli import secrets

    if ledger is not None and without_ledger:
        raise click.UsageError("--ledger and --without-ledger exclude each other.")
    config = load_config()
    logs.configure(config, quiet=True)
    from fedmatch.backup.restore import CannotRestore

    try:
        try:
            asyncio.run(_restore(config, path, None, replace, check, ledger, without_ledger))
        except Locked:
            asyncio.run(_restore(config, path, secrets.ask(), replace, check, ledger, without_ledger))
    except CannotRestore as error:
        fail(str(error))


async def _restore(config: "Config", path: Path, passphrase: str | None, replace: bool, check: bool, book: Path | None, without_ledger: bool) -> None:
    from fedmatch.backup import restore as restoring
    from fedmatch.ids import SystemClock

    if not check:
        await restoring.refuse_running(config)
    found = restoring.open_backup(path, config, passphrase, await restoring.living(config))
    if check:
        say(_told(found), f"{path} is whole: {found.rows} rows of {found.host}, taken {_when(found.at)}.")
        return
    now = SystemClock().ms()
    done = await restoring.restore(found, config, now, replace=replace, where=book, without_ledger=without_ledger)
    await _settle_in(config, passphrase)
    ended = sum(done.ended.values())
    lines = [f"Restored: {done.rows} rows of {found.host} as they were {_when(found.at)}; {ended} of them had ended since, and are gone or closed again."]
    if done.aside is not None:
        lines.append(f"What was there before lies in {done.aside}; it holds what was deleted since, and is destroyed after a week.")
    lines.append("What was written here after the backup is lost; what others hold of it, they still hold. `fedmatch serve` starts the instance.")
    say(_told(found) | {"set_aside": done.aside, "ended": done.ended}, "\n".join(lines))
    if without_ledger:
        hint("Without the ledger: what was deleted, closed or revoked since the backup is back. Look through it before you start the instance.")


async def _settle_in(config: "Config", passphrase: str | None) -> None:
    """Opens what was restored once, as a start would, and notes in the log of staff that it was."""
    from actors.vault import WrongSecret
    from fedmatch import app
    from fedmatch.safety import audit

    try:
        instance = await app.build(config, passphrase=passphrase)
    except (app.CannotStart, WrongSecret) as error:
        fail(f"it was restored, but does not start: {error}")
    try:
        await instance.database.write(audit.log, instance, audit.OPERATOR, "backup.restore", config.host)
    finally:
        await app.close(instance)


def _told(found: "Backup") -> dict[str, "str | int | dict[str, int] | None"]:
    return {"path": str(found.path), "host": found.host, "taken": _when(found.at), "rows": found.rows, "automatic": found.kind == "automatic"}


def _when(at_ms: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
