"""Do people live here safely: their names, keys, documents, tokens, and their end?"""

import asyncio
from pathlib import Path

import pytest

from actors import generations, keys, known, local
from actors.local import BadName, BadScope, NameTaken, NoAccount
from schemas.events import ActorGone
from schemas.objects import PUBLIC, Reference
from schemas.storage import Database, Transaction
from tests import house
from tests.house import House


@pytest.fixture
async def home(database: Database, tmp_path: Path) -> House:
    return await house.build(database, house.configure(tmp_path))


async def test_a_person_gets_addresses_keys_and_an_account(home: House) -> None:
    # When Amina comes
    amina = await local.create(home.instance, "Amina", locked=True)
    # Then everything about her lies where the others look
    assert amina.uri == "https://ours.example/users/amina"
    assert amina.handle == "amina@ours.example"
    assert (amina.local, amina.kind, amina.state, amina.locked, amina.host_id) == (True, "Person", "active", True, None)
    document = await home.read(local.document, home.instance, amina)
    assert document.inbox == f"{amina.uri}/inbox"
    assert document.shared_inbox == "https://ours.example/inbox"
    assert document.followers == f"{amina.uri}/followers"
    assert document.featured == f"{amina.uri}/collections/featured"
    assert document.url == "https://ours.example/@amina"
    assert document.handle == "amina@ours.example"
    assert document.locked
    assert [(key.id, key.owner, key.algorithm) for key in document.keys] == [
        (f"{amina.uri}#main-key", amina.uri, "rsa"),
        (f"{amina.uri}#ed25519-key", amina.uri, "ed25519"),
    ]
    assert document.published is not None
    assert document.published.isoformat() == "2026-03-01T00:00:00+00:00", "the day, not the minute"
    # And she is found by name, handle and id
    assert await home.read(known.by_name, "AMINA") == amina
    assert await home.read(known.by_handle, "amina", "ours.example") == amina
    assert await home.read(known.by_handle, "Amina", "ours.example") == amina
    assert await home.read(known.by_uri, amina.uri) == amina
    assert await home.read(known.by_id, amina.id) == amina
    assert await home.read(known.by_name, "nobody") is None


async def test_a_name_others_could_not_write_is_refused(home: House) -> None:
    for name in ["", "a" * 31, "a b", "a-b", "a.b", "é", "ا", "a/b", "../x", "a@b", "a\n", "İ"]:
        with pytest.raises(BadName):
            await local.create(home.instance, name)


async def test_a_name_that_would_be_taken_for_the_house_is_refused(home: House) -> None:
    for name in ["actor", "ADMIN", "inbox", "instance", "support", "requests", "urgent", "legalaid", "asylumlaw", "radio"]:
        with pytest.raises(BadName):
            await local.create(home.instance, name)


async def test_the_house_itself_may_have_the_names_of_its_categories(home: House) -> None:
    made = await local.create(home.instance, "legalaid", kind="Service", name="Legal aid")
    assert (made.kind, made.name) == ("Service", "Legal aid")
    with pytest.raises(NoAccount):
        await home.write(local.issue_token, home.instance, made, "read")


async def test_a_name_is_given_once_also_when_two_ask_at_the_same_time(home: House) -> None:
    both = await asyncio.gather(local.create(home.instance, "amina"), local.create(home.instance, "AMINA"), return_exceptions=True)
    assert sorted(type(one).__name__ for one in both) == ["Actor", "NameTaken"]
    with pytest.raises(NameTaken):
        await home.person("amina")


async def test_the_instance_has_one_actor_of_its_own(home: House) -> None:
    with pytest.raises(LookupError):
        await home.read(known.application)
    first, second = await asyncio.gather(local.ensure_application(home.instance), local.ensure_application(home.instance))
    assert first == second == await home.read(known.application)
    assert await local.ensure_application(home.instance) == first
    assert (first.uri, first.kind, first.username, first.locked) == ("https://ours.example/actor", "Application", "ours.example", True)
    document = await home.read(local.document, home.instance, first)
    assert (document.inbox, document.outbox, document.followers, document.following) == (
        "https://ours.example/actor/inbox",
        "https://ours.example/actor/outbox",
        None,
        None,
    )
    assert (await home.instance.keys.private(home.instance, first.id)).uri == "https://ours.example/actor#main-key"
    for end in (local.suspend, local.delete):
        with pytest.raises(ValueError, match="signs for everybody"):
            await home.write(end, home.instance, first)


