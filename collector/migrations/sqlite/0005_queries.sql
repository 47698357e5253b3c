-- Sums for each hour, kept in the transaction that stores the events: what a dashboard or an auditor asks for is then
-- as fast over millions of events as over hundreds, and stays when old events are deleted. `kind` says what is summed
-- (see `domain/hourly.rs`), `hour` is that of the event since 1970.
CREATE TABLE hourly (
    kind  TEXT    NOT NULL,
    hour  INTEGER NOT NULL,
    value TEXT    NOT NULL,
    n     INTEGER NOT NULL,
    PRIMARY KEY (kind, hour, value)
) WITHOUT ROWID;

INSERT INTO hourly SELECT 'verdict', time_ms / 3600000, verdict, count(*) FROM events GROUP BY 2, 3;
INSERT INTO hourly SELECT 'action', time_ms / 3600000, action, count(*) FROM events GROUP BY 2, 3;
INSERT INTO hourly SELECT 'route', time_ms / 3600000, route, count(*) FROM events WHERE route IS NOT NULL GROUP BY 2, 3;
INSERT INTO hourly SELECT 'vm', time_ms / 3600000, vm, count(*) FROM events JOIN vms ON no = vm_no GROUP BY 2, 3;
INSERT INTO hourly
    SELECT 'rule', time_ms / 3600000, rule, count(*) FROM event_rules JOIN rules ON no = rule_no GROUP BY 2, 3;
-- Of what is stored already, how often a rule fired in one event is sealed; once is the least. The family stands before
-- the slash.
INSERT INTO hourly SELECT 'rule_findings', hour, value, n FROM hourly WHERE kind = 'rule';
INSERT INTO hourly
    SELECT 'family', hour, family, count(DISTINCT idx) FROM (
        SELECT time_ms / 3600000 AS hour, substr(rule, 1, instr(rule || '/', '/') - 1) AS family, idx
        FROM event_rules JOIN rules ON no = rule_no
    ) WHERE family <> '' GROUP BY hour, family;
INSERT INTO hourly
    SELECT 'family_findings', hour, substr(value, 1, instr(value || '/', '/') - 1) AS family, sum(n)
    FROM hourly WHERE kind = 'rule' AND family <> '' GROUP BY hour, family;
INSERT INTO hourly SELECT 'quarantined', first_ms / 3600000, '', sum(n_times) FROM quarantine GROUP BY 2;

-- A search by score or VM looks at this index and not into the rows, which are large.
DROP INDEX events_time;
CREATE INDEX events_time ON events (time_ms, idx, score, vm_no);
CREATE INDEX events_gone ON events (time_ms) WHERE payload IS NULL;
