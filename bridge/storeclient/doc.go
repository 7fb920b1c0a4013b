// Package storeclient is how a bridge reaches its store.
//
//	                ┌─ Client: HTTP/2 with mutual TLS, another process
//	bridge ─ Store ─┤
//	                └─ Direct: the engine itself, the same process (standalone)
//
// Absent is a Direct without an engine, for as long as there is none.
//
// Errors are the store's own, whichever way they came: errors.Is with
// ErrUnavailable (nothing was committed, try again), ErrForbidden, ErrConflict
// and ErrNotFound works for both.
package storeclient
