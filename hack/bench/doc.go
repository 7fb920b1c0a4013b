// Command bench measures the data plane on this machine, everything in one run
// because machines differ and are noisy: durable ingest through bridge and
// store beside the bare minimum, and sending to a sink.
//
//	traffic (signed Messenger webhooks) ──► bare: verify, append, fsync together, 200
//	                                    ──► bridge ──► store ──► SQLite | PostgreSQL
//	REST (queue) ──► store ──► bridge ──► sink
//
// The load generator runs on the same cores as what it measures.
package main
