-- Sums for each hour, kept in the transaction that stores the events (see `domain/hourly.rs`): `kind` says what is summed,
-- `hour` is that of the event since 1970. Texts are in the order of their bytes, as in every other database.
CREATE TABLE hourly (
    kind  text   COLLATE "C" NOT NULL,
    hour  bigint NOT NULL,
    value text   COLLATE "C" NOT NULL,
    n     bigint NOT NULL,
    PRIMARY KEY (kind, hour, value)
);
