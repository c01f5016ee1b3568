-- What a caller is promised beyond the single call: a repeated key does not pay twice, and a key spends no more than
-- its cap. Both are decided in the batch that holds the credit, under the lock of the account's row.

ALTER TABLE charges ADD COLUMN idempotency_key text;

-- `charge` is the latest attempt, whose state tells what the key means now: open, refunded (as if it had never been)
-- or captured. `paid` is the captured charge that a free re-run repeats. `digest` is the SHA-256 of target and body,
-- NULL where the worker answered before it had read all of it. `delivered` is NULL while the answer is on its way.
CREATE TABLE idempotency_keys (
    account    bigint      NOT NULL,
    name       text        NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
    route      text        NOT NULL,
    charge     uuid        NOT NULL,
    paid       uuid,
    digest     bytea,
    delivered  boolean,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (account, name)
) WITH (fillfactor = 70);

CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

-- A free re-run holds nothing, and is a charge all the same: it has an owner, a deadline, and one settlement.
ALTER TABLE charges DROP CONSTRAINT charges_held_check;
ALTER TABLE charges ADD CONSTRAINT charges_held_check CHECK (held >= 0);

-- What a key may spend, in micro-credits by day and by month (UTC), and what it holds and spent in the current ones.
CREATE TABLE caps (
    key        bigint PRIMARY KEY REFERENCES keys (id),
    day_max    bigint CHECK (day_max >= 0),
    month_max  bigint CHECK (month_max >= 0),
    day        date   NOT NULL,
    day_used   bigint NOT NULL,
    month      date   NOT NULL,
    month_used bigint NOT NULL
) WITH (fillfactor = 50);
