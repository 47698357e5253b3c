-- The audit store. `events.body` is the event exactly as it was received; every other column is an index into it.
-- Pages are read newest first by (time_ms, id), so each filter column is followed by time_ms (SQLite appends the id).

CREATE TABLE events (
    id          INTEGER PRIMARY KEY,
    vm          TEXT    NOT NULL,
    seq         INTEGER NOT NULL CHECK (seq >= 1),
    event_id    TEXT    NOT NULL,
    time_ms     INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    request_id  TEXT,
    route       TEXT,
    verdict     TEXT    NOT NULL,
    action      TEXT    NOT NULL,
    score       REAL    NOT NULL,
    rules       TEXT    NOT NULL,
    body        TEXT    NOT NULL,
    UNIQUE (vm, seq)
);

CREATE INDEX events_time       ON events (time_ms);
CREATE INDEX events_verdict    ON events (verdict, time_ms);
CREATE INDEX events_action     ON events (action, time_ms);
CREATE INDEX events_route      ON events (route, time_ms);
CREATE INDEX events_vm         ON events (vm, time_ms);
CREATE INDEX events_request_id ON events (request_id, time_ms) WHERE request_id IS NOT NULL;
CREATE INDEX events_event_id   ON events (event_id);

CREATE TABLE finding_rules (
    rule    TEXT    NOT NULL,
    time_ms INTEGER NOT NULL,
    event   INTEGER NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    PRIMARY KEY (rule, time_ms, event)
) WITHOUT ROWID;

CREATE INDEX finding_rules_event ON finding_rules (event);

-- One row per VM and one per run of sequence numbers that never arrived. They are kept up to date in the
-- transaction that stores the events, so loss stays provable after old events are deleted.
CREATE TABLE vms (
    vm        TEXT    PRIMARY KEY,
    first_seq INTEGER NOT NULL,
    last_seq  INTEGER NOT NULL,
    n_events  INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE vm_gaps (
    vm        TEXT    NOT NULL REFERENCES vms (vm) ON DELETE CASCADE,
    first_seq INTEGER NOT NULL,
    last_seq  INTEGER NOT NULL CHECK (last_seq >= first_seq),
    PRIMARY KEY (vm, first_seq)
) WITHOUT ROWID;

-- What was received but could not be stored as an event. The same bytes with the same reason are one row.
CREATE TABLE quarantine (
    id       INTEGER PRIMARY KEY,
    digest   TEXT    NOT NULL,
    reason   TEXT    NOT NULL,
    body     TEXT    NOT NULL,
    first_ms INTEGER NOT NULL,
    last_ms  INTEGER NOT NULL,
    n_times  INTEGER NOT NULL,
    UNIQUE (digest, reason)
);

-- A place to write when only the ability to write is in question.
CREATE TABLE write_probe (
    id        INTEGER PRIMARY KEY CHECK (id = 1),
    probed_ms INTEGER NOT NULL
);
INSERT INTO write_probe (id, probed_ms) VALUES (1, 0);
