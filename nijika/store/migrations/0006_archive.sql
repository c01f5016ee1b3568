-- Months that are over and settled can leave the tables: their sums stay here, and their partitions go to the schema
-- `archive`, where they can be dumped and dropped.

CREATE SCHEMA archive;

-- What an account used in an archived month, by day (UTC) and route.
CREATE TABLE usage_daily (
    account  bigint NOT NULL,
    day      date   NOT NULL,
    route    text   NOT NULL,
    captured bigint NOT NULL,
    refunded bigint NOT NULL,
    spent    bigint NOT NULL,
    PRIMARY KEY (account, day, route)
);

-- What the journal of an archived month did to an account: where a replay of the rest begins.
CREATE TABLE journal_monthly (
    account   bigint NOT NULL,
    month     date   NOT NULL,
    available bigint NOT NULL,
    granted   bigint NOT NULL,
    spent     bigint NOT NULL,
    PRIMARY KEY (account, month),
    CHECK (available + spent = granted)
);

CREATE FUNCTION refuse_archived() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'this month is being archived';
END $$;

-- As before, but one process at a time, and with room in each page so that a settlement does not move its charge.
CREATE OR REPLACE FUNCTION make_partitions(first timestamptz, months int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    month timestamp := date_trunc('month', first AT TIME ZONE 'UTC');
    parent text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('nijika partitions'));
    FOR i IN 0..months LOOP
        FOREACH parent IN ARRAY ARRAY['charges', 'journal'] LOOP
            CONTINUE WHEN to_regclass(parent || to_char(month, '_YYYY_MM')) IS NOT NULL;
            BEGIN
                EXECUTE format(
                    'CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L) WITH (fillfactor = %s)',
                    parent || to_char(month, '_YYYY_MM'), parent,
                    uuid_floor(month AT TIME ZONE 'UTC'), uuid_floor((month + interval '1 month') AT TIME ZONE 'UTC'),
                    CASE parent WHEN 'charges' THEN 70 ELSE 100 END
                );
            EXCEPTION WHEN check_violation THEN
                -- Rows of this month are in the default partition already; there it stays.
                RAISE WARNING '% keeps the month % in its default partition', parent, to_char(month, 'YYYY-MM');
            END;
        END LOOP;
        month := month + interval '1 month';
    END LOOP;
END $$;

DO $$
DECLARE
    part regclass;
BEGIN
    FOR part IN SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'charges'::regclass LOOP
        EXECUTE format('ALTER TABLE %s SET (fillfactor = 70)', part);
    END LOOP;
END $$;