async def test_in_development_the_name_of_the_instance_actor_has_no_port(database: Database, tmp_path: Path) -> None:
    home = await house.build(database, house.configure(tmp_path, host="localhost:8001", base_url="http://localhost:8001"))
    made = await local.ensure_application(home.instance)
    assert (made.username, made.handle_host, made.handle) == ("localhost", "localhost:8001", "localhost@localhost:8001")
    with pytest.raises(BadName):
        await local.create(home.instance, "localhost")


async def test_a_token_acts_until_it_or_its_actor_ends(home: House) -> None:
    # Given a token
    amina = await home.person("amina")
    secret = await home.write(local.issue_token, home.instance, amina, "write read read:statuses")
    assert len(secret) == 43
    # Then it acts as her with its scopes, and no other text does
    found = await home.read(local.token, secret)
    assert found is not None
    assert (found.actor, found.scopes) == (amina, {"read", "write", "read:statuses"})
    assert await home.read(local.actor_by_token, secret) == amina
    for other in ("", secret[:-1], secret + "x", secret.upper(), "\ud800", "' or 1=1 --"):
        assert await home.read(local.token, other) is None
    # And the secret itself is stored nowhere
    hashes = await home.read(all_tokens)
    assert secret.encode() not in b"".join(hashes)
    # When she is suspended it does nothing
    await home.write(local.suspend, home.instance, amina)
    assert await home.read(local.token, secret) is None


async def all_tokens(tx: Transaction) -> list[bytes]:
    return [bytes(row["hash"]) for row in await tx.all("select hash from token")]


async def test_an_unknown_scope_is_refused(home: House) -> None:
    amina = await home.person("amina")
    for scopes in ["", " ", "everything", "read,write", "read:", "read:STATUSES", "follow:x", "read:a b:c", "read\u00a0x"]:
        with pytest.raises(BadScope):
            await home.write(local.issue_token, home.instance, amina, scopes)


async def test_suspending_again_is_nothing_new(home: House) -> None:
    amina = await home.person("amina")
    for _ in range(2):
        await home.write(local.suspend, home.instance, amina)
    assert (await home.read(known.by_id, amina.id)).state == "suspended"
    assert (await home.read(generations.read))["actors"] == 1


async def test_the_end_of_a_person(home: House) -> None:
    # Given Amina with a profile and a token
    amina = await local.create(home.instance, "amina", name="Amina of Homs")
    secret = await home.write(local.issue_token, home.instance, amina, "read")
    # When she leaves
    farewell = await home.write(local.delete, home.instance, amina)
    # Then the others are told in her name
    assert (farewell.actor, farewell.object, farewell.to) == (amina.uri, Reference(amina.uri), (PUBLIC,))
    assert farewell.id == f"{amina.uri}#delete"
    assert home.told == [ActorGone(amina.id, amina.uri, local=True)]
    # And her key still signs it
    assert (await home.instance.keys.private(home.instance, amina.id)).sign(b"x")
    # And what she said about herself is gone, her token and her account too
    gone = await home.read(known.by_id, amina.id)
    assert (gone.state, gone.name) == ("gone", None)
    assert await home.read(local.token, secret) is None
    assert await home.read(account_states) == ["deleted"]
    assert await home.read(known.by_handle, "amina", "ours.example") is None
    # And nobody else becomes her
    with pytest.raises(NameTaken):
        await home.person("amina")
    # And to delete her again tells nobody again
    await home.write(local.delete, home.instance, gone)
    assert len(home.told) == 1
    # And when her rows are swept the name stays taken
    await home.write(sweep, amina.id)
    with pytest.raises(NameTaken):
        await home.person("amina")


