-- The operator's own prices. They win over those that Tokenferry brings along.
CREATE TABLE price (
    -- A provider's own name for a model, or `provider/model` for one provider's alone.
    model         TEXT    NOT NULL,
    -- From when it holds, Unix time; the latest that has begun counts.
    valid_from_ms INTEGER NOT NULL,
    -- JSON: see domain/price_form.py.
    terms         TEXT    NOT NULL,
    source        TEXT    NOT NULL,
    written_ms    INTEGER NOT NULL,
    PRIMARY KEY (model, valid_from_ms)
) WITHOUT ROWID;
