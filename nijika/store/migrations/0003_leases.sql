-- Charges are leased to the process that opened them, not to the clock: a job of an hour stays open while its gateway
-- lives, and whatever a dead gateway left open is given back.

CREATE TABLE instances (
    id            uuid             PRIMARY KEY,
    host          text             NOT NULL,
    pid           integer          NOT NULL,
    lease_seconds double precision NOT NULL CHECK (lease_seconds > 0),
    started_at    timestamptz      NOT NULL DEFAULT clock_timestamp(),
    beat_at       timestamptz      NOT NULL DEFAULT clock_timestamp(),
    dead_at       timestamptz
) WITH (fillfactor = 50);

-- One row: no open charge has an id below `floor`, so that the sweeper does not read all of history;
-- `swept_at` lets one process sweep where there are many.
CREATE TABLE sweeps (
    one      boolean     PRIMARY KEY DEFAULT true CHECK (one),
    floor    uuid        NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    swept_at timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 50);

INSERT INTO sweeps DEFAULT VALUES;
