"""How is a locked instance opened? `fedmatch unlock` asks the passphrase and hands it to every process on this machine."""

import click

from fedmatch.cli.house import Command, fail, load_config, say


@click.command(cls=Command)
def unlock() -> None:
    """Open the vault of the running instance. The passphrase is asked, or read from standard input.

    Before the first start it chooses the passphrase instead.
    """
    import asyncio

    from actors.vault import WrongSecret
    from fedmatch import app, control, logs
    from fedmatch.cli import secrets

    config = load_config()
    logs.configure(config, quiet=True)
    if config.vault.source != "passphrase":
        fail(f"the vault of this instance opens by itself, from its {config.vault.source}; there is nothing to unlock")

    async def run() -> tuple[int, int]:
        fresh = not await app.has_vault(config)
        passphrase = secrets.choose() if fresh else secrets.ask()
        instance = await app.build(config, passphrase=passphrase)
        await app.close(instance)
        answers = await control.ask_all(config.folder, {"command": "unlock", "passphrase": passphrase})
        return len(answers), sum(bool(answer.get("ok")) for answer in answers) if not fresh else -1

    try:
        found, opened = asyncio.run(run())
    except WrongSecret:
        fail("that is not the passphrase; nothing was opened")
    except app.CannotStart as error:
        fail(str(error))
    if opened == -1:
        say({"unlocked": 0, "created": True}, "The vault has its passphrase now. `fedmatch serve` starts the instance and asks for it.")
        return
    if found == 0:
        fail("the passphrase is right, but no process of this instance runs on this machine; start it with `fedmatch serve`")
    if opened < found:
        fail(f"{found - opened} of {found} processes did not open; look at their logs")
    say({"unlocked": opened, "created": False}, f"Unlocked: {opened} process{'es' if opened > 1 else ''}.")
