"""What things look like: nouns, activities, events, lives, tables, contexts, the taxonomy, the shape of instance.toml."""
