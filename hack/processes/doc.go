// Package processes runs the data plane as it runs in pods, but as processes
// of this machine: the shipped binary, documents and certificates in folders,
// mutual TLS between them. Fault tests kill and stop them, benches measure them.
//
//	load ──► Balancer ──► bridge serve × n ──► Balancer ──► bridge store × m ──► SQLite | PostgreSQL
//	         as a Service does: a connection goes to one that takes it
//
// There is no cluster and no operator in it: documents are written here. What
// needs those is tested in hack/e2e.
package processes
