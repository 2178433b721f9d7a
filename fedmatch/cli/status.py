"""How is the instance? `fedmatch status` counts, `fedmatch doctor` looks for what is wrong."""

import sys

import click

from fedmatch.cli.house import Command, say, settings, within


@click.command(cls=Command)
def status() -> None:
    """Count what is here, what waits, and what failed."""
    from actors.instance import Instance
    from fedmatch import counts

    async def work(instance: Instance) -> None:
        now = await counts.status(instance)
        say(now.json(), now.text())

    within(work)


@click.command(cls=Command)
def doctor() -> None:
    """Look for what is wrong and say how to cure it; exit code 1 if something is."""
    import asyncio

    from fedmatch import doctor as surgery

    checks = asyncio.run(surgery.examine(settings().config))
    ok = all(check.ok for check in checks)
    lines = [f"{'ok  ' if check.ok else 'BAD '} {check.name}: {check.detail}" + (f"\n     {check.cure}" if check.cure else "") for check in checks]
    say({"ok": ok, "checks": [check.json() for check in checks]}, "\n".join(lines))
    if not ok:
        click.echo("; ".join(f"{check.name}: {check.detail}" for check in checks if not check.ok), err=True)
        sys.exit(1)
