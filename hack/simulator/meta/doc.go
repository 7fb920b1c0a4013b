// Package meta plays the Graph API of Messenger and Instagram messaging: apps
// and their accounts on one side, people on the other, and Meta's own habits in
// between.
//
//	adapter under test                 Server                          people
//	────────────────────   ──────────────────────────────────    ──────────────
//	/{version}/me          token ► proof ► faults ► checks
//	/{app}/subscriptions ► handshake GET to the callback URL
//	/{page}/messages     ► window, shape, limits ─► transcript ─► Person reads
//	                                      │ echo
//	POST <callback URL>  ◄ signed batches, retries ◄────────────◄ Person writes
//
// It is strict: what Meta refuses is refused here, with the same code and
// subcode, because an adapter that was only ever shown a lenient double meets
// the real rules in production. The rules are those of the Messenger Platform's
// and the Instagram Platform's public reference (Graph v25.0); the README of
// the simulator says which of them are guesses.
//
// One Server plays both hosts (graph.facebook.com and graph.instagram.com): the
// tokens say which product is meant. Everything is in memory and bounded;
// nothing survives Close. All methods may be called concurrently.
package meta
