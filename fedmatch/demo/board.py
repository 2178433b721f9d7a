"""Who knows what? A row for each secret, a column for each server; measured by searching raw files, and by asking every server what it can read."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Literal

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from fedmatch.demo.house import House, Lost
from fedmatch.demo.standin import StandIn

Known = Literal["in the open", "sealed", "nothing", "has it"]
"""What a server knows of a secret: it lies readable in its files; it is sealed, and the running server reads it; nothing. The stand-in has it or not."""
COLOURS: Final[dict[Known, str]] = {"in the open": "yellow", "sealed": "green", "nothing": "dim", "has it": "yellow"}


@dataclass(slots=True)
class Secret:
    """Words that stand nowhere else, and who should know them, by label; whoever is not named should know nothing."""

    story: str
    what: str
    words: str
    should: dict[str, Known]
    final: bool = False
    """Measured for the last time: what it was then is what counts."""
    known: dict[str, Known] = field(default_factory=dict)

    def wrong(self) -> list[str]:
        """What is known that should not be, or is not known that should be."""
        return [
            f"{self.story}, {self.what}: {label} knows {known!r}, and should {self.should.get(label, 'nothing')!r}"
            for label, known in self.known.items()
            if known != self.should.get(label, "nothing")
        ]


@dataclass(slots=True)
class Board:
    """The servers, the secrets, and where the stories are: drawn while they run."""

    houses: list[House]
    standin: StandIn
    secrets: list[Secret] = field(default_factory=list)
    step: str = ""

    @property
    def labels(self) -> list[str]:
        return [*(house.label for house in self.houses), self.standin.label]

    def __rich__(self) -> Table:
        table = Table(title="Who knows what", caption=self.step or None, caption_justify="left", title_justify="left", title_style="bold", expand=False)
        table.add_column("", width=2)
        table.add_column("secret", min_width=36)
        for label in self.labels:
            table.add_column(label)
        for before, secret in zip([None, *self.secrets], self.secrets, strict=False):
            first = before is None or before.story != secret.story
            table.add_row(secret.story if first else "", secret.what, *(self._cell(secret, label) for label in self.labels))
        return table

    @staticmethod
    def _cell(secret: Secret, label: str) -> Text:
        known = secret.known.get(label)
        if known is None:
            return Text("...", style="dim")
        should = secret.should.get(label, "nothing")
        return Text(known, style=COLOURS[known]) if known == should else Text(f"{known} (not {should})", style="bold red")

    async def measure(self) -> None:
        """Looks what everybody knows now. Raises `Lost` if a server does not answer."""
        open_ = [secret for secret in self.secrets if not secret.final]
        for house in self.houses:
            readable, on_disk = await house.readable(), house.on_disk(secret.words for secret in open_)
            for secret in open_:
                secret.known[house.label] = "in the open" if secret.words in on_disk else "sealed" if secret.words in readable else "nothing"
        for secret in open_:
            secret.known[self.standin.label] = "has it" if secret.words in self.standin.readable() else "nothing"

    async def judge(self) -> None:
        """Measures, and raises `Lost` if anybody knows more or less than they should."""
        await self.measure()
        wrong = [line for secret in self.secrets for line in secret.wrong()]
        if wrong:
            raise Lost("; ".join(wrong))

    def json(self) -> list[dict[str, object]]:
        """The table for programs."""
        return [{"story": one.story, "what": one.what, "known": dict(one.known), "as_it_should": not one.wrong()} for one in self.secrets]


@asynccontextmanager
async def shown(board: Board, console: Console) -> AsyncIterator[Callable[[str], None]]:
    """The live table on a terminal, a line a step elsewhere."""

    def line(step: str) -> None:
        board.step = step
        if not console.is_terminal:
            console.print(step, markup=False, highlight=False)

    if not console.is_terminal:
        yield line
        return
    # The commands own standard output while they run: nothing of the table may get into it.
    with Live(board, console=console, refresh_per_second=4, redirect_stdout=False, redirect_stderr=False):
        yield line
