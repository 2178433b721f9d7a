"""Are the page templates sound? Part of `make check`: every template parses, asks nothing of other servers, and reads from right to left.

Run as a script: prints one line a fault and exits 1 if there was one.
"""

import re
import sys
from pathlib import Path

from jinja2 import Environment, TemplateSyntaxError

ROOT = Path(__file__).resolve().parent.parent
FAULTS = (
    (re.compile(r"<script\b", re.IGNORECASE), "a script: pages work without any"),
    (re.compile(r"\bon(?:click|load|error|submit|change)\s*=", re.IGNORECASE), "an inline handler: pages work without script"),
    (re.compile(r"(?<!\bactor\.summary)(?<!\bpost\.content)(?<!\bversion\.content)\s*\|\s*safe\b"), "`|safe`: only what fedmatch/web sanitised is safe"),
    (re.compile(r"""(?:src|href)\s*=\s*["']https?://""", re.IGNORECASE), "an address of another server: pages load nothing from elsewhere"),
    (re.compile(r"\b(?:margin|padding|border)-(?:left|right)\b|\btext-align:\s*(?:left|right)\b"), "a physical side: write margin-inline-start"),
)


def faults(path: Path) -> list[str]:
    """What is wrong with one template or style sheet, a line each."""
    text = path.read_text(encoding="utf-8")
    name = path.relative_to(ROOT)
    found = [f"{name}:{number}: {why}" for number, line in enumerate(text.splitlines(), 1) for pattern, why in FAULTS if pattern.search(line)]
    if path.suffix != ".css":
        try:
            Environment(autoescape=True, extensions=["jinja2.ext.i18n"]).parse(text)
        except TemplateSyntaxError as error:
            found.append(f"{name}:{error.lineno}: {error.message}")
    return found


def main() -> int:
    """Checks all templates and style sheets of the product; the exit code."""
    web = ROOT / "fedmatch" / "web"
    files = sorted(path for folder in ("templates", "static") for path in (web / folder).rglob("*") if path.suffix in {".html", ".css", ".xml", ".txt"})
    found = [line for path in files for line in faults(path)]
    print("\n".join(found) if found else f"Templates: {len(files)} files, no faults.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
