-- Credit on paper. A code is shown once; only its hash is kept.
CREATE TABLE voucher (
    code_hash    BLOB    NOT NULL PRIMARY KEY CHECK (length(code_hash) = 32),
    -- Names it in lists and in the ledger.
    voucher_id   TEXT    NOT NULL UNIQUE,
    batch        TEXT    NOT NULL,
    amount_nanos INTEGER NOT NULL CHECK (amount_nanos > 0),
    created_ms   INTEGER NOT NULL,
    expires_ms   INTEGER,
    redeemed_ms  INTEGER,
    account_id   TEXT
) WITHOUT ROWID;

CREATE INDEX voucher_batch ON voucher (batch, voucher_id);
