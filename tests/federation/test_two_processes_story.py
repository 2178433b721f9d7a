"""Does it work as an operator types it? Two real processes on two real ports, through the command line alone."""

import asyncio
from pathlib import Path
from typing import Any

from tests.operators import Operator, eventually
from tests.told import SYRIA_ARABIC


async def test_a_request_crosses_between_two_processes_and_is_withdrawn(tmp_path: Path) -> None:
    # Given two instances, made and started as the README says
    here, there = Operator(tmp_path / "here"), Operator(tmp_path / "there")
    await asyncio.gather(*(one.type("init", "--host", f"localhost:{one.port}") for one in (here, there)))
    async with here.serve(), there.serve():
        amal = await here.get("user", "create", "amal")
        reader = await there.get("user", "create", "reader")
        assert amal["handle"] == f"amal@localhost:{here.port}"
        assert reader["url"] == f"http://localhost:{there.port}/users/reader"

        # When somebody follows, and the follow is granted
        async def follow() -> Any:
            return await there.get("follow", amal["handle"], "--as", "reader")

        assert (await follow())["state"] in {"requested", "accepted"}
        await eventually(follow, {"state": "accepted"})
        # And a request is posted, its text typed at standard input
        words = ["listing", "post", "--as", "amal", "--kind", "request", "--title", SYRIA_ARABIC.title, "--text", "-", "--language", "ar"]
        words += ["--audience", "public"]
        words += ["--category", "PressAndMedia", "--skill", "PressOutreach", "--speaks", "ar,en", "--region", "SY", "--urgency", "days"]
        made = await here.get(*words, typed=SYRIA_ARABIC.text)

        # Then it is listed over there, as it was told
        async def known() -> Any:
            return [one["url"] for one in await there.get("listing", "list", "--network")]

        await eventually(known, [made["url"]])
        shown = await there.get("listing", "show", made["url"])
        assert {**shown, "id": made["id"]} == made | {"outcome": []}
        assert (shown["origin"], shown["text"]) == (f"localhost:{here.port}", SYRIA_ARABIC.text)
        [entry] = await there.get("timeline", "home", "--as", "reader")
        assert SYRIA_ARABIC.title in entry["text"]

        # And what stands on the two sides is counted
        status = await there.get("status")
        assert (status["listings"], status["locked"], status["arrivals"]["failed"], status["actors"]["local"] >= 1) == (1, False, 0, True)
        assert all(one["state"] == "sent" for one in await here.get("deliveries"))
        assert (await here.get("doctor"))["checks"]

        # When it is withdrawn
        await here.get("listing", "withdraw", made["id"])
        # Then it is gone on both sides
        await eventually(known, [])
        assert await here.get("listing", "list") == []
        code, out, error = await there.type("listing", "show", made["url"])
        assert (code, out) == (1, "")
        assert error


async def test_a_command_used_wrongly_says_so(tmp_path: Path) -> None:
    operator = Operator(tmp_path / "here")
    assert (await operator.type("listing", "post"))[0] == 2
    code, out, error = await operator.type("user", "list")
    assert (code, out) == (1, "")
    assert "init" in error
    await operator.type("init", "--host", f"localhost:{operator.port}")
    assert (await operator.type("post", "hello", "--as", "nobody"))[0] == 1
    assert (await operator.type("init", "--host", f"localhost:{operator.port}"))[0] == 1
