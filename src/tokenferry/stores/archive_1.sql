-- What is kept of streams that are done. The message goes first, the row later.
CREATE TABLE archived_stream (
    stream_id       TEXT    NOT NULL PRIMARY KEY,
    owner           TEXT    NOT NULL,
    idempotency_key TEXT,
    request_hash    BLOB,
    epoch           INTEGER NOT NULL,
    head            INTEGER NOT NULL,
    state           TEXT    NOT NULL CHECK (state IN ('done', 'error', 'cancelled')),
    finish_reason   TEXT,
    error           TEXT,
    message         TEXT,
    usage           TEXT,
    cost            TEXT,
    model           TEXT    NOT NULL,
    created_ms      INTEGER NOT NULL,
    ended_ms        INTEGER NOT NULL
);

-- The stream that an idempotency key stands for.
CREATE UNIQUE INDEX archived_stream_idempotency
    ON archived_stream (owner, idempotency_key) WHERE idempotency_key IS NOT NULL;

-- An owner's latest streams.
CREATE INDEX archived_stream_owner ON archived_stream (owner, ended_ms, stream_id);

-- What has expired: rows, and messages that are still there.
CREATE INDEX archived_stream_ended ON archived_stream (ended_ms);
CREATE INDEX archived_stream_message ON archived_stream (ended_ms) WHERE message IS NOT NULL;
