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
//	fence → journal → dedupe → identify → profile → converse → keep → touch → fetchMedia → route → applyParked
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
// # Where things are
//
// The first word of a file's name is its theme; the file of that name alone begins it.
//
//	store, engine, state        what the package offers, its options, the document in force
//	committer, pipeline, txn,   transactions: who waits shares one; statements kept back and
//	bulk, reader, settled       written together; reading, and pages that end where all is committed
//	dialect, sqlite, postgres,  the two databases, their differences, migrations, locks; replicas
//	migrate, lock, locks, relay that wake each other
//	ingest, raw, receipt, media what platforms tell: stages, journal, receipts, files
//	conversation, messages,     what is kept, and how REST reads it
//	contact, query, cursor      contacts that become one (contact_merge, survey_merge)
//	erase                       forgetting one contact, and what remains
//	send                        checking, planning and queueing a message; a mail's thread
//	outbox, lane, deadletter    leasing it, its pace, reports, breakers, what could not be sent
//	session, presence, signal   leases of bridges, assignments, waking who waits
//	ownership, queue, agents,   who has a conversation, what waits for agents
//	desk, tally
//	routing, errand             decisions of policies, what follows them, bots and webhooks
//	events, scribe              the event log and its cursor
//	retention, backup, restore  what is removed; archives
//	metrics, gauges, health     numbers, and whether the database answers
//	ids, clock, idempotency     ids in the order of time, times that leap, repeated requests
//
// # Owners, queues and agents
//
//   - A conversation has one owner (nobody, a queue, a bot, an agent) with an epoch;
//     transfer is the only place that changes it (ownership.go).
//   - What waits for agents, and what they carry, is one row per conversation
//     (queue.go). Whatever can give somebody something stirs its queues, which are
//     drained after the commit.
//   - Counters are kept: noted while a transaction runs, and written at its end in
//     one order (tally.go).
//
// # Routing
//
// Who gets a conversation is decided by the policies of its channel (package
// routing) in the transaction that brings the occasion: a message that opens or
// reopens it, or that nobody is there for; a step whose time is over; a queue or a
// webhook that refuses; a bot that hands over. Nobody else is asked about a message
// to a conversation that somebody has.
//
//	occasion ──► facts ──► Decide ──► decisions     facts, decision, version of the policy (policy_archive)
//	                          └─────► owner, queue  transfer, enqueue
//	                          └─────► routings      position in the policy, labels, topics, when the step ends
//	                          └─────► errands       the policy's text, a bot's turn, a webhook: after the commit
//
// Nothing waits for ever (routing_again.go): a step begins anew for what comes back to
// its queue, what is opened and nobody's is routed, and what is to go on while no
// policy is in force does so when a document brings one.
//
// A decision is explained by replaying it (GET /v1/conversations/{id}/routing). Its
// facts are without the message's text, which is joined from the message: what a
// contact deletes, or retention removes, is gone from there, too.
//
// An errand carries the epoch of who it speaks for, is done once by whichever
// replica comes first, and is dropped when somebody else has the conversation by
// then. What a bot says is sent like any other message, under its epoch: it is
// superseded, never sent, once the bot has lost the conversation. A policy's own texts, and
// a bot's last words with which it hands over, have the author kind policy: they
// announce who comes, and are not silenced by that one being fast.
//
// # What bots and webhooks are asked
//
// A POST of JSON, signed as Standard Webhooks 1.0.0 has it (webhook-id,
// webhook-timestamp, webhook-signature; the id is the same for each attempt). What
// is not answered with 2xx within the timeout is asked up to three times within half a
// minute; then a bot loses the conversation (reason Failure), and a webhook's step is over.
// Five such failures in a row open its breaker, for all replicas. Redirects are not
// followed, and private addresses only where the ConversationStore allows them.
//
//	a Bot     {"type":"bot.message","timestamp":…,"data":{"bot","namespace","channel","conversation","epoch",
//	           "turn","contact":{"id","displayName","language","attributes"},"message":{…as REST shows it}}}
//	           "returned":true instead of a message: somebody gave the conversation to the bot
//	answers   {"replies":[{"text","quickReplies":[{"title","payload"}]}], "handover":{"reason","topics"},"language"}
//	           up to ten replies; without a handover it keeps the conversation
//	a Webhook {"type":"routing.requested","timestamp":…,"data":{"policy","rule","step","event","channel",
//	           "conversation","contact","language","message":{"id","type"}}}, with the text if it wants it
//	answers   {"queue":"namespace/name","priority","labels","topics","language"}; or "next":true in place of the queue
//
// # Surveys
//
// Whom a campaign asks, and what replies mean, is decided by package survey, which
// is pure. The store finds what is due, collects the facts, and keeps what follows,
// each in one transaction, so that nobody is asked twice (survey.go):
//
//	solved, REST ──► survey_triggers ──► Decide ──► survey_ledger, survey_counts
//	                                        └─Asked─► survey_dialogues + outbox
//	message, time, agent ──► dialogue ──► Step ──► survey_responses, survey_answers, errands
//
// A survey is laid over the conversation and owns nothing. A message to an address
// with an open dialogue (identities.survey) is its answer, or goes on as if there
// were none. The ledger knows contacts by a salted hash and outlives campaigns.
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
//     version before goes on: they add tables, indexes and columns with constant
//     defaults, which write no table anew. What takes something away, or needs a
//     table to be written anew, waits for the version after, which then says in
//     store_identity.oldest who can still work with it.
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
