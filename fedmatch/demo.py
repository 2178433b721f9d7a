"""What does federation look like? Three instances on this machine, real processes, play stories of people who asked for help.

`make demo` runs it: it ends by itself, with exit code 0 if everything arrived where it should and 1 if anything was lost.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

PATIENCE_S: Final = 60.0
"""How long something may take to arrive before it counts as lost."""

Kind = Literal["request", "offer"]


@dataclass(frozen=True, slots=True)
class Story:
    """A request or an offer that somebody makes in the demonstration."""

    teller: str
    kind: Kind
    language: str
    title: str
    text: str
    category: str
    skills: tuple[str, ...]
    speaks: str
    region: str | None = None
    urgency: str | None = None


SYRIA_ARABIC: Final = Story(
    "amal",
    "request",
    "ar",
    "نحتاج إلى مساعدة إعلامية لمجموعة مدنية سورية",
    (
        "نحن مجموعة علمانية في سوريا نعمل من أجل دولة مدنية. "
        "نبحث عن شخص ذي خبرة في العلاقات العامة يساعدنا على إيصال صوتنا إلى الصحافة: كتابة البيانات، والتحضير للمقابلات، والوصول إلى المحررين."
    ),
    "PressAndMedia",
    ("PressOutreach", "SpokespersonTraining"),
    "ar,en",
    "SY",
    "days",
)
SYRIA_ENGLISH: Final = Story(
    "amal",
    "request",
    "en",
    "A secular Syrian group needs help with the press",
    (
        "We are a secular group in Syria that works for a civil state. "
        "We look for somebody with experience in public relations: press releases, preparing interviews, reaching editors."
    ),
    "PressAndMedia",
    ("PressOutreach", "SpokespersonTraining"),
    "ar,en",
    "SY",
    "days",
)
REPORTER: Final = Story(
    "reporter",
    "offer",
    "en",
    "A reporter offers to tell your story",
    (
        "I write for a daily newspaper and would like to tell the stories of people whose government would rather not hear them. "
        "Five stories a month. You decide what I may name."
    ),
    "PressAndMedia",
    ("Journalism", "InterviewPrep"),
    "en,fr,fa",
)
MAGNITSKY_RUSSIAN: Final = Story(
    "hermitage",
    "request",
    "ru",
    "Песня памяти Сергея Магнитского",
    (
        "Ищем автора песни и музыкантов: к годовщине гибели Сергея Магнитского мы хотим рассказать о нём так, чтобы это услышали. "
        "Текст на русском или английском, потом будем снимать клип."
    ),
    "ArtsAndMusic",
    ("Songwriting", "MusicProduction"),
    "ru,en",
    "RU",
    "weeks",
)
MAGNITSKY_ENGLISH: Final = Story(
    "hermitage",
    "request",
    "en",
    "Film a video for the song for Sergei Magnitsky",
    "The song is written. Now we look for people who film: a crew of two or three, one day, no faces of people who live in Russia.",
    "ArtsAndMusic",
    ("Filmmaking", "VideoEditing"),
    "ru,en",
    "RU",
    "weeks",
)
STORIES: Final = (SYRIA_ARABIC, SYRIA_ENGLISH, REPORTER, MAGNITSKY_RUSSIAN, MAGNITSKY_ENGLISH)
CHANGED: Final = "Four stories are taken this month, one is left. You decide what I may name."
ANSWER: Final = "I sing with three friends in a kitchen. We would like to write it with you."


class Lost(Exception):
    """Something did not arrive, or a command failed."""


@dataclass(slots=True)
class House:
    """One instance of the demonstration: its folder, its address, the people who live there, and its process."""

    label: str
    people: tuple[str, ...]
    folder: Path
    port: int
    server: asyncio.subprocess.Process | None = None
    knows: dict[str, dict[str, object]] = field(default_factory=dict)

    @property
    def host(self) -> str:
        return f"localhost:{self.port}"

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "fedmatch", "--config", str(self.folder / "instance.toml"), *words]

    async def say(self, *words: str) -> object:
        """Types a command and returns its JSON; raises `Lost` with what it said if it failed."""
        process = await asyncio.create_subprocess_exec(*self.command("--json", *words), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
        out, error = await process.communicate()
        if process.returncode != 0:
            raise Lost(f"{self.label}: fedmatch {' '.join(words[:2])}: {error.decode(errors='replace').strip()}")
        return json.loads(out) if out.strip() else None

    async def look(self) -> None:
        """Asks the instance which requests and offers it knows."""
        found = await self.say("listing", "list", "--network")
        assert isinstance(found, list)  # noqa: S101  # the command line's contract
        self.knows = {one["url"]: one for one in found}


@dataclass(slots=True)
class Board:
    """What was said, and who should know it: drawn while it runs."""

    houses: list[House]
    stories: dict[str, Story] = field(default_factory=dict)
    withdrawn: set[str] = field(default_factory=set)
    step: str = ""
    lost: list[str] = field(default_factory=list)

    def __rich__(self) -> Table:
        table = Table(title=f"What each instance knows   [dim]{self.step}[/dim]", title_justify="left", expand=False)
        table.add_column("request or offer", overflow="fold", max_width=52)
        for house in self.houses:
            table.add_column(f"{house.label}\n{house.host}")
        for url, story in self.stories.items():
            table.add_row(Text(f"{story.kind}: {story.title}"), *(self._cell(url, house) for house in self.houses))
        return table

    def _cell(self, url: str, house: House) -> Text:
        known = house.knows.get(url)
        if url in self.withdrawn:
            return Text("still here", style="red") if known else Text("withdrawn", style="dim")
        if known is None:
            return Text("...", style="yellow")
        changed = known["text"] != self.stories[url].text
        return Text(f"{known['state']}{', changed' if changed else ''}", style="green")


def free_port() -> int:
    """A loopback port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def start(house: House) -> None:
    """Makes the instance, starts its server and waits until it answers."""
    await house.say("init", "--host", house.host)
    with (house.folder / "log.txt").open("wb") as log:
        house.server = await asyncio.create_subprocess_exec(*house.command("serve"), stdout=log, stderr=log)
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and house.server.returncode is None:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", house.port)
        except OSError:
            await asyncio.sleep(0.1)
        else:
            writer.close()
            return
    raise Lost(f"{house.label} does not start: {(house.folder / 'log.txt').read_text(encoding='utf-8', errors='replace')[-2000:]}")


