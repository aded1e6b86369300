-- The latest charges of all accounts, for administrators.
CREATE INDEX charge_ended ON charge (ended_ms);
