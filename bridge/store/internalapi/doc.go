// Package internalapi is the store's HTTP face for bridges (package wire says
// what is asked and answered).
//
//	bridge ──mutual TLS──► peer (URI SAN) ──► bounded body ──► store.Internal
//	                        │ not a Bridge                        │
//	                        └─► 403                               └─► answer, or a problem
//
// Who calls is decided by the certificate alone; what it may touch is decided
// by the engine, per channel. Errors are RFC 9457 problems:
//
//	400 malformed · 401 no valid certificate · 403 not this Bridge's · 404 unknown
//	409 a lease is over · 413 too large · 503 nothing was committed, try again
package internalapi