async def stop(house: House) -> None:
    """Ends the server as an operator would."""
    if house.server is None or house.server.returncode is not None:
        return
    house.server.send_signal(signal.SIGTERM)
    try:
        await asyncio.wait_for(house.server.wait(), 15)
    except TimeoutError:
        house.server.kill()
        await house.server.wait()
        raise Lost(f"{house.label} did not stop within 15 s of SIGTERM") from None


async def until(what: str, holds: Callable[[], Awaitable[bool]]) -> None:
    """Waits until something holds; raises `Lost` after `PATIENCE_S`."""
    deadline = time.monotonic() + PATIENCE_S
    while not await holds():
        if time.monotonic() > deadline:
            raise Lost(what)
        await asyncio.sleep(1.0)


@asynccontextmanager
async def shown(board: Board, console: Console) -> AsyncIterator[Callable[[str], None]]:
    """The live table on a terminal, a line a step elsewhere."""

    def line(step: str) -> None:
        board.step = step
        if not console.is_terminal:
            console.print(step)

    if not console.is_terminal:
        yield line
        return
    with Live(board, console=console, refresh_per_second=4):
        yield line


async def play(board: Board, step: Callable[[str], None]) -> None:
    """The stories, from the first handshake to the last withdrawal; raises `Lost`."""
    ngo, newsroom, studio = houses = board.houses

    async def look() -> None:
        await asyncio.gather(*(house.look() for house in houses))

    step("three instances start")
    await asyncio.gather(*(start(house) for house in houses))
    await asyncio.gather(*(house.say("user", "create", name) for house in houses for name in house.people))

    step("their people follow each other")
    follows = [(house, house.people[0], f"{other.people[0]}@{other.host}") for house in houses for other in houses if other is not house]
    await asyncio.gather(*(house.say("follow", handle, "--as", reader) for house, reader, handle in follows))

    async def accepted() -> bool:
        answers = await asyncio.gather(*(house.say("follow", handle, "--as", reader) for house, reader, handle in follows))
        follows[:] = [follow for follow, answer in zip(follows, answers, strict=True) if answer != {"state": "accepted"}]
        return not follows

    await until("a follow was never accepted", accepted)

    step("requests and offers leave")
    async def tell(house: House) -> None:
        for story in STORIES:
            if story.teller in house.people:
                made = await house.say(*words_of(story))
                assert isinstance(made, dict)  # noqa: S101  # the command line's contract
                board.stories[made["url"]] = story

    await asyncio.gather(*(tell(house) for house in houses))

    async def everywhere() -> bool:
        await look()
        return all(same(house.knows.get(url), story) for house in houses for url, story in board.stories.items())

    await until("a request or an offer did not arrive everywhere as it was said", everywhere)
    urls = {story.title: url for url, story in board.stories.items()}

    step("the reporter changes the offer")
    await newsroom.say("listing", "edit", urls[REPORTER.title], "--text", CHANGED)

    async def changed() -> bool:
        await look()
        return all(house.knows.get(urls[REPORTER.title], {}).get("text") == CHANGED for house in houses)

    await until("the change of the offer did not arrive everywhere", changed)

    step("a songwriter answers, for one pair of eyes")
    await ngo.say("post", ANSWER, "--as", "songwriter", "--audience", "direct", "--to", f"hermitage@{studio.host}", "--reply-to", urls[MAGNITSKY_RUSSIAN.title])

    async def answered() -> bool:
        home = await studio.say("timeline", "home", "--as", "hermitage")
        assert isinstance(home, list)  # noqa: S101  # the command line's contract
        return any(ANSWER in entry["text"] for entry in home)

    await until("the answer did not arrive", answered)
    third = [(house, name) for house in houses for name in house.people if name not in {"hermitage", "songwriter"}]
    others = await asyncio.gather(*(house.say("timeline", "home", "--as", name) for house, name in third))
    if ANSWER in json.dumps(others, ensure_ascii=False):
        raise Lost("the answer was read by somebody it was not for")

    step("the song is written: its request is withdrawn")
    board.withdrawn.add(urls[MAGNITSKY_RUSSIAN.title])
    await studio.say("listing", "withdraw", urls[MAGNITSKY_RUSSIAN.title])

    async def gone() -> bool:
        await look()
        return all(set(house.knows) == set(board.stories) - board.withdrawn for house in houses)

    await until("the withdrawal did not arrive everywhere", gone)
    dead = await asyncio.gather(*(house.say("deliveries", "--state", "dead") for house in houses))
    if any(dead):
        raise Lost(f"deliveries that were given up: {dead}")
    step("done")


