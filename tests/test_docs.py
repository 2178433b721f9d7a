"""Do the documents say what the code does? Every configuration key, command, option, life, activity and file they should name is looked up."""

import re
from pathlib import Path
from typing import get_args

import click
import pytest

from fedmatch.cli.main import main
from schemas import activities, states
from schemas.config_file import KEYS, load
from schemas.config_template import template

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = ["README.md", "ARCHITECTURE.md", "FEDERATION.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md"]
PAGES = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def headings(text: str) -> set[str]:
    return set(re.findall(r"^#+ +(.+?) *$", text, re.MULTILINE))


def commands(command: click.Command, path: tuple[str, ...] = ("fedmatch",)) -> list[tuple[str, click.Command]]:
    """Every command that can be typed, with its full name."""
    if isinstance(command, click.Group):
        return [found for name, inner in command.commands.items() for found in commands(inner, (*path, name))]
    return [(" ".join(path), command)]


def section(text: str, heading: str) -> str:
    """The text under one heading, up to the next of the same depth."""
    found = re.search(rf"^(#+) +`?{re.escape(heading)}`?[^\n]*\n(.*?)(?=^\1 |^#{{1,2}} |\Z)", text, re.MULTILINE | re.DOTALL)
    return found.group(2) if found else ""


@pytest.mark.parametrize("key", KEYS)
def test_every_configuration_key_is_documented(key: str) -> None:
    assert f"`{key}`" in read("docs/configuration.md")


def test_no_configuration_key_is_documented_that_does_not_exist() -> None:
    named = set(re.findall(r"^\| `([a-z_.]+)` \|", read("docs/configuration.md"), re.MULTILINE))
    assert named == set(KEYS)


def test_the_instance_file_of_the_root_is_what_init_writes_and_it_loads() -> None:
    assert read("instance.toml") == template("localhost:8000", "http://localhost:8000", True)
    assert load(ROOT / "instance.toml").host == "localhost:8000"


@pytest.mark.parametrize(("name", "command"), commands(main), ids=lambda value: value if isinstance(value, str) else "")
def test_every_command_and_option_is_documented(name: str, command: click.Command) -> None:
    text = section(read("docs/cli.md"), name)
    assert text, f"docs/cli.md has no section {name}"
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not {"--config", "--json"} & set(parameter.opts):
            longest = max([*parameter.opts, *parameter.secondary_opts], key=len)
            assert f"`{longest}" in text, f"docs/cli.md: {name} does not name {longest}"


def test_no_command_is_documented_that_does_not_exist() -> None:
    named = {heading.strip("`") for heading in headings(read("docs/cli.md")) if heading.startswith("`fedmatch ")}
    assert named == {name for name, _ in commands(main)}


@pytest.mark.parametrize("life", states.LIVES, ids=lambda life: life.noun)
def test_every_life_is_drawn_as_it_is_lived(life: states.Life) -> None:
    assert f"```mermaid\n{life.mermaid()}\n```" in section(read("docs/lives.md"), life.noun)


def test_no_life_is_drawn_that_nobody_leads() -> None:
    assert headings(read("docs/lives.md")) - {"Lives"} == {life.noun for life in states.LIVES}


@pytest.mark.parametrize("kind", [kind.__name__ for kind in get_args(activities.Activity) if kind is not activities.Other])
def test_every_activity_is_documented(kind: str) -> None:
    assert re.search(rf"^\| {kind}\b", read("FEDERATION.md"), re.MULTILINE), f"FEDERATION.md: no row for {kind}"


@pytest.mark.parametrize("name", DOCUMENTS + PAGES)
def test_every_file_a_document_names_exists(name: str) -> None:
    text = re.sub(r"```.*?```", "", read(name), flags=re.DOTALL)
    named = set(re.findall(r"`((?:schemas|actors|outbox|inbox|fedmatch|tests|docs|benchmarks)/[\w./-]+\.\w+)`", text))
    named |= {(Path(name).parent / link).as_posix() for link in re.findall(r"\]\((?!https?:|mailto:|#)([^)#]+)", text)}
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("name", ["SECURITY.md", "ARCHITECTURE.md", "docs/faults.md"])
def test_every_test_and_function_a_document_names_exists(name: str) -> None:
    """`tests/x.py::test_y` and `outbox/x.py::y` name things that are there."""
    for path, function in re.findall(r"`([\w/]+\.py)::(\w+)`", read(name)):
        assert re.search(rf"^\s*(?:async )?(?:def|class) {function}\b|^{function}\b", read(path), re.MULTILINE), f"{name} names {path}::{function}"


def test_every_fault_has_a_test_or_says_not_yet() -> None:
    rows = dict(re.findall(r"^\| (F\d\d) \|(.*)\|$", read("docs/faults.md"), re.MULTILINE))
    assert list(rows) == [f"F{number:02}" for number in (*range(1, 31), *range(37, 41))]
    assert [row for row, text in rows.items() if not re.search(r"::test_|the same;|not yet", text)] == []
    # And no test of a row is left out
    written = set(re.findall(r"^(?:async )?def (test_f\d\d_\w+)", read("tests/faults/test_fault_rows.py"), re.MULTILINE))
    assert written == set(re.findall(r"test_fault_rows\.py::(\w+)", read("docs/faults.md")))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_document_is_there_and_begins_with_a_heading(name: str) -> None:
    assert read(name).startswith("# ")


def test_every_room_has_its_sentence_in_the_architecture() -> None:
    text = read("ARCHITECTURE.md")
    for room in ("schemas", "actors", "outbox", "inbox", "fedmatch"):
        assert f"`{room}/`" in text
        init = read(f"{room}/__init__.py")
        assert init.count("\n") <= 2
        assert init.startswith('"""')
