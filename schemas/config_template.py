"""What does a new `instance.toml` say? Every key with a word on it, so that whoever opens it needs no other page."""

from typing import Final
from urllib.parse import urlsplit


def template(host: str, base_url: str, development: bool) -> str:
    """The complete, commented text of an `instance.toml`, with every key; `load` reads it back.

    `host` may carry a port in development. Development allows loopback and plain http, and keeps the vault's key in a file.
    """
    port = urlsplit(base_url).port or 8000
    filled = _TEMPLATE
    values = {
        "HOST": host,
        "BASE_URL": base_url,
        "BIND": f"127.0.0.1:{port if development else 8000}",
        "VAULT": "file" if development else "passphrase",
        "REVIEW": "nothing" if development else "everything",
        "PER_MINUTE": "600000" if development else "6000",
        "DEVELOPMENT": _DEVELOPMENT if development else _NO_DEVELOPMENT,
    }
    for name, value in values.items():
        filled = filled.replace(f"@{name}@", value)
    return filled


_TEMPLATE: Final = '''\
# fedmatch: everything the operator of this instance decides. Every key is here; what you remove takes the default.
# An unknown key, a wrong type or a missing value stops the start and says which line.

# The name behind the @ of every handle, for ever. Lower-case; a port only in development. No default.
host = "@HOST@"

# Where people and other servers reach us: scheme and host, nothing behind, for ever. No default.
base_url = "@BASE_URL@"

# What the instance is called. Default "fedmatch".
name = "fedmatch"

# Who runs it and for whom, in one or two sentences; shown to everybody. Default "".
description = ""

# How a stranger reaches its people: an e-mail address or a page; shown to everybody. Default "".
contact = ""

# The folder of everything that must be kept, relative to this file. Default "data".
folder = "data"

[database]
# "sqlite" keeps all in the folder above; "postgresql://user@host/name" is for several machines. Default "sqlite".
url = "sqlite"

[server]
# The address and port to listen on; a TLS proxy stands in front. Default "127.0.0.1:8000".
bind = "@BIND@"
# "hypercorn", or "uvicorn" from the extra `speed`. Default "hypercorn".
software = "hypercorn"
# Addresses or networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed. Default none.
trusted_proxies = []

[vault]
# Where the key to all private text comes from: "passphrase" (asked at the start, or by `fedmatch unlock`),
# "credential" (systemd-creds, TPM) or "file" (development: who takes the disk reads everything). Default "passphrase".
source = "@VAULT@"
# With "file": the file of the key, relative to the folder above. Default "vault.key".
file = "vault.key"
# With "credential": its name in $CREDENTIALS_DIRECTORY. Default "fedmatch-vault".
credential = "fedmatch-vault"

[federation]
# "open" (everybody but the blocked), "approve" (strangers wait for an admin) or "allowlist" (strangers get nothing). Default "open".
mode = "open"
# Whether documents are served to signed requests only. Default false.
signed_only = false
# How many deliveries are in flight at once, to all hosts together; 1 to 1000. Default 64.
deliveries_at_once = 64
# How many deliveries are in flight at once to one host; 1 to 50. Default 2.
per_host = 2
# For how many days an unreachable host is tried again; 1 to 365. Default 30.
retry_days = 30
# How many fetches one arrival may cause; 1 to 1000. Default 100.
fetch_budget = 100

[board]
# Whether a person here looks at a request or an offer before others see it: "everything", "newcomers" (of whom nobody let anything
# pass yet) or "nothing". Default "everything", in development "nothing".
review = "@REVIEW@"

[backup]
# Where what is deleted is noted, as hashes that say nothing, so that no restore brings it back; relative to the folder above. Best on
# another disk: with it an old backup stays without what was deleted since, even when this disk is lost. Default "ledger".
ledger = "ledger"

[matching]
# "auto" asks the model of the extra `semantic` where it is installed; "base" never does. Default "auto".
engine = "auto"
# How much each part of a score counts, 0 to 10; the defaults are measured (docs/matching.md).
# Skills and fields of help in common. Default 1.0.
tags = 1.0
# Words alike, letter by letter. Default 1.0.
words = 1.0
# What both texts seem to be about, by cue words in ten languages. Default 0.75.
themes = 0.75
# Meaning alike, as the model of the extra `semantic` has it. Default 0.5.
likeness = 0.5
# The same, with what is only its language taken out. Default 0.5.
likeness_centred = 0.5
# A language both speak. Default 0.3.
language = 0.3
# No language in common; it is taken off. Default 0.1.
interpreter = 0.1
# A country in common. Default 0.1.
region = 0.1
# A vouch that counts here. Default 0.3.
vouched = 0.3
# New; it fades over a month. Default 0.1.
fresh = 0.1
# How often the same helper was suggested of late; it is taken off. Default 0.8.
exposure = 0.8

[limits]
# The largest body that is read, in bytes; 65536 to 16777216. Default 1048576 (1 MiB).
body = 1048576
# How long a request may take to arrive, in seconds; 1 to 600. Default 30.
request_seconds = 30
# How many activities one host may post in a minute; more get 429 and come again. Default 6000.
inbox_per_host_per_minute = @PER_MINUTE@

[log]
# "debug", "info", "warning" or "error". Default "info".
level = "info"
# "text" for people, "json" for machines. Default "text".
format = "text"

[terms]
# What other instances read before they trust this one, in your own words; anybody may read it. Each default "".
# Who gets an account here, and how.
registration = ""
# Who looks at what, before it is published.
review = ""
# Who may read what trusted instances send us.
readers = ""
# How long what is closed or finished is kept.
retention = ""
# Under which laws the machine and its operators are: countries by their two letters (ISO 3166), as in ["DE", "SE"]. Default none,
# and then no request that excludes any country comes here.
jurisdiction = []

@DEVELOPMENT@'''

_DEVELOPMENT: Final = '''\
# On a developer's machine only; refused together with a public host name, and loud in the log.
[development]
# Networks that are not public and may be reached all the same. Default none.
allow_networks = ["127.0.0.0/8", "::1/128"]
# Whether other servers may be reached, and our ids written, over plain http. Default false.
plain_http = true
'''

_NO_DEVELOPMENT: Final = '''\
# On a developer's machine only; refused together with a public host name, and loud in the log.
# [development]
# Networks that are not public and may be reached all the same. Default none.
# allow_networks = ["127.0.0.0/8", "::1/128"]
# Whether other servers may be reached, and our ids written, over plain http. Default false.
# plain_http = true
'''
