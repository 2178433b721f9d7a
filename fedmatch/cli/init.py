"""How does an instance begin? `fedmatch init` writes its file, its database, its vault and its own actor."""

import click

from fedmatch.cli.house import Command, fail, interactive, say, settings


@click.command(cls=Command)
@click.option("--host", required=True, metavar="HOST", help="The name behind the @ of every handle, for ever; localhost:PORT makes a development instance.")
@click.option("--base-url", metavar="URL", help="Where people and servers reach us (default: https://HOST; http://HOST in development).")
@click.option("--development", is_flag=True, help="Plain http and loopback allowed; refused together with a public host name.")
def init(host: str, base_url: str | None, development: bool) -> None:
    """Write the instance's file (--config, default ./instance.toml) and make its data beside it."""
    import asyncio

    from fedmatch.cli import secrets
    from schemas.config import ConfigError, is_local_name
    from schemas.config_file import load
    from schemas.config_template import template

    path = settings().config
    if path.exists():
        fail(f"{path} is already there and is not overwritten; `fedmatch serve` starts it, `--config FILE` names another place")
    development = development or (base_url is None and is_local_name(host))
    address = base_url or f"{'http' if development else 'https'}://{host}"
    path.parent.mkdir(parents=True, exist_ok=True)
    # "x": two inits at once must not overwrite each other either.
    with path.open("x", encoding="utf-8") as file:
        file.write(template(host, address, development))
    try:
        config = load(path)
    except ConfigError as error:
        path.unlink()
        fail(str(error))

    passphrase = None
    if config.vault.source == "passphrase" and interactive():
        passphrase = secrets.choose()
    made = config.vault.source == "file" or passphrase is not None
    if made:
        asyncio.run(_make(config, passphrase))
    else:
        config.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    told = settings()
    command = "fedmatch" if str(told.config) == "instance.toml" else f"fedmatch --config {path}"
    first = f"  {command} serve" if made else f"  {command} unlock    (chooses the passphrase of the vault)\n  {command} serve"
    say(
        {
            "config": str(path.absolute()),
            "host": config.host,
            "base_url": config.base_url,
            "folder": str(config.folder),
            "development": config.development is not None,
        },
        f"{config.host} is set up in {path} and {config.folder}.\nNext:\n{first}\n  {command} user create NAME",
    )


async def _make(config: object, passphrase: str | None) -> None:
    from fedmatch import app, logs
    from schemas.config import Config

    assert isinstance(config, Config)  # noqa: S101  # kept out of the signature so that `--help` imports nothing
    logs.configure(config, quiet=True)
    instance = await app.build(config, passphrase=passphrase)
    await app.close(instance)
