"""The pages: HTML first, no script, from right to left where the language runs so."""
