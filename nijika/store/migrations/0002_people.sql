-- Who may sign in, and the keys with which programs call.

CREATE TABLE users (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account    bigint      NOT NULL REFERENCES accounts (id),
    name       text        NOT NULL CHECK (name <> ''),
    email      text,
    role       text        NOT NULL DEFAULT 'user' CHECK (role IN ('user', 'moderator', 'admin')),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE UNIQUE INDEX users_by_email ON users (lower(email));
CREATE INDEX users_by_name ON users (lower(name));
CREATE INDEX users_by_account ON users (account);

-- `digest` finds a key, `sealed` shows it again to its holder, `hint` is the end of it, for lists.
CREATE TABLE keys (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account    bigint      NOT NULL REFERENCES accounts (id),
    name       text        NOT NULL,
    digest     bytea       NOT NULL UNIQUE,
    sealed     bytea,
    hint       text        NOT NULL,
    scopes     text[],
    expires_at timestamptz,
    revoked_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX keys_by_account ON keys (account);
