-- Where an account wants to be told what becomes of its credit, what was told, and how that went.
--
-- Rows are locked in this order: the account, its thresholds or its webhooks, deliveries.

-- `sealed` is the secret that messages are signed with, encrypted; `former_sealed` signs beside it until `former_until`.
-- A webhook that was stopped gets nothing: by its holder, by its receiver (410 Gone), or because nothing arrived.
CREATE TABLE webhooks (
    id            bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account       bigint      NOT NULL REFERENCES accounts (id),
    url           text        NOT NULL,
    events        text[]      NOT NULL,
    sealed        bytea       NOT NULL,
    former_sealed bytea,
    former_until  timestamptz,
    stopped_at    timestamptz,
    stopped_by    text        CHECK (stopped_by IN ('holder', 'gone', 'failing')),
    succeeded_at  timestamptz,
    failing_since timestamptz,
    created_at    timestamptz NOT NULL DEFAULT now(),
    CHECK ((stopped_at IS NULL) = (stopped_by IS NULL))
) WITH (fillfactor = 70);

CREATE INDEX webhooks_by_account ON webhooks (account);

-- `armed` says that what the account has (available and held) was at least `amount`, in micro-credits, when it was last
-- looked at. Falling below it is told once, with the change from armed to not; both are decided under the lock of the
-- account's row. `event` is what is told; of `balance.exhausted` an account has one, whose amount is the lowest price.
CREATE TABLE webhook_thresholds (
    account bigint  NOT NULL REFERENCES accounts (id),
    event   text    NOT NULL CHECK (event IN ('balance.low', 'balance.exhausted')),
    amount  bigint  NOT NULL CHECK (amount > 0),
    armed   boolean NOT NULL,
    PRIMARY KEY (account, event, amount)
);

-- One message on its way to one webhook; webhooks of one account get the same message. `next_at` is when it is tried
-- next, NULL when it is over; while a process tries (`claim` is set), it is when others may believe that process dead.
CREATE TABLE webhook_deliveries (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    webhook      bigint      NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    message      uuid        NOT NULL,
    event        text        NOT NULL,
    data         json        NOT NULL,
    happened_at  timestamptz NOT NULL DEFAULT now(),
    state        text        NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'failed')),
    next_at      timestamptz DEFAULT now(),
    claim        uuid,
    attempts     integer     NOT NULL DEFAULT 0,
    attempted_at timestamptz,
    status       smallint,
    milliseconds integer,
    error        text,
    CHECK ((state = 'waiting') = (next_at IS NOT NULL)),
    CHECK (claim IS NULL OR state = 'waiting')
) WITH (fillfactor = 70);

CREATE INDEX webhook_deliveries_due ON webhook_deliveries (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX webhook_deliveries_by_webhook ON webhook_deliveries (webhook, id DESC);
CREATE INDEX webhook_deliveries_by_age ON webhook_deliveries (happened_at);

-- One row: lets one process look at the thresholds where there are many.
CREATE TABLE webhook_looks (
    one       boolean     PRIMARY KEY DEFAULT true CHECK (one),
    looked_at timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 50);

INSERT INTO webhook_looks DEFAULT VALUES;
