"""What does it cost to reach everybody, and how soon is the last one reached? One post to 50, 500, 1,000 hosts, and with 30 % that hang, refuse or fail.

Hosts are met for the first time: cold connections, and nobody knows yet which are bad. `python -m benchmarks.delivery`, about 2 minutes.
"""

import asyncio
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import aiohttp

from actors import local
from actors.instance import Instance
from actors.known import Actor
from benchmarks import _letters
from benchmarks._lab import Failed, Lab, Program, Report, Site, inside, lab, middle, options, running, us_each
from benchmarks._letters import make_writer
from schemas.storage import Transaction

BAD: Final = ("hang", "refuse", "fail", "mixed")
BAD_SHARE: Final = 0.3
SENT: Final = "select count(*) from delivery where state = 'sent'"
LIMIT_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Sent:
    """One post: milliseconds from the call until half and all of the healthy hosts had it, and CPU microseconds for each of them."""

    published_ms: float
    half_ms: float
    last_ms: float
    cpu_us: float
    postgresql_us: float


def places(ports: dict[str, int], number: int, bad: str) -> list[str]:
    """The inboxes of so many hosts, the bad ones spread among the good."""
    every = int(1 / BAD_SHARE * 3)  # 3 in 10
    found = []
    for one in range(number):
        kind = "good"
        if bad and one % every < 3:
            kind = ("hang", "refuse", "fail")[one % every] if bad == "mixed" else bad
        found.append(f"http://127.1.{one // 250}.{one % 250 + 1}:{ports[kind]}/inbox")
    return found


async def befriend(instance: Instance, ports: dict[str, int], inboxes: list[str], public: bytes) -> None:
    """`everybody` is followed by somebody at each inbox; `warm` by one more, who shows that all is ready."""
    for name, theirs in (("everybody", inboxes), ("warm", [f"http://127.2.0.1:{ports['good']}/inbox"])):
        author = await local.create(instance, name)
        await instance.database.write(_followers, instance, author, theirs, public)


async def _followers(tx: Transaction, instance: Instance, author: Actor, inboxes: list[str], public: bytes) -> None:
    for inbox in inboxes:
        actor = await _letters.remote(tx, instance, f"{inbox.removesuffix('/inbox')}/users/reader", public, inbox=inbox)
        number = instance.ids.new()
        await tx.execute(
            "insert into follow (id, uri, follower_id, followed_id, state, created_at, changed_at) values (:id, :uri, :actor, :author, 'accepted', 0, 0)",
            id=number,
            uri=f"{actor.uri}#follow",
            actor=actor.id,
            author=author.id,
        )


def floor(here: Lab, ports: dict[str, int], times: int) -> float:
    """The least the same takes: one RSA-2048 signature, and one POST by aiohttp on a connection of its own; 32 in flight."""
    writer = make_writer(0)
    key, now = writer.private, datetime.now(UTC)
    body = _letters.create(writer.uri, 1, now)

    def sign() -> None:
        _letters.request(key, writer.uri, "127.3.0.1", "/inbox", body, now)

    async def post_all() -> None:
        left = iter(range(times))
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:

            async def one_after_the_other() -> None:
                for one in left:
                    async with session.post(f"http://127.3.{one // 250}.{one % 250 + 1}:{ports['good']}/inbox", data=body) as answer:
                        assert answer.status == 202

            await asyncio.gather(*[one_after_the_other() for _ in range(32)])

    started = time.process_time()
    asyncio.run(post_all())
    posted = (time.process_time() - started) / times * 1e6
    return us_each(sign, min(times, 300)) + posted


def run(here: Lab, receivers: Program, database: str, number: int, bad: str, processes: int, public: bytes) -> tuple[Sent, Sent | None]:
    """One instance, one post to `number` hosts; and a second over the kept connections, where all are healthy."""
    ports = receivers.ready
    inboxes = places(ports, number, bad)
    healthy = sum(f":{ports['good']}/" in inbox for inbox in inboxes)
    site = here.site(database)
    inside(site.config, lambda instance: befriend(instance, ports, inboxes, public))
    with ExitStack() as stack:
        role = "worker" if processes == 1 else ""
        sender = stack.enter_context(running(Program("-m", "benchmarks._sender", str(site.toml), role, log=site.folder / "sender.log")))
        programs = [sender] if processes == 1 else [sender, stack.enter_context(site.work())]
        sender.ask(post="warm")
        site.wait(SENT, 1, "the first delivery")
        time.sleep(0.3)
        receivers.ask(read=True)
        cold = post(here, site, receivers, programs, healthy, 1 + healthy)
        if bad:
            return cold, None
        time.sleep(0.3)
        return cold, post(here, site, receivers, programs, healthy, 1 + 2 * healthy)


