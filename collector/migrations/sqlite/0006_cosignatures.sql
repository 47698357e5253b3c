-- How many signatures a note has: each is a line that begins with a dash and a space.
ALTER TABLE checkpoints ADD COLUMN n_signatures INTEGER
    GENERATED ALWAYS AS ((length(note) - length(replace(note, char(10) || '— ', char(10)))) / 2) VIRTUAL;

-- The newest with so many, whatever was published since.
CREATE INDEX checkpoints_cosigned ON checkpoints (n_signatures, size) WHERE n_signatures > 1;
