// Package storeserver is the process behind "bridge store": the engine with
// its listeners.
//
//	:8081 health   /healthz at once · /readyz when serving · /metrics
//	:8443 internal mutual TLS: the internal API for bridges, /status for the operator
//	:8080 REST     /v1, /openapi.*
//	DATA/admin.sock  commands on the same machine: backup (SQLite only)
//
// It starts in an order that probes can follow (health, database, listeners,
// first document) and stops so that nothing is lost: not ready, long polls and
// streams end, requests finish, the database closes.
package storeserver
