-- The board on the web is looked through by the region of a need, newest first.
create index listing_region on listing (region, post_id) where region is not null;
