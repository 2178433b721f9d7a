-- What ended, until it stands in the ledger that is kept apart from this database; and what was used or deleted after the backup this database came from.

-- Triggers write it, whoever deletes; a process notes it in the ledger within a second and takes it away. id: their order. key: an id of ours or a URI.
create table ended (
  id integer primary key,
  noun text not null,
  key text not null,
  state text not null
) strict;

-- Keyed hashes of URIs that were given or deleted after the backup was taken: none is given again, none comes back. Empty where nothing was ever restored.
create table spent (
  mark blob primary key
) strict;
