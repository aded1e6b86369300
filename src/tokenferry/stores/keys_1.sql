-- API keys. Rows are never deleted: a public id that is seen in an old log keeps its meaning.
CREATE TABLE api_key (
    public_id     TEXT    NOT NULL PRIMARY KEY,
    name          TEXT    NOT NULL,
    secret_hash   BLOB    NOT NULL CHECK (length(secret_hash) = 32),
    created_at_ms INTEGER NOT NULL,
    revoked_at_ms INTEGER,
    -- The number of the last write to this row; writes are counted over the whole table.
    version       INTEGER NOT NULL
) WITHOUT ROWID;

-- The newest version of the table, and what was written after a given one.
CREATE UNIQUE INDEX api_key_version ON api_key (version);
