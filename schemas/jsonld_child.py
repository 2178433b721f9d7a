"""What does a document say in full IRIs? The half of schemas/jsonld.py that meets foreign contexts: a process poor in memory and time, killed at will.

Run as a file (`python -I jsonld_child.py`), so it imports nothing of ours: a line "ready", then one JSON request in, one JSON answer out.
"""

import json
import resource
import sys
from pathlib import Path
from typing import Any

from pyld import jsonld

MEMORY = 256 * 1024 * 1024
MOST_ANSWER = 4 * 1024 * 1024

CONTEXTS = {
    "https://www.w3.org/ns/activitystreams": "activitystreams.jsonld",
    "http://www.w3.org/ns/activitystreams": "activitystreams.jsonld",
    "https://w3id.org/security/v1": "security-v1.jsonld",
    "https://w3id.org/security/multikey/v1": "multikey-v1.jsonld",
    "https://w3id.org/security/data-integrity/v1": "data-integrity.jsonld",
    "https://w3id.org/security/data-integrity/v2": "data-integrity.jsonld",
    "https://purl.archive.org/socialweb/webfinger": "webfinger.jsonld",
}
"""Every context there is. The documents are ours: the terms that are written or read, not the whole vocabularies."""


def load(url: str, _options: dict[str, Any]) -> dict[str, Any]:
    """The bundled context of that address; JsonLdError for every other: no context is ever fetched."""
    name = CONTEXTS.get(url)
    if name is None:
        raise jsonld.JsonLdError("a context that is not bundled", "jsonld.LoadDocumentError", code="loading remote context failed")
    text = (Path(__file__).parent / "contexts" / name).read_text(encoding="utf-8")
    return {"contentType": "application/ld+json", "contextUrl": None, "documentUrl": url, "document": json.loads(text)}


def answer(request: dict[str, Any]) -> Any:
    """The expansion of `document`, or with a `context` its compaction to the terms of that."""
    options = {"documentLoader": load, "processingMode": "json-ld-1.1", "base": None}
    expanded = jsonld.expand(request["document"], options)
    return jsonld.compact(expanded, request["context"], options) if request.get("context") else expanded


def main() -> None:
    """One request from standard input, one answer to standard output."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    try:
        text = json.dumps({"answer": answer(json.load(sys.stdin))})
    except (jsonld.JsonLdError, ValueError, TypeError, KeyError, AttributeError, RecursionError, MemoryError) as error:
        text = json.dumps({"error": type(error).__name__})   # PyLD's own sentences repeat the document
    sys.stdout.write(text if len(text) <= MOST_ANSWER else json.dumps({"error": "TooLarge"}))


if __name__ == "__main__":
    main()
