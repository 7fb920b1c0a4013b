// Package faults proves that nothing is lost: real processes, a real database,
// and the faults that production brings, under load. Every message that was
// answered with 2xx is counted afterwards, every message that a platform would
// go on repeating is repeated; in the end all of them stand in the store, each
// once, each contact's in order.
//
//	traffic ──► bridges ──► stores ──► SQLite | PostgreSQL
//	               ▲          ▲            ▲
//	             kill -9    pause       stop, start
//
// The tests are behind the build tag faults: `go test -tags faults
// ./hack/faults`, which `make test` does. What needs no processes is tested
// nearer to the code; README.md has the table of faults and where each is proved.
package faults
