"""Are the pages whole in every language they are offered in? Part of `make check`; `--write` brings the catalogues up to date.

Every sentence of the templates (and of `say(...)` in the code) stands translated in every offered language: none empty, none marked fuzzy, none that no
page says any more, as many plural forms as the language has, and in each the same placeholders. Prints one line a fault and exits 1 if there was one.
"""

import re
import sys
from pathlib import Path

from babel import Locale
from babel.messages import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po
from jinja2.ext import babel_extract

ROOT = Path(__file__).resolve().parent.parent
WEB = ROOT / "fedmatch" / "web"
PLACEHOLDER = re.compile(r"%(?:\((\w+)\))?[a-z%]")
sys.path.insert(0, str(ROOT))


def said() -> Catalog:
    """Every sentence of the pages, in English."""
    found = Catalog(charset="utf-8")
    methods = [("templates/**.html", "jinja2"), ("templates/**.xml", "jinja2"), ("**.py", "python")]
    keywords = {"_": None, "gettext": None, "ngettext": (1, 2), "say": None}
    options = {"templates/**.html": {"trimmed": "true"}, "templates/**.xml": {"trimmed": "true"}}
    for file, line, message, _comments, _context in extract_from_dir(str(WEB), methods, options, keywords):  # type: ignore[arg-type]  # lists of pairs are fine
        found.add(message, locations=[(f"fedmatch/web/{file}", line)])
    return found


def path(code: str) -> Path:
    """Where the catalogue of a language lies."""
    return WEB / "locale" / code / "LC_MESSAGES" / "fedmatch.po"


def faults(code: str, wanted: Catalog) -> list[str]:
    """What is wrong with the catalogue of one language, a line each."""
    name = path(code).relative_to(ROOT)
    if not path(code).exists():
        return [f"{name}: is missing; python tests/translations.py --write makes it"]
    with path(code).open("rb") as file:
        catalog = read_po(file, locale=Locale.parse(code))
    found = []
    for message in wanted:
        if not message.id:
            continue
        have = catalog.get(message.id)
        words = [] if have is None else list(have.string) if isinstance(have.string, list | tuple) else [have.string]
        shown = message.id[0] if isinstance(message.id, list | tuple) else message.id
        if have is None or not words or not all(words):
            found.append(f"{name}: not translated: {shown}")
            continue
        if have.fuzzy:
            found.append(f"{name}: fuzzy: {shown}")
        if message.pluralizable and len(words) != catalog.num_plurals:
            found.append(f"{name}: {len(words)} plural forms of {catalog.num_plurals}: {shown}")
        ids = message.id if isinstance(message.id, list | tuple) else (message.id,)
        marks = {frozenset(match[1] or match[0] for match in PLACEHOLDER.finditer(one)) for one in (*ids, *words)}
        if len(marks) != 1:
            found.append(f"{name}: other placeholders: {shown}")
    ours = {message.id[0] if isinstance(message.id, list | tuple) else message.id for message in wanted}
    extra = (message.id[0] if isinstance(message.id, list | tuple) else message.id for message in catalog if message.id)
    return found + [f"{name}: no page says this: {one}" for one in extra if one not in ours]


def write(code: str, wanted: Catalog) -> None:
    """Brings a catalogue up to date: new sentences are empty, old ones go."""
    comment = f"# The words of the pages in the language `{code}`; native readers: corrections are welcome."
    made = Catalog(locale=code, header_comment=comment, charset="utf-8", fuzzy=False)
    before = None
    if path(code).exists():
        with path(code).open("rb") as file:
            before = read_po(file, locale=Locale.parse(code))
    for message in wanted:
        if message.id:
            have = before.get(message.id) if before is not None else None
            made.add(message.id, have.string if have is not None else None, sorted({(file, 1) for file, _ in message.locations}), message.flags)
    path(code).parent.mkdir(parents=True, exist_ok=True)
    with path(code).open("wb") as out:
        write_po(out, made, width=160, include_lineno=False, omit_header=False, sort_output=True)
    # The date of a file is git's business.
    names = "POT-Creation-Date|PO-Revision-Date|Last-Translator|Language-Team|Project-Id-Version|Report-Msgid-Bugs-To|Generated-By"
    text = re.sub(rf'^"(?:{names}):.*\n', "", path(code).read_text(encoding="utf-8"), flags=re.MULTILINE)
    path(code).write_text(text, encoding="utf-8")


def main() -> int:
    """Checks all catalogues; the exit code."""
    from fedmatch.web.language import OFFERED

    assert babel_extract  # the method `jinja2` of babel
    wanted = said()
    codes = [code for code in OFFERED if code != "en"]
    if "--write" in sys.argv[1:]:
        for code in codes:
            write(code, wanted)
    found = [line for code in codes for line in faults(code, wanted)]
    print("\n".join(found) if found else f"Translations: {len(wanted)} sentences in {len(codes) + 1} languages, no faults.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
