"""`python -m fedmatch.demo [--keep] [--json FILE]`: plays the demonstration; see fedmatch/demo/__init__.py."""

import asyncio
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import click
from rich.console import Console

from fedmatch.demo.board import Board, shown
from fedmatch.demo.house import House, Lost, free_port
from fedmatch.demo.play import play
from fedmatch.demo.standin import StandIn

LEGEND: Final = """\
in the open  a thief who takes the disk reads it (every file was searched: databases, logs, settings)
sealed       no file holds it in the open; the running server reads it, and so can whoever runs it
nothing      neither in its files nor in anything its staff and people can read
has it       the stand-in for Mastodon, a small server made for this, was sent it or wrote it; a real Mastodon keeps it in the open
These are development instances: the key of the vault lies beside the data. Where the vault has a passphrase, a thief of the whole disk does not have it."""


@click.command()
@click.option("--keep", is_flag=True, help="Leave the folders of the instances, and say where they are.")
@click.option("--json", "out", type=click.Path(path_type=Path, dir_okay=False), help="Write the table to this file, too.")
def main(keep: bool, out: Path | None) -> None:
    """Plays three stories between real instances and shows who knows what."""
    os.environ.pop("FEDMATCH_CONFIG", None)
    sys.exit(asyncio.run(run(keep, out)))


async def run(keep: bool, out: Path | None) -> int:
    """Plays the demonstration and gives its exit code."""
    began = time.monotonic()
    # Standard output is named here: commands that run meanwhile put another in its place.
    console = Console(file=sys.stdout)
    if not console.is_terminal:
        console = Console(file=sys.stdout, width=132)
    folder = Path(tempfile.mkdtemp(prefix="fedmatch-demo-"))
    lost: list[str] = []
    standin = StandIn("founder")
    board = Board([House(label, folder / label.replace(" ", "-"), free_port()) for label in ("NGO", "its partner", "a third")], standin)
    try:
        try:
            async with shown(board, console) as step:
                await play(board, step)
                step("")
        except Lost as error:
            lost.append(str(error))
        finally:
            standin.stop()
            for house in board.houses:
                try:
                    await house.stop()
                except Lost as error:
                    lost.append(str(error))
        if not console.is_terminal:
            console.print(board)
        if out is not None:
            await asyncio.to_thread(out.write_text, json.dumps(board.json(), ensure_ascii=False, indent=2), encoding="utf-8")
        console.print(LEGEND, markup=False, highlight=False)
        for line in lost:
            console.print(f"Lost: {line}", markup=False, highlight=False, style="red")
        if not lost:
            console.print(f"Everybody knows what they should, and nothing more. {time.monotonic() - began:.0f} s.", highlight=False)
        if keep:
            console.print(f"The folders are in {folder}", highlight=False)
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    return 1 if lost else 0


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
