-- The request log: a file of its own, so that its writes never hold up those of money and keys.

-- One finished request. What is in a charge has the charge's names.
CREATE TABLE request (
    stream_id          TEXT    NOT NULL PRIMARY KEY,
    account_id         TEXT    NOT NULL,
    key_id             TEXT    NOT NULL,
    model              TEXT    NOT NULL,
    provider           TEXT    NOT NULL,
    provider_model     TEXT    NOT NULL,
    created_ms         INTEGER NOT NULL,
    ended_ms           INTEGER NOT NULL,
    prompt_tokens      INTEGER NOT NULL,
    cached_tokens      INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL,
    completion_tokens  INTEGER NOT NULL,
    reasoning_tokens   INTEGER NOT NULL,
    estimated          INTEGER NOT NULL,
    -- A copy, nano-dollars: what counts is in the books.
    cost_nanos         INTEGER,
    list_nanos         INTEGER,
    cache_saved_nanos  INTEGER NOT NULL,
    finish             TEXT    NOT NULL,
    error_code         TEXT,
    attempts           INTEGER NOT NULL,
    first_token_ms     INTEGER,
    duration_ms        INTEGER NOT NULL,
    tries              TEXT    NOT NULL,
    -- Whether the books have it: not if it was refused before it began.
    is_charged         INTEGER NOT NULL CHECK (is_charged IN (0, 1)),
    transport          TEXT    NOT NULL,
    request_id         TEXT    NOT NULL,
    ended_by           TEXT    NOT NULL,
    chunks             INTEGER NOT NULL,
    -- NULL where nobody has counted.
    queued_ms          INTEGER,
    drops              INTEGER,
    resumes            INTEGER
);

-- What has expired.
CREATE INDEX request_ended ON request (ended_ms);

-- What the books do not have, of one account and of all.
CREATE INDEX request_refused_account
    ON request (account_id, ended_ms, stream_id) WHERE is_charged = 0;
CREATE INDEX request_refused ON request (ended_ms, stream_id) WHERE is_charged = 0;

-- Prompts and answers, where the operator keeps them.
CREATE TABLE request_content (
    stream_id TEXT    NOT NULL PRIMARY KEY,
    ended_ms  INTEGER NOT NULL,
    prompt    TEXT    NOT NULL,
    answer    TEXT    NOT NULL,
    is_cut    INTEGER NOT NULL CHECK (is_cut IN (0, 1))
);

CREATE INDEX request_content_ended ON request_content (ended_ms);

-- For the status page; kept when the requests are gone. Hours and days since 1970, UTC.
CREATE TABLE model_hour (
    hour   INTEGER NOT NULL,
    model  TEXT    NOT NULL,
    served INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    PRIMARY KEY (hour, model)
) WITHOUT ROWID;

-- Times to the first token, in buckets.
CREATE TABLE model_day_first_token (
    day    INTEGER NOT NULL,
    model  TEXT    NOT NULL,
    bucket INTEGER NOT NULL,
    count  INTEGER NOT NULL,
    PRIMARY KEY (day, model, bucket)
) WITHOUT ROWID;
