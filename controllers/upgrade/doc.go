// Package upgrade decides in which order the pods of all ConversationStores and
// Bridges get another version, the operator's own. It is pure.
//
//	                    ┌ its store does not run it yet ─────► WaitingForStore
//	template of another ├ an upgrade somewhere failed ───────► UpgradeHalted
//	version ────────────┼ enough of its kind are under way ──► WaitingForTurn
//	                    └ else ──────────────────────────────► now
//
// The store comes first because a new bridge may ask what an old store does not
// know; an old bridge is always understood by a new store. A few at a time, and
// none after the first failure: a version that does not come up takes as few
// Bridges with it as possible.
//
// What counts is in the cluster and survives the operator: the image in the pod
// template, and a mark on the workload from the moment that it got another image
// until all its pods run that one. What never ran another version (a new Bridge)
// needs no turn, nor does a change within one.
package upgrade
