-- Occurrences of what rules watch. A group is an object of names and values, in the order of the names.
CREATE TABLE alerts (
    id              INTEGER PRIMARY KEY,
    version         INTEGER NOT NULL,
    rule            TEXT NOT NULL,
    severity        TEXT NOT NULL,
    grp             TEXT NOT NULL,
    state           TEXT NOT NULL,
    summary         TEXT NOT NULL,
    value           REAL NOT NULL,
    opened_ms       INTEGER NOT NULL,
    seen_ms         INTEGER NOT NULL,
    told_ms         INTEGER,
    told_to         TEXT NOT NULL,
    acknowledged_ms INTEGER,
    acknowledged_by TEXT,
    resolved_ms     INTEGER
);

-- What is open is open once, however many collectors see it.
CREATE UNIQUE INDEX alerts_open ON alerts (rule, grp) WHERE state <> 'resolved';
CREATE INDEX alerts_told ON alerts (rule, grp, told_ms);

CREATE TABLE alert_silences (
    id        INTEGER PRIMARY KEY,
    rule      TEXT,
    grp       TEXT NOT NULL,
    starts_ms INTEGER NOT NULL,
    ends_ms   INTEGER NOT NULL,
    reason    TEXT NOT NULL,
    made_by   TEXT NOT NULL,
    made_ms   INTEGER NOT NULL
);

-- What is to be sent, and what became of it; no secret, and nothing of what was said in traffic.
CREATE TABLE alert_deliveries (
    id               INTEGER PRIMARY KEY,
    alert            INTEGER NOT NULL,
    sink             TEXT NOT NULL,
    notice           TEXT NOT NULL,
    attempts         INTEGER NOT NULL,
    state            TEXT NOT NULL,
    next_ms          INTEGER NOT NULL,
    claimed_until_ms INTEGER NOT NULL,
    outcome          TEXT NOT NULL,
    done_ms          INTEGER
);

CREATE INDEX alert_deliveries_waiting ON alert_deliveries (alert, sink, id) WHERE state = 'waiting';
CREATE INDEX alert_deliveries_of ON alert_deliveries (alert, id);
