-- Keys of programs, as the hashes of their secrets. Roles and scopes are names with commas between them. Names are in the
-- order of their bytes, as in every other database.
CREATE TABLE api_keys (
    id                text   COLLATE "C" PRIMARY KEY,
    hash              bytea  NOT NULL,
    label             text   NOT NULL,
    roles             text   NOT NULL,
    scope             text,
    created_ms        bigint NOT NULL,
    not_after_ms      bigint,
    revoked_ms        bigint,
    replaced_by       text,
    replaced_until_ms bigint
);

-- Who has which roles: wallets by their address, people of an identity provider by a value of the claim with roles.
CREATE TABLE role_holders (
    kind  text   COLLATE "C" NOT NULL,
    name  text   COLLATE "C" NOT NULL,
    roles text   NOT NULL,
    at_ms bigint NOT NULL,
    PRIMARY KEY (kind, name)
);

-- The token that makes the first admin, as its hash; one at most.
CREATE TABLE bootstrap (
    one        integer PRIMARY KEY CHECK (one = 1),
    hash       bytea   NOT NULL,
    expires_ms bigint  NOT NULL,
    spent      boolean NOT NULL
);

-- Challenges that were answered, until nobody could answer them anyway.
CREATE TABLE used_nonces (
    nonce    text   COLLATE "C" PRIMARY KEY,
    until_ms bigint NOT NULL
);

CREATE INDEX used_nonces_until ON used_nonces (until_ms);
