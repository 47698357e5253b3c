-- What filters are given, and how it came to that.

CREATE TABLE bundles (
    id        TEXT    PRIMARY KEY,
    name      TEXT    NOT NULL,
    version   INTEGER NOT NULL CHECK (version >= 0),
    bytes     BLOB    NOT NULL,
    pushed_ms INTEGER NOT NULL,
    pushed_by TEXT    NOT NULL,
    UNIQUE (name, version)
);

CREATE INDEX bundles_pushed ON bundles (pushed_ms);

-- The active bundle is the candidate of the promoted deployment with the highest number.
CREATE TABLE deployments (
    number     INTEGER PRIMARY KEY,
    candidate  TEXT    NOT NULL REFERENCES bundles (id),
    active     TEXT    REFERENCES bundles (id),
    mode       TEXT    NOT NULL,
    percent    INTEGER NOT NULL CHECK (percent BETWEEN 0 AND 100),
    salt       TEXT    NOT NULL,
    hash_key   TEXT,
    labels     TEXT    NOT NULL,
    rules      TEXT    NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('running', 'frozen', 'promoted', 'rolled_back')),
    started_ms INTEGER NOT NULL,
    tally      TEXT
);

-- At most one is under way, whatever a second collector on the same file may think.
CREATE UNIQUE INDEX deployments_one_open ON deployments ((1)) WHERE state IN ('running', 'frozen');
CREATE INDEX deployments_state ON deployments (state);

-- One row for each thing that was done to a deployment; rows are only added.
CREATE TABLE deployment_history (
    id         INTEGER PRIMARY KEY,
    deployment INTEGER NOT NULL REFERENCES deployments (number) ON DELETE CASCADE,
    at_ms      INTEGER NOT NULL,
    what       TEXT    NOT NULL,
    who        TEXT    NOT NULL,
    why        TEXT    NOT NULL,
    figures    TEXT
);

CREATE INDEX deployment_history_deployment ON deployment_history (deployment);

-- What people say about a decision. A second word about the same event replaces the first.
CREATE TABLE feedback (
    event_id TEXT    PRIMARY KEY,
    label    TEXT    NOT NULL CHECK (label IN ('false_positive', 'true_positive')),
    at_ms    INTEGER NOT NULL,
    who      TEXT    NOT NULL
) WITHOUT ROWID;
