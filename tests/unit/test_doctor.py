"""Does the doctor find what is wrong, and say how to cure it, without changing anything?"""

import re
import shutil
from pathlib import Path

import pytest

from actors import local
from fedmatch import app, disk, doctor
from fedmatch.board import notifications
from fedmatch.doctor import Check
from schemas.config_file import load
from tests.houses import open_house
from tests.world import write_config


async def examined(path: Path) -> dict[str, Check]:
    return {check.name: check for check in await doctor.examine(path)}


@pytest.fixture
async def file(tmp_path: Path) -> Path:
    """The file of an instance that was started once."""
    instance = await open_house(tmp_path / "house")
    await app.close(instance)
    return instance.config.path


async def test_a_healthy_house(file: Path) -> None:
    found = await examined(file)
    assert all(check.ok for check in found.values())
    assert {"packages", "config", "folder", "disk", "wal", "vault", "development", "database", "pragmas", "migrations", "running", "clock"} <= set(found)
    assert "ON" in found["development"].detail


async def test_every_sickness_has_a_cure(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "LEAST_FREE", 2**62)
    monkeypatch.setattr(app, "foreign_packages", lambda: ["schemas: /elsewhere/schemas/__init__.py"])
    (file.parent / "data").chmod(0o755)
    found = await examined(file)
    sick = {name for name, check in found.items() if not check.ok}
    assert sick == {"disk", "packages", "folder"}
    assert all(found[name].cure for name in sick)
    assert "/elsewhere/schemas" in found["packages"].detail


async def test_a_disk_that_fills_up_is_told_before_it_is_full(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type(shutil.disk_usage("/"))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10 * 2**40, 9 * 2**40, 2**40 - 2**30))
    check = (await examined(file))["disk"]
    assert not check.ok
    assert "90% used" in check.detail
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10 * 2**40, 8 * 2**40, 2 * 2**40))
    assert (await examined(file))["disk"].ok


async def test_staff_hears_of_a_disk_that_fills_up_without_asking(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    instance = await app.build(load(file))
    ada = await local.create(instance, "ada")
    await instance.database.write(local.set_role, instance, ada, "admin")
    await disk.look(instance)
    assert await instance.database.read(notifications.newest, instance, ada.id) == []
    monkeypatch.setattr(disk, "LEAST_FREE", 2**62)
    await disk.look(instance)
    assert [one.kind for one in await instance.database.read(notifications.newest, instance, ada.id)] == ["disk.filling"]
    await app.close(instance)


def test_a_reserve_is_kept_where_there_is_room_for_one(tmp_path: Path) -> None:
    assert disk.keep_reserve(tmp_path, size=2**20, least_free=2**62) is None
    assert list(tmp_path.iterdir()) == []
    kept = disk.keep_reserve(tmp_path, size=2**20, least_free=0)
    assert kept is not None
    assert (kept.stat().st_blocks * 512 >= 2**20, kept.stat().st_mode & 0o077) == (True, 0)
    assert disk.keep_reserve(tmp_path, size=2**20, least_free=2**62) == kept
    kept.unlink()
    assert disk.keep_reserve(tmp_path, size=2**62, least_free=0) is None, "more than any disk holds"
    assert list(tmp_path.iterdir()) == []


async def test_a_key_in_a_file_is_for_development_only(file: Path) -> None:
    text = file.read_text().partition("# On a developer's machine only")[0]
    text = re.sub(r"^host = .*$", 'host = "help.example.org"', text, flags=re.MULTILINE)
    file.write_text(re.sub(r"^base_url = .*$", 'base_url = "https://help.example.org"', text, flags=re.MULTILINE))
    check = (await examined(file))["vault"]
    assert not check.ok
    assert "passphrase" in check.cure


async def test_a_damaged_database_is_told_and_left_alone(file: Path) -> None:
    database = file.parent / "data" / "fedmatch.db"
    rubbish = b"rubbish" * 4096
    database.write_bytes(rubbish)
    assert not (await examined(file))["database"].ok
    assert database.read_bytes() == rubbish


async def test_nothing_is_made_by_looking(tmp_path: Path) -> None:
    config = write_config(tmp_path / "new")
    found = await examined(config.path)
    assert not found["database"].ok
    assert not found["folder"].ok
    assert not config.folder.exists()
    assert not (await examined(tmp_path / "nowhere.toml"))["config"].ok
    assert not (tmp_path / "nowhere.toml").exists()


async def test_a_foreign_package_stops_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert app.foreign_packages() == []
    monkeypatch.setattr(app, "foreign_packages", lambda: ["inbox: /elsewhere/inbox.py"])
    with pytest.raises(app.CannotStart, match="elsewhere"):
        await app.build(write_config(tmp_path))
    assert not (tmp_path / "data").exists()
