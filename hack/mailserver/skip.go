package mailserver

import (
	"errors"
	"os"
	"testing"
)

// Require ends a test that could not start the servers. Where they are missing
// it is a skip that says so, but in CI, where it is a failure: a suite that
// passes there has run on them.
func Require(t testing.TB, err error) {
	t.Helper()
	switch {
	case err == nil:
	case errors.Is(err, ErrMissing) && os.Getenv("CI") != "true":
		t.Skipf("SKIPPED, NOT TESTED on real mail servers: %v", err)
	default:
		t.Fatal(err)
	}
}
