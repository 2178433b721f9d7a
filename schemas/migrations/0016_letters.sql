-- What we wrote to one person elsewhere, for as long as their server may ask for it again. `hash` is a keyed hash of its id (as in response_name); `until` is the
-- whole hour in which it left, and 30 days.
create table letter (
  hash blob primary key,
  sealed blob not null,
  until integer not null
) strict;
create index letter_until on letter (until);
