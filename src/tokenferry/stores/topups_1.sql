-- What somebody means to pay. It is written before anybody is sent to a payment provider.
CREATE TABLE topup_order (
    order_id      TEXT    NOT NULL PRIMARY KEY,
    account_id    TEXT    NOT NULL,
    -- stripe, portone or toss: it is settled through this one only.
    provider      TEXT    NOT NULL,
    -- In the currency's own smallest unit: cents, won.
    amount_minor  INTEGER NOT NULL CHECK (amount_minor > 0),
    currency      TEXT    NOT NULL,
    -- What the account gets, frozen with the rate at which it was computed.
    credit_nanos  INTEGER NOT NULL CHECK (credit_nanos > 0),
    rate          TEXT    NOT NULL,
    rate_date     TEXT    NOT NULL,
    state         TEXT    NOT NULL CHECK (state IN (
                      'created', 'pending', 'paid', 'credited', 'refunded', 'charged_back',
                      'expired', 'failed', 'review')),
    -- The provider's own name for the payment, once it is known.
    payment_id    TEXT,
    -- What has been taken back of it, in the same unit.
    refunded_minor INTEGER NOT NULL DEFAULT 0 CHECK (refunded_minor >= 0),
    -- For people: why it failed, what is to be reviewed.
    note          TEXT    NOT NULL DEFAULT '',
    -- The provider's other facts that are needed later, JSON.
    facts         TEXT    NOT NULL DEFAULT '{}',
    created_ms    INTEGER NOT NULL,
    expires_ms    INTEGER NOT NULL,
    updated_ms    INTEGER NOT NULL
) WITHOUT ROWID;

CREATE UNIQUE INDEX topup_order_payment
    ON topup_order (provider, payment_id) WHERE payment_id IS NOT NULL;
CREATE INDEX topup_order_account ON topup_order (account_id, created_ms);
CREATE INDEX topup_order_state ON topup_order (state, updated_ms);

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
