-- The numbers of limits_1.sql are the operator's from here on; what a key's owner sets is apart from
-- them, and the stricter holds. NULL where its owner has set none.
ALTER TABLE api_key ADD COLUMN owner_requests_per_minute INTEGER
    CHECK (owner_requests_per_minute > 0);
ALTER TABLE api_key ADD COLUMN owner_tokens_per_minute INTEGER CHECK (owner_tokens_per_minute > 0);
ALTER TABLE api_key ADD COLUMN owner_streams_max INTEGER CHECK (owner_streams_max > 0);
-- Where the operator had set none, all were the owner's. Where he had, nobody knows whose each one is:
-- it stays the operator's, so that no owner lifts what he never set. `limits_granted` is read no more;
-- it stays, for SQLite before 3.35 cannot drop a column.
UPDATE api_key SET
    owner_requests_per_minute = NULLIF(requests_per_minute, 0),
    owner_tokens_per_minute = NULLIF(tokens_per_minute, 0),
    owner_streams_max = NULLIF(streams_max, 0),
    requests_per_minute = NULL,
    tokens_per_minute = NULL,
    streams_max = NULL
    WHERE limits_granted = 0;
