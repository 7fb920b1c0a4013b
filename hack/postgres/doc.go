// Package postgres runs a real PostgreSQL for tests and benches: Debian's
// binaries, a cluster of its own in a temporary folder, a free port of
// 127.0.0.1, stopped by pid.
//
//	Find ──► initdb (once) ──► Start ──► NewDatabase … ──► Stop, Start, Kill ──► Close
//
// Servers refuse to run as root; then it runs as the user postgres, whom
// Debian's package makes.
package postgres
