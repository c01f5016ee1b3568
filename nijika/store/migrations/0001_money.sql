-- Amounts are whole micro-credits. Every balance can be recomputed from the journal.

CREATE TABLE accounts (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    available    bigint NOT NULL DEFAULT 0 CHECK (available >= 0),
    held         bigint NOT NULL DEFAULT 0 CHECK (held >= 0),
    granted      bigint NOT NULL DEFAULT 0 CHECK (granted >= 0),
    spent        bigint NOT NULL DEFAULT 0 CHECK (spent >= 0),
    suspended_at timestamptz,
    created_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT conservation CHECK (available + held + spent = granted)
) WITH (fillfactor = 50);  -- room for updates in place: balances change all the time

-- A charge's id is its request's id: a UUIDv7, so that ranges of ids are months and the key may be the id alone.
-- No foreign keys here: their triggers cost more than the rows; `nijika ledger verify` looks instead.
CREATE TABLE charges (
    id         uuid        NOT NULL PRIMARY KEY,
    account    bigint      NOT NULL,
    key        bigint      NOT NULL,
    route      text        NOT NULL,
    held       bigint      NOT NULL CHECK (held > 0),
    captured   bigint      NOT NULL DEFAULT 0 CHECK (captured >= 0 AND captured <= held),
    state      text        NOT NULL DEFAULT 'held' CHECK (state IN ('held', 'captured', 'refunded')),
    owner      uuid        NOT NULL,
    deadline   timestamptz NOT NULL,
    status     smallint,
    reason     text,
    opened_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    settled_at timestamptz,
    CHECK ((state = 'held') = (settled_at IS NULL)),
    CHECK (state = 'captured' OR captured = 0)
) PARTITION BY RANGE (id);

CREATE INDEX charges_by_account ON charges (account, id DESC);

-- Append-only. A charge has one opening (step 0: hold) and at most one settlement (step 1: capture or refund);
-- a grant is an opening of its own. The primary key is what makes a second settlement impossible.
CREATE TABLE journal (
    id        uuid        NOT NULL,
    step      smallint    NOT NULL,
    kind      text        NOT NULL,
    account   bigint      NOT NULL,
    available bigint      NOT NULL,
    held      bigint      NOT NULL,
    granted   bigint      NOT NULL,
    spent     bigint      NOT NULL,
    reason    text,
    at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (id, step),
    CHECK ((step = 0 AND kind IN ('grant', 'hold')) OR (step = 1 AND kind IN ('capture', 'refund'))),
    CHECK (available + held + spent = granted)
) PARTITION BY RANGE (id);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the journal is append-only';
END $$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON journal FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER never_emptied BEFORE TRUNCATE ON journal FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The smallest UUIDv7 of a moment: 48 bits of milliseconds, the rest zero.
CREATE FUNCTION uuid_floor(moment timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT rpad(lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0'), 32, '0')::uuid
$$;

-- Partitions for the month of `first` and the `months` after it; those that exist stay as they are.
CREATE FUNCTION make_partitions(first timestamptz, months int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    month timestamp := date_trunc('month', first AT TIME ZONE 'UTC');
    parent text;
BEGIN
    FOR i IN 0..months LOOP
        FOREACH parent IN ARRAY ARRAY['charges', 'journal'] LOOP
            BEGIN
                EXECUTE format(
                    'CREATE TABLE IF NOT EXISTS %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
                    parent || to_char(month, '_YYYY_MM'), parent,
                    uuid_floor(month AT TIME ZONE 'UTC'), uuid_floor((month + interval '1 month') AT TIME ZONE 'UTC')
                );
            EXCEPTION WHEN check_violation THEN
                -- Rows of this month are in the default partition already; there it stays.
                RAISE WARNING '% keeps the month % in its default partition', parent, to_char(month, 'YYYY-MM');
            END;
        END LOOP;
        month := month + interval '1 month';
    END LOOP;
END $$;

-- An id from a clock that is far off must not stop the money.
CREATE TABLE charges_other PARTITION OF charges DEFAULT;
CREATE TABLE journal_other PARTITION OF journal DEFAULT;

SELECT make_partitions(now(), 3);
