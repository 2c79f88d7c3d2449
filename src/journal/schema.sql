-- Version 5; migrate.rs brings older ones here. Times are milliseconds since the Unix epoch.

-- Where each site is, and what was last read of it in the file. A removed site keeps its row.
CREATE TABLE sites (
    name         TEXT PRIMARY KEY,
    active       TEXT NOT NULL,
    epoch        INTEGER NOT NULL,          -- of the lane that serves
    epoch_used   INTEGER NOT NULL,          -- the highest that any attempt used
    word         TEXT,                      -- `active` as last read; NULL = left out
    access       TEXT NOT NULL,             -- `access` as last read
    rewrite_from TEXT,                      -- the word that the file still has to lose ...
    rewrite_to   TEXT,                      -- ... for this one; NULL = nothing is pending
    answer_ttl_s INTEGER                    -- the longest that a direct name may have answered with
) STRICT;

-- Every flip attempt. state: intent, committed, aborted, or how it ended.
CREATE TABLE flips (
    id       INTEGER PRIMARY KEY,
    state    TEXT NOT NULL,
    during   TEXT NOT NULL,
    who      TEXT NOT NULL,
    uid      INTEGER NOT NULL,
    via      TEXT NOT NULL,
    reason   TEXT,
    began_ms INTEGER NOT NULL,
    ended_ms INTEGER,
    message  TEXT,
    timeline TEXT,                          -- JSON, as `status -o json` shows it
    skipped  TEXT                           -- drain, sync, checks, check:NAME, lease, interval, loss; NULL: nothing
) STRICT;

CREATE TABLE moves (
    flip              INTEGER NOT NULL REFERENCES flips (id),
    site              TEXT NOT NULL,
    from_side         TEXT NOT NULL,
    to_side           TEXT NOT NULL,
    from_epoch        INTEGER,              -- of the lane it leaves; NULL: refused before an intent
    epoch             INTEGER,              -- of the lane it makes
    forwarded         INTEGER,              -- requests that the lane it left had forwarded
    last_forwarded_ms INTEGER,
    cut_reads         INTEGER,              -- in flight when all that is was ordered to be cut
    cut_writes        INTEGER,              -- the same; NULL: no such order
    held              INTEGER,              -- requests that were on hold meanwhile
    shed              INTEGER,              -- requests that got the page instead, or after it
    abandoned         INTEGER,              -- writes given up before their answers had ended
    closed_ms         INTEGER,              -- when the lane that it left was closed; NULL: it was not
    late              INTEGER,              -- requests forwarded on it after that: a mistake if not 0
    answers           INTEGER,              -- that gave out an address of the side it left
    last_answer_ms    INTEGER,              -- 0: never; NULL: no direct names, or not looked
    late_answers      INTEGER,              -- such answers after the flip: a mistake if not 0
    PRIMARY KEY (flip, site)
) STRICT;

CREATE INDEX moves_site ON moves (site, flip);

-- What is not a flip: words adopted, words read, recoveries.
CREATE TABLE events (
    at_ms  INTEGER NOT NULL,
    site   TEXT,
    what   TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;

-- The serial and the content of each zone as last published.
CREATE TABLE zones (
    name   TEXT PRIMARY KEY,
    serial INTEGER NOT NULL,
    digest INTEGER NOT NULL
) STRICT;

-- What an operator has said of `access`, of a whole site (prefix '') or a part. A row holds until
-- the file says something else than it did then.
CREATE TABLE access (
    site       TEXT NOT NULL,
    prefix     TEXT NOT NULL,
    word       TEXT NOT NULL,               -- what the file said then
    access     TEXT NOT NULL,
    reason     TEXT,
    back_at_ms INTEGER,                     -- when users are told to come back
    who        TEXT NOT NULL,
    uid        INTEGER NOT NULL,
    via        TEXT NOT NULL,
    at_ms      INTEGER NOT NULL,
    PRIMARY KEY (site, prefix)
) STRICT;

-- Every hook that was run. A row is there before its process is.
CREATE TABLE hooks (
    flip     INTEGER NOT NULL REFERENCES flips (id),
    number   INTEGER NOT NULL,              -- counts those of the flip
    site     TEXT NOT NULL,
    phase    TEXT NOT NULL,                 -- before, sync, after, restore
    name     TEXT NOT NULL,
    mark     TEXT NOT NULL,                 -- its processes have this in their environment
    leader   INTEGER,                       -- its first process, whose number is the group's
    started  INTEGER,                       -- when that began, in clock ticks since the boot
    boot     TEXT,                          -- which boot that was
    began_ms INTEGER NOT NULL,
    ended_ms INTEGER,                       -- NULL: it runs, or the daemon has died since
    result   TEXT,                          -- ok, failed, timed-out, stopped, lost
    detail   TEXT,                          -- the same in words
    output   TEXT,                          -- its first and its last part
    PRIMARY KEY (flip, number)
) STRICT;

-- Flips that have ended, and whose last hooks are still to be run, or running.
CREATE TABLE hooks_due (
    flip  INTEGER PRIMARY KEY REFERENCES flips (id),
    phase TEXT NOT NULL                     -- after, restore
) STRICT;

-- Per site, what each side has taken, what of it was copied where, and which side is torn: JSON, as
-- `control/copies/book.rs` reads it.
CREATE TABLE books (
    site TEXT PRIMARY KEY,
    book TEXT NOT NULL
) STRICT;

-- The leases of guarded jobs that are out: JSON, as `control/guards/lease.rs` reads it. A number is
-- never given twice.
CREATE TABLE guards (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,
    lease TEXT NOT NULL
) STRICT;
