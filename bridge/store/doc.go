// Package store keeps conversations: it takes in what platforms tell, holds
// what is to be sent, and answers REST. It owns the database, alone.
//
//	bridges ── Ingest ──┐                          ┌── REST, server-sent events
//	        ── Report ──┤                          ├── Lease, LeaseMedia (long polls)
//	REST    ── writes ──┤                          │
//	                    ▼                          │
//	       ┌─────── committer ───────┐       ┌─── reader ───┐
//	       │ one goroutine, one      │       │ a pool of    │
//	       │ transaction for all     │       │ connections  │
//	       │ who wait (group commit) │       └──────▲───────┘
//	       └───────────┬─────────────┘              │
//	                   ▼                            │
//	      SQLite: WAL, fsync on commit ─────────────┘   media/ab/abcd…: files by SHA-256
//	                   │
//	                   └─ after the commit: callers are answered, signals wake who waits
//
// An element of an envelope goes through stages, in this order; a stage ends
// the way (duplicate, parked) or hands on:
//
//	fence → journal → dedupe → identify → profile → converse → keep → fetchMedia → announce → applyParked
//
// What holds everywhere:
//
//   - Idempotency is the unique key (channel, direction, external id, kind) of
//     table external_ids and nothing else. Where a platform gives no id, one is
//     derived from the content (contentID).
//   - The last thing a transaction does is to number its events under one lock,
//     so that the order of cursors is the order of commits, without gaps.
//   - Functions given to the committer may run twice (a batch is done again,
//     with savepoints, when one of its functions failed after it wrote).
//   - SQL is portable; what is not stands in a dialect. Ids and times are made
//     in Go. Ids are ULIDs and never go back, so what is sorted by id is sorted
//     by when it was stored, and age is a range of ids.
//   - Messages show by the platform's time, states change by arrival.
//   - Nothing that a contact wrote is in a log, an error or a metric.
package store
