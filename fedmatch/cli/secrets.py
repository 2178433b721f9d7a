"""How does a passphrase come in? From the terminal without echo, or as one line of standard input; never as an argument or from the environment."""

import sys

import click

from fedmatch.cli.house import fail, interactive

SHORTEST = 12


def choose() -> str:
    """A new passphrase, asked twice at the terminal or read from standard input."""
    if interactive():
        click.echo(f"The vault's passphrase keeps everything private in this instance. At least {SHORTEST} letters; nobody can restore it for you.", err=True)
        passphrase: str = click.prompt("New passphrase", hide_input=True, confirmation_prompt=True, err=True)
    else:
        passphrase = sys.stdin.readline().rstrip("\r\n")
    if len(passphrase) < SHORTEST:
        fail(f"a passphrase has at least {SHORTEST} letters; four or five words are good")
    return passphrase


def ask() -> str:
    """The passphrase, asked at the terminal or read from standard input."""
    passphrase: str = click.prompt("Passphrase of the vault", hide_input=True, err=True) if interactive() else sys.stdin.readline().rstrip("\r\n")
    if not passphrase:
        fail("no passphrase was given; type it at the terminal, or send it on standard input")
    return passphrase
