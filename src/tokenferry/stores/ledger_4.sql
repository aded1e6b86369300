-- When a key was last used, without a look at all charges.
CREATE INDEX charge_key ON charge (key_id, ended_ms);
