-- Credit that a payment system asked for, by the id that this has for it: each is given once, however often it is asked for.
CREATE TABLE topups (
    id         text        PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 255),
    account    bigint      NOT NULL REFERENCES accounts (id),
    amount     bigint      NOT NULL CHECK (amount <> 0),
    entry      uuid        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
