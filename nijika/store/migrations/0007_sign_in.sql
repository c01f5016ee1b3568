-- Who signs in with what, from where, and who did what to whom.

-- An identity is the provider's host and its immutable number: number 42 of another host is somebody else.
-- `confirmed_at` is NULL while its holder has not yet been told that a matching e-mail has linked it.
CREATE TABLE identities (
    issuer       text        NOT NULL,
    subject      text        NOT NULL,
    provider     text        NOT NULL,
    "user"       bigint      NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    login        text        NOT NULL,
    linked_by    text        NOT NULL CHECK (linked_by IN ('sign-up', 'link', 'e-mail')),
    linked_at    timestamptz NOT NULL DEFAULT now(),
    used_at      timestamptz NOT NULL DEFAULT now(),
    confirmed_at timestamptz,
    PRIMARY KEY (issuer, subject),
    UNIQUE ("user", issuer)
);

CREATE INDEX identities_by_login ON identities (lower(login));

-- An identity that its holder has unlinked does not come back by its e-mail; to link it again takes a form.
CREATE TABLE unlinked (
    issuer  text   NOT NULL,
    subject text   NOT NULL,
    "user"  bigint NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    PRIMARY KEY (issuer, subject, "user")
);

-- Whose word an e-mail is: the host that verified it, which may take it back, or NULL for the operator's.
ALTER TABLE users ADD COLUMN email_issuer text;

-- Only the letters A to Z have two cases here: to other rules K (U+212A) is a k, and somebody else's address the same.
DROP INDEX users_by_email;
CREATE UNIQUE INDEX users_by_email ON users (lower(email COLLATE "C"));

-- Stays when the account is deleted: the bonus is given once for ever.
CREATE TABLE signup_bonuses (
    issuer   text        NOT NULL,
    subject  text        NOT NULL,
    given_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (issuer, subject)
);

-- A state that came back is spent; rows are needed for as long as the cookie that names it could be sent again.
CREATE TABLE spent_states (
    digest   bytea       PRIMARY KEY,
    spent_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX spent_states_by_age ON spent_states (spent_at);

-- A cookie names a row; without the row it is worth nothing.
CREATE TABLE sessions (
    id         uuid        PRIMARY KEY,
    "user"     bigint      NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    provider   text        NOT NULL,
    address    inet        NOT NULL,
    agent      text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    seen_at    timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
) WITH (fillfactor = 70);

CREATE INDEX sessions_by_user ON sessions ("user");

-- The key with which a browser calls: it ends with its session.
ALTER TABLE keys ADD COLUMN session uuid;
CREATE UNIQUE INDEX keys_by_session ON keys (session) WHERE revoked_at IS NULL;

-- What was done to whom; `actor` NULL is the operator at the command line. Names are looked up when it is read.
CREATE TABLE audit (
    id      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      timestamptz NOT NULL DEFAULT now(),
    actor   bigint,
    subject bigint,
    action  text        NOT NULL,
    before  jsonb,
    after   jsonb,
    reason  text
);

CREATE INDEX audit_by_subject ON audit (subject, id DESC);

CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit table is append-only';
END $$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audit FOR EACH ROW EXECUTE FUNCTION refuse_audit_change();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();

-- An account's grants and corrections stand in its list of transactions.
CREATE INDEX journal_grants ON journal (account, id DESC) WHERE kind = 'grant';
