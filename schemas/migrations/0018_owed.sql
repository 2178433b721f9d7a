-- Whether the server of somebody elsewhere asks that what they say to everybody (hides_public) or unlisted (hides_unlisted) is shown only to whoever is somebody
-- here (GoToSocial). What a document does not say is: public ones are shown, unlisted ones are not.
alter table actor add column hides_public integer not null default 0 check (hides_public in (0, 1));
alter table actor add column hides_unlisted integer not null default 0 check (hides_unlisted in (0, 1));
update actor
set hides_unlisted = 1
where local = 0;

-- What is still to be said to a server to which nothing may be said now: that something it may hold was deleted, or closed. It hears it when it is trusted or
-- allowed again. What it is, and whose, rests sealed; mark: a keyed hash of what it is about, so that the last word replaces the one before.
create table owed (
  id integer primary key,
  host_id integer not null references host (id) on delete cascade,
  mark blob not null,
  sealed blob not null,
  until integer not null,
  unique (host_id, mark)
) strict;
create index owed_until on owed (until);

-- No row says when something was written or narrowed, but for the hour.
update listing_copy
set sent_at = sent_at / 3600000 * 3600000;
update listing_copy
set ended_at = (ended_at + 3599999) / 3600000 * 3600000
where ended_at is not null
  and told = 1;
