-- What a listing is about as a model has it: a row of small whole numbers and what to divide them by. It goes with the text, and when the text changes.

-- mark tells whether title and text are still those it was made from: SHA-256 of a public one, a keyed hash of any other. Of a public one language, scale and
-- numbers stand open (packed); of any other they rest sealed. change counts up, so that memory knows what to read again (generation 'vectors').
create table vector (
  post_id integer primary key references listing (post_id) on delete cascade,
  model text not null,
  mark blob not null,
  language text,
  scale real,
  packed blob,
  sealed blob,
  change integer not null,
  check ((packed is null) <> (sealed is null)),
  check (packed is null or scale is not null)
) strict;
create index vector_change on vector (change);
