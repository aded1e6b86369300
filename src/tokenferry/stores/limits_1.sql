-- What a key may have a minute and at a time; NULL where it has the gateway's own number, 0 for no
-- limit.
ALTER TABLE api_key ADD COLUMN requests_per_minute INTEGER CHECK (requests_per_minute >= 0);
ALTER TABLE api_key ADD COLUMN tokens_per_minute INTEGER CHECK (tokens_per_minute >= 0);
ALTER TABLE api_key ADD COLUMN streams_max INTEGER CHECK (streams_max >= 0);
-- Whether the operator set them, so that they may be more than other keys have.
ALTER TABLE api_key ADD COLUMN limits_granted INTEGER NOT NULL DEFAULT 0
    CHECK (limits_granted IN (0, 1));
-- Whether it may ask for the service tier `priority`; the operator's own keys always may.
ALTER TABLE api_key ADD COLUMN has_priority INTEGER NOT NULL DEFAULT 0
    CHECK (has_priority IN (0, 1));
