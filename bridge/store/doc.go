// Package store keeps conversations: it takes in what platforms tell, holds
// what is to be sent, and answers REST. It owns the database, alone, or with its
// replicas where that is PostgreSQL.
//
//	bridges ── Ingest ──┐                          ┌── REST, server-sent events
//	        ── Report ──┤                          ├── Lease, LeaseMedia (long polls)
//	REST    ── writes ──┤                          │
//	                    ▼                          │
//	       ┌─────── committer ───────┐       ┌─── reader ───┐
//	       │ a transaction for all   │       │ a pool of    │
//	       │ who wait (group commit) │       │ connections  │
//	       └───────────┬─────────────┘       └──────▲───────┘
//	                   ▼                            │
//	     SQLite: WAL, fsync on commit ──────────────┤   media/ab/abcd…: files by SHA-256
//	     PostgreSQL: two transactions at a time ────┘   media_files, media_pieces: rows
//	                   │
//	                   └─ after the commit: callers are answered, signals wake who waits
//	                      here, and (PostgreSQL) a NOTIFY those at other replicas
//
// An element of an envelope goes through stages, in this order; a stage ends
// the way (duplicate, parked) or hands on:
//
//	fence → journal → dedupe → identify → profile → converse → keep → touch → fetchMedia → applyParked
//
// The messages of all callers who share a transaction go through them together,
// with a statement per table instead of one per message: see ingest_settle.go.
//
// What holds everywhere:
//
//   - Idempotency is the unique key (channel, direction, external id, kind) of
//     table external_ids and nothing else. Where a platform gives no id, one is
//     derived from the content (contentID).
//   - The last thing a transaction does is to number its events under one lock,
//     so that the order of cursors is the order of commits, without gaps.
//   - Functions given to the committer may run several times (a batch is done
//     again, with savepoints, when one of its functions failed after it wrote;
//     or when it lost against another replica).
//   - SQL is portable; what is not stands in a dialect. Ids and times are made
//     in Go.
//   - Clocks are set: what waits for a time goes on when the clock goes back, and
//     nothing is removed, and no retry given up, by a clock that has just leapt
//     ahead (clock.go).
//   - Messages show by the platform's time, states change by arrival.
//   - Nothing that a contact wrote is in a log, an error or a metric.
//
// # Several replicas on one PostgreSQL
//
// Transactions run side by side, in READ COMMITTED. What that changes:
//
//   - Who reads in order to decide takes a lock first, all locks of a batch in
//     one order before its first function runs: locks.go says which. Sweeps that
//     cannot know beforehand try, and come back (SKIP LOCKED, try).
//   - Ids are ULIDs above those of every transaction that was committed before
//     this one took its locks (event_head.clock), whatever the replicas' clocks
//     say. So within what one lock guards (a contact's messages, a lane) the order
//     of ids is the order of commits, and age is a range of ids. Across locks it
//     is not: lists of messages follow the event log (entries about their creation
//     outlive its horizon), and pages of other lists that end at the present are
//     read at a moment when nobody writes, or end a little earlier (settled).
//   - The clock is the database server's, so that a lease means the same to
//     everybody.
//   - Who waits is woken by LISTEN and NOTIFY, and looks for themselves every few
//     seconds, at once while the listener has no connection (relay).
//   - What moves rows of many channels (a new document, a session that comes or
//     goes) has everything to itself for a moment. Replicas may have different
//     documents for a while; each writes what follows from its own when it loads
//     it, so that the last document wins, and the document in force is asked again
//     whenever something is handed out.
//   - Retention is done by one of them at a time. Migrations, too, while the
//     version before goes on; they expand first (store_identity.oldest).
//   - When a connection breaks in a COMMIT nobody knows what became of it: the
//     callers get ErrUnavailable, the platforms repeat, the unique key decides.
//   - While the database is away everything is refused at once, or within
//     postgresPatience where it hangs, and goes on by itself when it is back.
//   - Credentials change with the DSN file, without a restart (postgres_dsn.go).
//
// Advisory locks belong to a database: two stores in two schemas of one would
// work, and wait for each other. LISTEN and prepared statements want a connection
// of one's own: through a pooler only in session mode.
package store
