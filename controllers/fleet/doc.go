// Package fleet reads what the pods of a Bridge or a ConversationStore confirm
// on /status. It is pure: somebody else polls.
//
//	GET /status?instance&after ──► Pod.Merge ──► Pod (rows kept, deltas applied)
//	                                              │ all serving pods
//	                                              ▼
//	                                Fleet.Loaded(document, entry)   every pod runs it
//	                                Fleet.Refusal(document, entry)  every pod refuses it, and why
//	                                Fleet.Row(entry)                what the lease holder says
//
// A pod switches to a document only when all shards match, so a pod that
// confirms the hash of a shard runs every entry in it, apart from its
// exceptions.
package fleet