def words_of(story: Story) -> list[str]:
    """The command that tells a story."""
    words = ["listing", "post", "--as", story.teller, "--kind", story.kind, "--title", story.title, "--text", story.text, "--language", story.language]
    words += ["--category", story.category, *(word for skill in story.skills for word in ("--skill", skill)), "--speaks", story.speaks]
    words += ["--audience", "public"]
    words += ["--region", story.region] if story.region else []
    return words + (["--urgency", story.urgency] if story.urgency else [])


def same(known: dict[str, object] | None, story: Story) -> bool:
    """Whether an instance knows a story as it was told."""
    return known is not None and (known["kind"], known["title"], known["text"], known["language"], known["state"]) == (
        story.kind,
        story.title,
        story.text,
        story.language,
        "open",
    )


async def main() -> int:
    """Plays the demonstration and returns its exit code."""
    began = time.monotonic()
    console = Console()
    with tempfile.TemporaryDirectory(prefix="fedmatch-demo-") as folder:
        places = (("NGO", ("amal", "songwriter")), ("newsroom", ("reporter",)), ("studio", ("hermitage",)))
        board = Board([House(label, people, Path(folder) / label, free_port()) for label, people in places])
        for house in board.houses:
            house.folder.mkdir()
        try:
            async with shown(board, console) as step:
                await play(board, step)
        except Lost as lost:
            board.lost.append(str(lost))
        finally:
            for house in board.houses:
                try:
                    await stop(house)
                except Lost as lost:
                    board.lost.append(str(lost))
        if not console.is_terminal:
            console.print(board)
        summary(board, console, time.monotonic() - began)
        return 1 if board.lost else 0


def summary(board: Board, console: Console, seconds: float) -> None:
    """Says what crossed, or what was lost."""
    if board.lost:
        for lost in board.lost:
            console.print(f"[red]Lost:[/red] {lost}", markup=True, highlight=False)
        return
    standing = len(board.stories) - len(board.withdrawn)
    console.print(
        f"{len(board.stories)} requests and offers crossed between {len(board.houses)} instances, one changed, one answered in private, "
        f"{len(board.withdrawn)} withdrawn; {standing} stand, nothing was lost. {seconds:.0f} s."
    )


if __name__ == "__main__":
    os.environ.pop("FEDMATCH_CONFIG", None)
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(asyncio.run(main()))
    sys.exit(130)
