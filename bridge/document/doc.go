// Package document is the contract between the control plane, which writes
// documents, and the data plane, which loads them. It knows neither.
//
//	resources ──compile──► []Entry + Settings ──Encode──► up to 16 shard files
//	                                                          │ (Secrets, one projected volume)
//	                       Document ◄──Load (per entry)───────┘
//	                          │
//	                       /status: Hash, Shards, Exceptions, SchemaVersions
//
// Rules, each with a test:
//
//   - An entry stands for one resource and is independent: a bad one keeps its
//     last good version and is reported as an Exception on its own resource.
//   - The envelope (shard 0) is strict: it names the hash of every shard, and a
//     document is taken only when all shards match, so that a half-updated
//     volume is never loaded.
//   - Unknown fields within a SchemaVersion are ignored. A changed meaning needs
//     another major version, whose files lie beside those of the former one in
//     the same Secrets until every pod speaks it (Codecs): a pod reads the newest
//     that it knows, and does not look at what is newer.
//   - Entries are spread over 1, 2, 4, 8 or 16 shards by a hash of their name,
//     so that a change touches one shard and the rest stay byte for byte.
package document