async def sweep(tx: Transaction, id: int) -> None:
    await tx.execute("delete from actor where id = :id", id=id)


async def account_states(tx: Transaction) -> list[str]:
    return [row["state"] for row in await tx.all("select state from account order by id")]


async def test_an_account_with_another_actor_lives_on(home: House) -> None:
    one, other = await home.person("one"), await home.person("other")

    async def share(tx: Transaction) -> None:
        row = await tx.one("select account_id from membership where actor_id = :id", id=one.id)
        assert row is not None
        await tx.execute(
            "insert into membership (account_id, actor_id, role, since) values (:account_id, :actor_id, 'operator', 1)",
            account_id=row["account_id"],
            actor_id=other.id,
        )

    await home.write(share)
    await home.write(local.delete, home.instance, one)
    assert await home.read(account_states) == ["active", "active"]
    await home.write(local.delete, home.instance, other)
    assert "active" not in (await home.read(account_states))[1:]


async def test_a_stranger_cannot_be_ended_here(home: House) -> None:
    bob = await home.stranger("bob")
    for end in (local.suspend, local.delete):
        with pytest.raises(ValueError, match="elsewhere"):
            await home.write(end, home.instance, bob)


async def test_everybody_who_lives_here_is_listed(home: House) -> None:
    await home.person("b")
    await home.person("a")
    await home.stranger("c")
    assert [actor.username for actor in await home.read(local.list_all)] == ["a", "b"]


async def test_people_are_made_while_the_vault_is_locked(home: House) -> None:
    # The command line beside a running server knows no passphrase; what it seals to the public key the server opens.
    home.instance.vault.lock()
    amina = await local.create(home.instance, "amina")
    home.instance.vault.unlock(house.vault._read_key_file(home.instance.config.vault.file or Path())[0])
    assert (await home.instance.keys.private(home.instance, amina.id)).sign(b"x")


async def test_new_keys_take_over_and_the_old_ones_leave_after_a_week(home: House) -> None:
    # Given a person whose keys are in memory
    bea = await home.person("bea")
    ring = home.instance.keys
    first = await ring.private(home.instance, bea.id)
    # When the keys are replaced
    new = keys._make()
    before = await home.read(generations.read)
    update = await home.write(local.rotate, home.instance, bea, new)
    assert (await home.read(generations.read))["keys"] == before.get("keys", 0) + 1
    ring.forget()
    # Then the new ones sign, and the oldest is still the first
    current = await ring.private(home.instance, bea.id)
    assert current.uri != first.uri
    assert (await ring.oldest(home.instance, bea.id)).uri == first.uri == f"{bea.uri}#main-key"
    document = await home.read(local.document, home.instance, bea)
    assert [(key.algorithm, key.public == (new.rsa_public if key.algorithm == "rsa" else new.ed25519_public)) for key in document.keys] == [
        ("rsa", True),
        ("ed25519", True),
        ("rsa", False),
        ("ed25519", False),
    ]
    assert (update.actor, update.object.keys, update.to) == (bea.uri, document.keys, (PUBLIC,))
    # And a week later they are neither listed nor kept
    home.clock.move(days=7)
    assert len((await home.read(local.document, home.instance, bea)).keys) == 2
    assert (await ring.oldest(home.instance, bea.id)).uri == current.uri
    assert await home.write(keys.prune, home.clock.ms()) == 2
    assert await home.write(keys.prune, home.clock.ms()) == 0
    assert len((await home.read(local.document, home.instance, bea)).keys) == 2


async def test_only_who_lives_here_and_is_active_gets_new_keys(home: House) -> None:
    stranger, bea = await home.stranger("bo"), await home.person("bea")
    await home.write(local.suspend, home.instance, bea)
    for actor in (stranger, await home.read(known.by_id, bea.id)):
        with pytest.raises(ValueError, match="not ours, or not active"):
            await home.write(local.rotate, home.instance, actor, house.PAIR)
