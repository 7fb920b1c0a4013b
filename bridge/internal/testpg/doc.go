// Package testpg runs a real PostgreSQL for tests: one server per test process,
// one database per test, copied from a template.
//
//	Start ── initdb and postgres, as an unprivileged user, in a temporary folder,
//	  │      on a Unix socket and a port of 127.0.0.1
//	  ├── Database: CREATE DATABASE … TEMPLATE, a few ten milliseconds
//	  └── Stop, Restart, Kill: by the pid that was started
//
// The programs are those of the system (Debian: postgresql-15). Where they are
// missing, and the process may install packages, they are installed; else tests
// are skipped loudly, and with CI=true they fail.
package testpg
