-- Evidence: everything that is kept is an entry of one log; what can name a person is sealed or a keyed number.
-- What older collectors kept in the clear waits under other names until the collector has taken it over.

DROP TABLE finding_rules;
DROP TABLE vm_gaps;
DROP TABLE vms;
DROP INDEX events_time;
DROP INDEX events_verdict;
DROP INDEX events_action;
DROP INDEX events_route;
DROP INDEX events_vm;
DROP INDEX events_request_id;
DROP INDEX events_event_id;
ALTER TABLE events RENAME TO plain_events;
ALTER TABLE quarantine RENAME TO plain_quarantine;

-- The log. Indexes begin at 0 and have no gaps; a leaf is never changed and never deleted.
CREATE TABLE leaves (
    idx  INTEGER PRIMARY KEY,
    leaf BLOB    NOT NULL
);

-- Hashes of the log's tree, 256 at most in each; the last of a level grows.
CREATE TABLE tiles (
    level  INTEGER NOT NULL,
    idx    INTEGER NOT NULL,
    hashes BLOB    NOT NULL,
    UNIQUE (level, idx)
);

CREATE TABLE checkpoints (
    size  INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    note  TEXT    NOT NULL
);

-- One row per VM and one per run of sequence numbers that never arrived. They are kept up to date in the
-- transaction that stores the events, so loss stays provable after old events are deleted.
CREATE TABLE vms (
    no        INTEGER PRIMARY KEY,
    vm        TEXT    NOT NULL UNIQUE,
    first_seq INTEGER NOT NULL,
    last_seq  INTEGER NOT NULL,
    n_events  INTEGER NOT NULL
);

CREATE TABLE vm_gaps (
    vm_no     INTEGER NOT NULL REFERENCES vms (no) ON DELETE CASCADE,
    first_seq INTEGER NOT NULL,
    last_seq  INTEGER NOT NULL CHECK (last_seq >= first_seq),
    PRIMARY KEY (vm_no, first_seq)
) WITHOUT ROWID;

-- `idx` is that of the event's leaf. `payload` is the event as it was received, sealed; it is NULL once it was erased
-- or has outlived its time. Indexes leave out what is asked for rarely and fits nearly every row.
CREATE TABLE events (
    idx         INTEGER PRIMARY KEY,
    vm_no       INTEGER NOT NULL,
    seq         INTEGER NOT NULL,
    event_id    TEXT,
    time_ms     INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    request     INTEGER,
    session     INTEGER,
    subject     BLOB,
    route       TEXT,
    verdict     TEXT    NOT NULL,
    action      TEXT    NOT NULL,
    score       REAL    NOT NULL,
    key         INTEGER NOT NULL,
    payload     BLOB
);

CREATE UNIQUE INDEX events_vm ON events (vm_no, seq);
CREATE INDEX events_time     ON events (time_ms);
CREATE INDEX events_verdict  ON events (verdict, time_ms) WHERE verdict <> 'clean';
CREATE INDEX events_action   ON events (action, time_ms) WHERE action <> 'allow';
CREATE INDEX events_route    ON events (route, time_ms) WHERE route IS NOT NULL;
CREATE INDEX events_request  ON events (request) WHERE request IS NOT NULL;
CREATE INDEX events_session  ON events (session, time_ms) WHERE session IS NOT NULL;
CREATE INDEX events_subject  ON events (subject, time_ms) WHERE subject IS NOT NULL;
CREATE INDEX events_event_id ON events (event_id) WHERE event_id IS NOT NULL;

CREATE TABLE rules (
    no   INTEGER PRIMARY KEY,
    rule TEXT    NOT NULL UNIQUE
);

CREATE TABLE event_rules (
    rule_no INTEGER NOT NULL,
    time_ms INTEGER NOT NULL,
    idx     INTEGER NOT NULL,
    PRIMARY KEY (rule_no, time_ms, idx)
) WITHOUT ROWID;

-- What was received but could not be stored as an event, sealed with the reason. The same again is one row.
CREATE TABLE quarantine (
    digest   BLOB    PRIMARY KEY,
    key      INTEGER NOT NULL,
    payload  BLOB    NOT NULL,
    first_ms INTEGER NOT NULL,
    last_ms  INTEGER NOT NULL,
    n_times  INTEGER NOT NULL
);

-- Who did what; the whole of it stands in the leaf.
CREATE TABLE journal (
    idx     INTEGER PRIMARY KEY,
    at_ms   INTEGER NOT NULL,
    who     TEXT    NOT NULL,
    what    TEXT    NOT NULL,
    target  TEXT    NOT NULL,
    outcome INTEGER NOT NULL
);

-- Wrapped keys of what is sealed; a destroyed one has none.
CREATE TABLE data_keys (
    id           INTEGER PRIMARY KEY,
    period       INTEGER NOT NULL,
    subject      BLOB    NOT NULL DEFAULT x'',
    wrapped      BLOB,
    created_ms   INTEGER NOT NULL,
    destroyed_ms INTEGER
);

-- One that lives for each; whoever was erased may come again.
CREATE UNIQUE INDEX data_keys_living ON data_keys (period, subject) WHERE wrapped IS NOT NULL;
CREATE INDEX data_keys_destroyed ON data_keys (id) WHERE destroyed_ms IS NOT NULL;
CREATE INDEX data_keys_subject ON data_keys (subject) WHERE subject <> x'';

CREATE TABLE secrets (
    name    TEXT PRIMARY KEY,
    wrapped BLOB NOT NULL
);
