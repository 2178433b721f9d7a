-- Listings that are to be matched, each once; worked off by one job, so that a thousand that arrive at once stall nothing else.

-- asked counts up with every reason to match it, so that none that comes while it is at work is lost. wide: those it fits are to be matched anew too.
create table match_waiting (
  post_id integer primary key references listing (post_id) on delete cascade,
  asked integer not null,
  tries integer not null default 0,
  wide integer not null check (wide in (0, 1))
) strict;
create index match_waiting_order on match_waiting (tries, post_id);
