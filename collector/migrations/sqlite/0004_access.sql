-- Keys of programs, as the hashes of their secrets. Roles and scopes are names with commas between them.
CREATE TABLE api_keys (
    id                TEXT    PRIMARY KEY,
    hash              BLOB    NOT NULL,
    label             TEXT    NOT NULL,
    roles             TEXT    NOT NULL,
    scope             TEXT,
    created_ms        INTEGER NOT NULL,
    not_after_ms      INTEGER,
    revoked_ms        INTEGER,
    replaced_by       TEXT,
    replaced_until_ms INTEGER
);

-- Who has which roles: wallets by their address, people of an identity provider by a value of the claim with roles.
CREATE TABLE role_holders (
    kind  TEXT    NOT NULL,
    name  TEXT    NOT NULL,
    roles TEXT    NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (kind, name)
) WITHOUT ROWID;

-- The token that makes the first admin, as its hash; one at most.
CREATE TABLE bootstrap (
    one        INTEGER PRIMARY KEY CHECK (one = 1),
    hash       BLOB    NOT NULL,
    expires_ms INTEGER NOT NULL,
    spent      INTEGER NOT NULL
);

-- Challenges that were answered, until nobody could answer them anyway.
CREATE TABLE used_nonces (
    nonce    TEXT    PRIMARY KEY,
    until_ms INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX used_nonces_until ON used_nonces (until_ms);
