// Package gateway is a bridge: it stands between the platforms and the store.
//
//	documents ──► channels.Table ─────────────────────────────────────────┐ read by all
//	                                                                      ▼
//	platform ──POST──► webhook ──┐                        ┌──► store (Ingest)
//	platform ◄──poll── connection┴─► ingest (batches) ────┘        │
//	platform ◄──word── media.Acks ◄── after the commit ────────────┤
//	platform ◄──file── media.Fetcher ◄───── LeaseMedia ────────────┤
//	platform ◄──send── outbox ◄──── Lease, ──Report──► ────────────┤
//	platform ◄──call── duty (probe, webhook, profile)              │
//	                     ▲                                         │
//	              session: which channels are this replica's ◄─────┘
//	                     │
//	operator ◄──/status── status.Rows
//
// Every replica takes webhooks and sends; connections and duties of a channel
// are one replica's, by the store's lease. Nothing is kept on disk: what is
// acknowledged is in the store, what is not the platform sends again.
//
// A replica is ready when its first document is in force, whether or not the
// store can be reached: taking a pod out of service because the store is away
// would turn a late message into a lost webhook.
package gateway
