-- Occurrences of what rules watch. A group is an object of names and values, in the order of the names.
CREATE TABLE alerts (
    id              bigint PRIMARY KEY,
    version         bigint NOT NULL,
    rule            text NOT NULL,
    severity        text NOT NULL,
    grp             text NOT NULL,
    state           text NOT NULL,
    summary         text NOT NULL,
    value           double precision NOT NULL,
    opened_ms       bigint NOT NULL,
    seen_ms         bigint NOT NULL,
    told_ms         bigint,
    told_to         text NOT NULL,
    acknowledged_ms bigint,
    acknowledged_by text,
    resolved_ms     bigint
);

-- What is open is open once, however many collectors see it.
CREATE UNIQUE INDEX alerts_open ON alerts (rule, grp) WHERE state <> 'resolved';
CREATE INDEX alerts_told ON alerts (rule, grp, told_ms);

CREATE TABLE alert_silences (
    id        bigint PRIMARY KEY,
    rule      text,
    grp       text NOT NULL,
    starts_ms bigint NOT NULL,
    ends_ms   bigint NOT NULL,
    reason    text NOT NULL,
    made_by   text NOT NULL,
    made_ms   bigint NOT NULL
);

-- What is to be sent, and what became of it; no secret, and nothing of what was said in traffic.
CREATE TABLE alert_deliveries (
    id               bigint PRIMARY KEY,
    alert            bigint NOT NULL,
    sink             text NOT NULL,
    notice           text NOT NULL,
    attempts         bigint NOT NULL,
    state            text NOT NULL,
    next_ms          bigint NOT NULL,
    claimed_until_ms bigint NOT NULL,
    outcome          text NOT NULL,
    done_ms          bigint
);

CREATE INDEX alert_deliveries_waiting ON alert_deliveries (alert, sink, id) WHERE state = 'waiting';
CREATE INDEX alert_deliveries_of ON alert_deliveries (alert, id);
