-- Whatever arrived while the last batch was under way is the next one: settlements and holds in one call, one commit.
--
-- The lock of an account's row covers everything of that account: its charges, idempotency keys and caps change in
-- here only. Accounts are locked in the order of their ids, so that two gateways never wait for each other in a circle.
-- Ids are made by the gateway, so a batch whose outcome is unknown is sent again: what was done is found, not redone.

-- Each hold by itself, in the order of arrival within its account: what does not fit is refused, and a smaller one
-- behind it is served. `locked` are the accounts whose rows this batch has; `amounts` is 0 for a free re-run.
--
-- Verdicts: held (new, or by an earlier try of the same id), settled (the id was settled since), short, capped,
-- in-flight, other-route, done, busy (somebody else has the account's row), unknown (no such account).
CREATE FUNCTION decide_holds(
    moment timestamptz, locked bigint[],
    h_id uuid[], h_account bigint[], h_key bigint[], h_amount bigint[], h_route text[], h_name text[],
    OUT verdicts text[], OUT amounts bigint[], OUT notes jsonb[], OUT is_new boolean[]
) LANGUAGE plpgsql AS $$
DECLARE
    today      CONSTANT date := (moment AT TIME ZONE 'UTC')::date;
    this_month CONSTANT date := date_trunc('month', moment AT TIME ZONE 'UTC')::date;
    hold      record;
    former    record;
    cap       caps;
    claimed   boolean;
    current   bigint := 0;
    remaining bigint;
    verdict   text;
BEGIN
    amounts := h_amount;
    verdicts := array_fill(NULL::text, ARRAY[cardinality(h_id)]);
    notes := array_fill(NULL::jsonb, ARRAY[cardinality(h_id)]);
    is_new := array_fill(false, ARRAY[cardinality(h_id)]);
    FOR hold IN
        SELECT * FROM unnest(h_id, h_account, h_key, h_amount, h_route, h_name)
                 WITH ORDINALITY AS h(id, account, key, amount, route, name, n)
         ORDER BY h.account, h.n
    LOOP
        IF hold.account <> current THEN
            current := hold.account;
            SELECT a.available INTO remaining FROM accounts a WHERE a.id = hold.account;
        END IF;
        IF remaining IS NULL THEN
            verdicts[hold.n] := 'unknown';
            CONTINUE;
        END IF;
        IF locked IS NOT NULL AND hold.account <> ALL (locked) THEN
            verdicts[hold.n] := 'busy';
            CONTINUE;
        END IF;

        SELECT c.state, c.held, i.paid, i.digest INTO former
          FROM charges c LEFT JOIN idempotency_keys i ON i.account = c.account AND i.charge = c.id AND i.name = hold.name
         WHERE c.id = hold.id;
        IF FOUND THEN
            verdicts[hold.n] := CASE former.state WHEN 'held' THEN 'held' ELSE 'settled' END;
            amounts[hold.n] := former.held;
            notes[hold.n] := CASE WHEN former.paid IS NOT NULL THEN
                jsonb_build_object('paid', former.paid, 'digest', encode(former.digest, 'hex')) END;
            CONTINUE;
        END IF;

        verdict := 'held';
        claimed := false;
        IF hold.name IS NOT NULL THEN
            -- A charge that is not there yet is one of this very batch; one that is not there any more is archived.
            SELECT i.*, coalesce(c.state, CASE WHEN i.created_at > moment - interval '24 hours' THEN 'held'
                                               ELSE 'refunded' END) AS state,
                   EXISTS (SELECT 1 FROM instances o WHERE o.id = c.owner AND o.dead_at IS NULL) AS has_owner
              INTO former
              FROM idempotency_keys i LEFT JOIN charges c ON c.id = i.charge
             WHERE i.account = hold.account AND i.name = hold.name;
            claimed := FOUND AND (former.state = 'held' OR former.created_at > moment - interval '24 hours')
                             AND NOT (former.state = 'refunded' AND former.paid IS NULL);
        END IF;
        IF claimed THEN
            verdict := CASE
                WHEN former.route <> hold.route THEN 'other-route'
                WHEN former.state = 'held' THEN 'in-flight'
                WHEN former.state = 'refunded' THEN 'held'  -- a re-run that failed does not count
                WHEN former.paid IS NOT NULL OR former.delivered THEN 'done'
                WHEN former.delivered IS NULL AND former.has_owner THEN 'in-flight'  -- its answer is on its way
                ELSE 'held' END;
            notes[hold.n] := jsonb_build_object(
                'paid', coalesce(former.paid, former.charge), 'digest', encode(former.digest, 'hex'));
            IF verdict = 'held' THEN
                amounts[hold.n] := 0;
            END IF;
        END IF;

        IF verdict = 'held' AND amounts[hold.n] > remaining THEN
            verdict := 'short';
        END IF;
        IF verdict = 'held' AND amounts[hold.n] > 0 THEN
            SELECT * INTO cap FROM caps WHERE key = hold.key;
            IF FOUND THEN
                IF cap.day <> today THEN
                    cap.day_used := 0;
                END IF;
                IF cap.month <> this_month THEN
                    cap.month_used := 0;
                END IF;
                IF cap.day_used + hold.amount > cap.day_max THEN
                    verdict := 'capped';
                    notes[hold.n] := jsonb_build_object('period', 'day', 'cap', cap.day_max, 'used', cap.day_used);
                ELSIF cap.month_used + hold.amount > cap.month_max THEN
                    verdict := 'capped';
                    notes[hold.n] := jsonb_build_object('period', 'month', 'cap', cap.month_max, 'used', cap.month_used);
                ELSE
                    UPDATE caps SET day = today, day_used = cap.day_used + hold.amount,
                                    month = this_month, month_used = cap.month_used + hold.amount
                     WHERE key = hold.key;
                END IF;
            END IF;
        END IF;
        IF verdict = 'held' THEN
            is_new[hold.n] := true;
            remaining := remaining - amounts[hold.n];
            IF amounts[hold.n] = 0 THEN
                -- The sweeper misses held credit that it does not find; here there is none to be missed.
                UPDATE sweeps SET floor = hold.id WHERE floor > hold.id;
            END IF;
            IF hold.name IS NOT NULL THEN
                INSERT INTO idempotency_keys AS i (account, name, route, charge, paid, digest, created_at)
                VALUES (hold.account, hold.name, hold.route, hold.id,
                        CASE WHEN claimed THEN coalesce(former.paid, former.charge) END,
                        CASE WHEN claimed THEN former.digest END,
                        CASE WHEN claimed THEN former.created_at ELSE moment END)
                ON CONFLICT (account, name) DO UPDATE
                   SET route = excluded.route, charge = excluded.charge, paid = excluded.paid,
                       digest = excluded.digest, created_at = excluded.created_at, delivered = NULL;
            END IF;
        END IF;
        verdicts[hold.n] := verdict;
    END LOOP;
END $$;

-- `owner` is the instance that asks; an SQLSTATE of NJ001 tells it that it was declared dead. Unless `patient`, rows
-- that somebody else has locked are left out, and what needs them comes back as busy.
-- s_: settlements; a captured of NULL refunds. h_: holds, each id once. d_: charges whose answer has arrived, or is lost.
-- Returns the balances of the accounts that changed (of all, where anything was out of the ordinary) and the
-- verdicts; NULL in their place means that all were settled, or that all are held.
CREATE FUNCTION apply_batch(
    owner uuid, patient boolean,
    s_id uuid[], s_account bigint[], s_captured bigint[], s_status smallint[], s_reason text[], s_digest bytea[],
    h_id uuid[], h_account bigint[], h_key bigint[], h_amount bigint[], h_route text[], h_seconds double precision[],
    h_name text[],
    d_id uuid[], d_account bigint[], d_name text[], d_arrived boolean[],
    OUT account_ids bigint[], OUT balances bigint[],
    OUT settle_verdicts text[], OUT hold_verdicts text[], OUT hold_amounts bigint[], OUT hold_notes jsonb[]
) LANGUAGE plpgsql
-- A plan made while tables are empty must not be kept for when they are large.
SET plan_cache_mode = force_generic_plan SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
SET lock_timeout = '250ms'
AS $$
DECLARE
    moment CONSTANT timestamptz := clock_timestamp();
    wanted CONSTANT bigint[] := s_account || h_account || d_account;
    is_late    boolean;
    locked     bigint[];
    t_account  bigint[];
    t_held     bigint[];
    t_captured bigint[];
    settled    bigint;
    is_plain   boolean;
    is_new     boolean[];
BEGIN
    SELECT beat_at < moment - lease_seconds / 6 * interval '1 second' INTO is_late
      FROM instances WHERE id = owner AND dead_at IS NULL;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'this instance was declared dead' USING ERRCODE = 'NJ001';
    END IF;
    IF is_late THEN
        -- Who commits is alive, whatever its heartbeat waits for.
        UPDATE instances SET beat_at = moment WHERE id = owner AND dead_at IS NULL;
    END IF;

    IF patient THEN
        PERFORM 1 FROM accounts WHERE id = ANY (wanted) ORDER BY id FOR NO KEY UPDATE;
    ELSE
        SELECT coalesce(array_agg(id), '{}') INTO locked
          FROM (SELECT id FROM accounts WHERE id = ANY (wanted) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED) a;
    END IF;

    IF cardinality(s_id) > 0 THEN
        WITH settled AS (
            UPDATE charges c
               SET state = CASE WHEN s.captured IS NULL THEN 'refunded' ELSE 'captured' END,
                   captured = coalesce(s.captured, 0), status = s.status, reason = s.reason, settled_at = moment
              FROM unnest(s_id, s_account, s_captured, s_status, s_reason, s_digest)
                   AS s(id, account, captured, status, reason, digest)
             WHERE c.id = s.id AND c.settled_at IS NULL AND c.account = s.account
               AND (locked IS NULL OR s.account = ANY (locked))
            RETURNING c.id, c.account, c.key, c.state, c.held, c.captured, c.reason, c.opened_at, c.idempotency_key,
                      s.digest),
        entries AS (
            INSERT INTO journal (id, step, kind, account, available, held, granted, spent, reason)
            SELECT s.id, 1, CASE s.state WHEN 'captured' THEN 'capture' ELSE 'refund' END,
                   s.account, s.held - s.captured, -s.held, 0, s.captured, s.reason
              FROM settled s),
        remembered AS (
            UPDATE idempotency_keys i SET digest = s.digest
              FROM settled s
             WHERE s.idempotency_key IS NOT NULL AND s.digest IS NOT NULL
               AND i.account = s.account AND i.name = s.idempotency_key AND i.charge = s.id),
        returned AS (
            SELECT s.key,
                   coalesce(sum(s.held - s.captured) FILTER (WHERE (s.opened_at AT TIME ZONE 'UTC')::date = k.day), 0) AS day,
                   coalesce(sum(s.held - s.captured) FILTER (
                       WHERE date_trunc('month', s.opened_at AT TIME ZONE 'UTC')::date = k.month), 0) AS month
              FROM settled s JOIN caps k ON k.key = s.key
             WHERE s.held > s.captured
             GROUP BY s.key),
        uncapped AS (
            UPDATE caps k SET day_used = k.day_used - r.day, month_used = k.month_used - r.month
              FROM returned r WHERE k.key = r.key)
        SELECT array_agg(t.account), array_agg(t.held), array_agg(t.captured), coalesce(sum(t.charges), 0)
          INTO t_account, t_held, t_captured, settled
          FROM (SELECT s.account, sum(s.held)::bigint AS held, sum(s.captured)::bigint AS captured, count(*) AS charges
                  FROM settled s GROUP BY s.account) t;
        IF settled < cardinality(s_id) THEN
            -- By an earlier try of the same, by somebody else, or never held.
            SELECT array_agg(CASE
                       WHEN c.state = CASE WHEN s.captured IS NULL THEN 'refunded' ELSE 'captured' END
                            AND c.captured = coalesce(s.captured, 0) THEN 'settled'
                       WHEN c.state <> 'held' THEN 'lost'
                       WHEN s.account <> ALL (locked)
                            AND EXISTS (SELECT 1 FROM accounts a WHERE a.id = s.account) THEN 'busy'
                       ELSE 'unknown' END ORDER BY s.n)
              INTO settle_verdicts
              FROM unnest(s_id, s_account, s_captured) WITH ORDINALITY AS s(id, account, captured, n)
              LEFT JOIN charges c ON c.id = s.id AND c.account = s.account;
        END IF;
    END IF;

    IF cardinality(d_id) > 0 THEN
        UPDATE idempotency_keys i SET delivered = d.arrived
          FROM unnest(d_id, d_account, d_name, d_arrived) AS d(id, account, name, arrived)
         WHERE i.account = d.account AND i.name = d.name AND i.charge = d.id
           AND (locked IS NULL OR d.account = ANY (locked));
    END IF;

    IF cardinality(h_id) > 0 THEN
        -- Ordinary holds need no look at each of them: they are new, and each account can pay for all of its own.
        SELECT locked IS NULL
               AND array_remove(h_name, NULL) = '{}'
               AND NOT EXISTS (SELECT 1 FROM caps WHERE key = ANY (h_key))
               AND NOT EXISTS (SELECT 1 FROM charges WHERE id = ANY (h_id))
               AND coalesce(bool_and(coalesce(a.available >= h.total, false)), true)
          INTO is_plain
          FROM (SELECT t.account, sum(t.amount) AS total FROM unnest(h_account, h_amount) AS t(account, amount)
                 GROUP BY t.account) h
          LEFT JOIN accounts a ON a.id = h.account;

        IF NOT is_plain THEN
            UPDATE accounts a SET available = a.available + t.held - t.captured, held = a.held - t.held,
                                  spent = a.spent + t.captured
              FROM unnest(t_account, t_held, t_captured) AS t(account, held, captured) WHERE a.id = t.account;
            t_account := NULL;
            SELECT d.verdicts, d.amounts, d.notes, d.is_new INTO hold_verdicts, hold_amounts, hold_notes, is_new
              FROM decide_holds(moment, locked, h_id, h_account, h_key, h_amount, h_route, h_name) d;
            SELECT array_agg(h.id), array_agg(h.account), array_agg(h.key), array_agg(h.amount), array_agg(h.route),
                   array_agg(h.seconds), array_agg(h.name)
              INTO h_id, h_account, h_key, h_amount, h_route, h_seconds, h_name
              FROM unnest(h_id, h_account, h_key, hold_amounts, h_route, h_seconds, h_name, is_new)
                   AS h(id, account, key, amount, route, seconds, name, is_new)
             WHERE h.is_new;
        END IF;

        INSERT INTO charges (id, account, key, held, route, owner, opened_at, deadline, idempotency_key)
        SELECT h.id, h.account, h.key, h.amount, h.route, apply_batch.owner, moment,
               moment + h.seconds * interval '1 second', h.name
          FROM unnest(h_id, h_account, h_key, h_amount, h_route, h_seconds, h_name)
               AS h(id, account, key, amount, route, seconds, name);
        INSERT INTO journal (id, step, kind, account, available, held, granted, spent)
        SELECT h.id, 0, 'hold', h.account, -h.amount, h.amount, 0, 0
          FROM unnest(h_id, h_account, h_amount) AS h(id, account, amount);
    END IF;

    WITH changes AS (
        SELECT t.account, sum(t.available)::bigint AS available, sum(t.held)::bigint AS held,
               sum(t.spent)::bigint AS spent
          FROM (SELECT h.account, -h.amount AS available, h.amount AS held, 0::bigint AS spent
                  FROM unnest(h_account, h_amount) AS h(account, amount)
                 UNION ALL
                SELECT s.account, s.held - s.captured, -s.held, s.captured
                  FROM unnest(t_account, t_held, t_captured) AS s(account, held, captured)) t
         GROUP BY t.account),
    changed AS (
        UPDATE accounts a
           SET available = a.available + t.available, held = a.held + t.held, spent = a.spent + t.spent
          FROM changes t WHERE a.id = t.account
        RETURNING a.id, a.available)
    SELECT array_agg(id), array_agg(available) INTO account_ids, balances FROM changed;
    IF settle_verdicts IS NOT NULL OR hold_verdicts IS NOT NULL THEN
        SELECT array_agg(id), array_agg(available) INTO account_ids, balances FROM accounts WHERE id = ANY (wanted);
    END IF;
END $$;
