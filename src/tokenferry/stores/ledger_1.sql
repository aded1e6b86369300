-- The books. Amounts are nano-dollars (1e-9 USD). Every transfer debits one book and credits
-- another, so that all books together are always zero.

-- A balance is credits - debits; it is kept for speed, and can be computed from the transfers.
-- `account:ID` is what the gateway owes to an account.
CREATE TABLE ledger_book (
    book          TEXT    NOT NULL PRIMARY KEY,
    debits_nanos  INTEGER NOT NULL DEFAULT 0 CHECK (debits_nanos >= 0),
    credits_nanos INTEGER NOT NULL DEFAULT 0 CHECK (credits_nanos >= 0),
    -- The sum of the open reservations.
    held_nanos    INTEGER NOT NULL DEFAULT 0 CHECK (held_nanos >= 0),
    -- Whether it may be overdrawn: the gateway's own books, and the operator's account.
    overdraft     INTEGER NOT NULL DEFAULT 0 CHECK (overdraft IN (0, 1)),
    CHECK (overdraft OR credits_nanos - debits_nanos - held_nanos >= 0)
) WITHOUT ROWID;

INSERT INTO ledger_book (book, overdraft) VALUES ('account:operator', 1);

CREATE TABLE ledger_transfer (
    transfer_id  INTEGER NOT NULL PRIMARY KEY,
    kind         TEXT    NOT NULL,
    -- What it was for: a stream, a voucher, a provider's payment. Each is booked once a kind.
    reference    TEXT    NOT NULL,
    debit        TEXT    NOT NULL,
    credit       TEXT    NOT NULL CHECK (credit <> debit),
    amount_nanos INTEGER NOT NULL CHECK (amount_nanos > 0),
    -- For people: a reason, a rate.
    note         TEXT    NOT NULL DEFAULT '',
    created_ms   INTEGER NOT NULL,
    UNIQUE (kind, reference)
);

CREATE INDEX ledger_transfer_debit ON ledger_transfer (debit, transfer_id);
CREATE INDEX ledger_transfer_credit ON ledger_transfer (credit, transfer_id);

CREATE TRIGGER ledger_transfer_append_only_1 BEFORE UPDATE ON ledger_transfer
    BEGIN SELECT RAISE(ABORT, 'transfers are never changed'); END;
CREATE TRIGGER ledger_transfer_append_only_2 BEFORE DELETE ON ledger_transfer
    BEGIN SELECT RAISE(ABORT, 'transfers are never deleted'); END;

-- What a running stream may cost at most. It is open until it is posted, voided or expired, once.
CREATE TABLE ledger_reservation (
    stream_id    TEXT    NOT NULL PRIMARY KEY,
    account_id   TEXT    NOT NULL,
    key_id       TEXT    NOT NULL,
    -- The calendar month, UTC, as 202611: whose budget it holds a part of.
    month        INTEGER NOT NULL,
    amount_nanos INTEGER NOT NULL CHECK (amount_nanos >= 0),
    created_ms   INTEGER NOT NULL,
    state        TEXT    NOT NULL DEFAULT 'open'
                 CHECK (state IN ('open', 'posted', 'voided', 'expired'))
) WITHOUT ROWID;

CREATE INDEX ledger_reservation_open ON ledger_reservation (account_id) WHERE state = 'open';

CREATE TRIGGER ledger_reservation_once BEFORE UPDATE ON ledger_reservation
    WHEN old.state <> 'open' OR new.amount_nanos <> old.amount_nanos
    BEGIN SELECT RAISE(ABORT, 'a reservation ends once'); END;

-- What a key has spent and holds in a month.
CREATE TABLE key_month (
    key_id      TEXT    NOT NULL,
    month       INTEGER NOT NULL,
    spent_nanos INTEGER NOT NULL DEFAULT 0 CHECK (spent_nanos >= 0),
    held_nanos  INTEGER NOT NULL DEFAULT 0 CHECK (held_nanos >= 0),
    PRIMARY KEY (key_id, month)
) WITHOUT ROWID;

-- One row a stream that was settled: the itemised bill.
CREATE TABLE charge (
    stream_id          TEXT    NOT NULL PRIMARY KEY,
    account_id         TEXT    NOT NULL,
    key_id             TEXT    NOT NULL,
    -- What the client asked for, and who served it by which name.
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
    -- Whether we counted ourselves.
    estimated          INTEGER NOT NULL CHECK (estimated IN (0, 1)),
    -- What it costs; NULL where no price is known (the operator's own models).
    cost_nanos         INTEGER CHECK (cost_nanos >= 0),
    -- The part of it that no credit was left for.
    shortfall_nanos    INTEGER NOT NULL DEFAULT 0 CHECK (shortfall_nanos >= 0),
    -- The same at the provider's list price, and how much more that were without its cache.
    list_nanos         INTEGER CHECK (list_nanos >= 0),
    cache_saved_nanos  INTEGER NOT NULL DEFAULT 0,
    finish             TEXT    NOT NULL,
    error_code         TEXT,
    attempts           INTEGER NOT NULL,
    first_token_ms     INTEGER,
    duration_ms        INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX charge_account ON charge (account_id, ended_ms);
