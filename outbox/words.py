"""How do the words of a post rest? Open in columns for what everybody may read, one sealed blob for the rest, and the original JSON of what is public."""

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypedDict

from schemas.objects import Attachment, Emoji, Hashtag, Mention, Note, Option, Poll, Visibility
from schemas.reading import Document, Iri
from schemas.storage import Value

if TYPE_CHECKING:
    from actors.instance import Instance

MOST_TAGS: Final = 100
MOST_DOCUMENT: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Tags:
    """What hangs on a text, as the column `tags` keeps it."""

    mentions: tuple[Mention, ...] = ()
    hashtags: tuple[Hashtag, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    emojis: tuple[Emoji, ...] = ()
    translations: tuple[tuple[str, str], ...] = ()
    poll: Poll | None = None
    source: str | None = None

    @classmethod
    def read(cls, text: str | None) -> "Tags":
        """What the column says."""
        if text is None:
            return cls()
        kept = json.loads(text)
        return cls(
            tuple(Mention(Iri(href), name) for href, name in kept.get("mentions", ())),
            tuple(Hashtag(name, None if href is None else Iri(href)) for name, href in kept.get("hashtags", ())),
            tuple(Attachment(Iri(url), media_type, description) for url, media_type, description in kept.get("attachments", ())),
            tuple(Emoji(name, None if icon is None else Iri(icon)) for name, icon in kept.get("emojis", ())),
            tuple((language, words) for language, words in kept.get("translations", ())),
            _asked(kept["poll"]) if "poll" in kept else None,
            kept.get("source"),
        )

    @staticmethod
    def write(note: Note) -> str | None:
        """What the column says of a note; None where there is nothing."""
        kept: dict[str, object] = {}
        if note.mentions:
            kept["mentions"] = [(mention.href, mention.name) for mention in note.mentions[:MOST_TAGS]]
        if note.hashtags:
            kept["hashtags"] = [(tag.name, tag.href) for tag in note.hashtags[:MOST_TAGS]]
        if note.attachments:
            kept["attachments"] = [(file.url, file.media_type, file.description) for file in note.attachments[:MOST_TAGS]]
        if note.emojis:
            kept["emojis"] = [(emoji.name, emoji.icon) for emoji in note.emojis[:MOST_TAGS]]
        if others := [(language, words) for language, words in note.content_map if language != note.language]:
            kept["translations"] = others
        if note.poll is not None:
            ends = None if note.poll.ends is None else int(note.poll.ends.timestamp() * 1000)
            kept["poll"] = {"options": [option.name for option in note.poll.options], "multiple": note.poll.multiple, "ends": ends}
        if note.source is not None:
            kept["source"] = note.source
        return json.dumps(kept, ensure_ascii=False) if kept else None


def _asked(kept: Document) -> Poll:
    ends = kept["ends"]
    return Poll(tuple(Option(name) for name in kept["options"]), kept["multiple"], None if ends is None else time_of(ends))


def columns(instance: "Instance", id: int, note: Note, how_far: Visibility) -> Mapping[str, Value]:
    """The columns that hold words: open for what everybody may read, one sealed blob for the rest."""
    words: dict[str, Value] = {"content": note.content, "summary": note.summary, "language": note.language, "tags": Tags.write(note)}
    if how_far in {"public", "unlisted"}:
        return {**words, "sealed": None}
    blob = instance.vault.seal(json.dumps(words, ensure_ascii=False).encode(), place(id))
    return {"content": None, "summary": None, "language": None, "tags": None, "sealed": blob}


class Words(TypedDict):
    """Everything of a post that rests sealed where it is not public."""

    content: str
    summary: str | None
    language: str | None
    source: str | None
    mentions: tuple[Mention, ...]
    hashtags: tuple[Hashtag, ...]
    attachments: tuple[Attachment, ...]
    emojis: tuple[Emoji, ...]
    translations: tuple[tuple[str, str], ...]
    poll: Poll | None


def words(note: Note) -> Words:
    """The words of a note under the names they have on a post."""
    return {
        "content": note.content,
        "summary": note.summary,
        "language": note.language,
        "source": note.source,
        "mentions": note.mentions,
        "hashtags": note.hashtags,
        "attachments": note.attachments,
        "emojis": note.emojis,
        "translations": tuple(entry for entry in note.content_map if entry[0] != note.language),
        "poll": note.poll,
    }


def place(id: int) -> str:
    """What the seal of a post's words is bound to."""
    return f"post:{id}"


def kept(document: bytes | None, how_far: Visibility) -> bytes | None:
    """The column `document`: the original JSON, compressed; None for what is not public, or over 1 MiB."""
    if document is None or how_far != "public" or len(document) > MOST_DOCUMENT:
        return None
    # Level 1 is a third faster than the default and 5 % larger; a small window spares clearing 256 KiB for a few kilobytes.
    packer = zlib.compressobj(1, zlib.DEFLATED, 12, 5)
    return packer.compress(document) + packer.flush()


def original(document: bytes | None) -> bytes | None:
    """The original JSON out of the column `document`."""
    return None if document is None else zlib.decompress(document)


def time_of(ms: int) -> datetime:
    """Aware UTC from milliseconds."""
    return datetime.fromtimestamp(ms / 1000, UTC)
