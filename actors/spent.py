"""Was this URI given or deleted after the backup that this database was restored from? Then it is not given again, and what it named does not come back.

The restore leaves keyed hashes (fedmatch/backup/replay.py); where nothing was ever restored there are none, and nobody is asked.
"""

from typing import TYPE_CHECKING, Final

from actors.vault import Vault
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

ANY: Final = """
select spent.mark
from spent
limit 1
"""

HOLDS: Final = """
select spent.mark
from spent
where spent.mark = :mark
"""


def mark_of(vault: Vault, uri: str) -> bytes:
    """The keyed hash of a URI. Raises `actors.vault.Locked`."""
    return vault.digest("spent", uri)


async def any_(tx: Transaction) -> bool:
    """Whether there is anything to ask for."""
    return await tx.one(ANY) is not None


async def holds(tx: Transaction, instance: "Instance", uri: str) -> bool:
    """Whether it was given or deleted in the time that the restore lost. Raises `actors.vault.Locked`, but only where something was restored."""
    return instance.restored and await tx.one(HOLDS, mark=mark_of(instance.vault, uri)) is not None
