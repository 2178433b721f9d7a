-- The time that was given to what was said last of a copy of a listing: whole hours, and the seconds that keep what is said in order.
alter table listing_copy add column said_at integer not null default 0;
update listing_copy
set said_at = coalesce(ended_at, sent_at) + 3600000;