def post(here: Lab, site: Site, receivers: Program, programs: list[Program], healthy: int, sent: int) -> Sent:
    """One post of `everybody`, followed until every healthy host has it and that is written down."""
    before, database = sum(program.cpu_s for program in programs), here.postgresql_cpu_s()
    said = programs[0].ask(post="everybody")
    site.wait(SENT, sent, "deliveries", limit_s=LIMIT_S)
    time.sleep(0.1)
    cpu = sum(program.cpu_s for program in programs) - before
    database = here.postgresql_cpu_s() - database
    came = sorted(at - said["before"] for at, _ in receivers.ask(read=True)["came"])
    if len(came) != healthy:
        raise Failed(f"{len(came)} POSTs for {healthy} hosts; see {site.folder}")
    return Sent((said["after"] - said["before"]) * 1e3, came[len(came) // 2] * 1e3, came[-1] * 1e3, cpu / healthy * 1e6, database / healthy * 1e6)


def main(arguments: list[str] | None = None) -> None:
    question = "What does it cost to deliver, and how soon is the last one reached?"
    parser = options(question)
    parser.add_argument("--hosts", nargs="+", type=int, default=[50, 500, 1000])
    parser.add_argument("--bad-hosts", type=int, default=500, help="hosts in the runs of which 30 %% are bad; 0 leaves them out")
    parser.add_argument("--bad", nargs="+", choices=BAD, default=list(BAD))
    parser.add_argument("--processes", nargs="+", type=int, choices=(1, 2), default=[1, 2])
    given = parser.parse_args(arguments)
    with lab() as here, running(Program("-m", "benchmarks._receivers", log=here.folder / "receivers.log")) as receivers:
        writer = make_writer(1)
        public = writer.public
        report = Report("delivery", question, {"hosts": given.hosts, "bad_hosts": given.bad_hosts, "repeat": given.repeat})
        floors: list[float] = []
        healthy_last = 0.0
        for database in given.databases:
            for processes in given.processes:
                for number in given.hosts if processes == 1 else given.hosts[-1:]:
                    cold = measure(report, here, receivers, floors, database, number, "", processes, public, given.repeat)
                    if database == "sqlite" and processes == 1 and number == given.bad_hosts:
                        healthy_last = cold.last_ms
                    aim(report, database, processes, number, cold)
        if given.bad_hosts:
            last = healthy_last or measure(report, here, receivers, floors, "sqlite", given.bad_hosts, "", 1, public, given.repeat).last_ms
            for bad in given.bad:
                cold = measure(report, here, receivers, floors, "sqlite", given.bad_hosts, bad, 1, public, given.repeat)
                report.aim(f"last healthy of {given.bad_hosts} hosts, 30 % {bad}, against all healthy", 1.5, cold.last_ms / last, "x")
        report.floors["floor"] = middle(floors)
        report.finish(given)


def aim(report: Report, database: str, processes: int, number: int, cold: Sent) -> None:
    where = f"{database}, {processes} process{'es' if processes > 1 else ''}"
    if number >= 500:  # over 50 the steps of 10 ms are 200 us each way
        report.aim(f"a delivery, one of {number} ({where})", 900, cold.cpu_us, "us CPU")
    if number in (50, 1000):
        report.aim(f"the last of {number} hosts ({where})", 100 if number == 50 else 1500, cold.last_ms, "ms")


def measure(
    report: Report, here: Lab, receivers: Program, floors: list[float], database: str, number: int, bad: str, processes: int, public: bytes, repeat: int
) -> Sent:
    """Some runs on fresh instances; the median one by its last delivery is reported and given."""
    floors.append(floor(here, receivers.ready, min(number, 500)))
    receivers.ask(read=True)
    repeat = repeat if database == "sqlite" and processes == 1 else 1
    runs = [run(here, receivers, database, number, bad, processes, public) for _ in range(repeat)]
    cold, kept = sorted(runs, key=lambda pair: pair[0].last_ms)[len(runs) // 2]
    cpu = middle([first.cpu_us for first, _ in runs])
    cold = Sent(cold.published_ms, cold.half_ms, cold.last_ms, cpu, cold.postgresql_us)
    report.add(
        database=database,
        processes=processes,
        hosts=number,
        bad=bad or "none",
        cpu_us=cold.cpu_us,
        floors=cold.cpu_us / floors[-1],
        postgresql_us=cold.postgresql_us,
        published_ms=cold.published_ms,
        half_ms=cold.half_ms,
        last_ms=cold.last_ms,
        kept_cpu_us=kept.cpu_us if kept else "",
        kept_last_ms=kept.last_ms if kept else "",
    )
    return cold


if __name__ == "__main__":
    main()
