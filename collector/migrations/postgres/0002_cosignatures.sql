-- How many signatures a checkpoint has, the log's own among them: each is a line that begins with an em dash.
ALTER TABLE checkpoints ADD COLUMN n_signatures integer GENERATED ALWAYS AS
    ((length(note) - length(replace(note, chr(10) || '— ', chr(10)))) / 2) STORED;

CREATE INDEX checkpoints_cosigned ON checkpoints (n_signatures, size) WHERE n_signatures > 1;
