package postgres

import (
	"errors"
	"testing"

	"github.com/bridgekeeper/bridgekeeper/hack/absent"
)

// Require ends a test that could not start a server. Where PostgreSQL is
// missing it is a skip that says so, but in CI, where it is a failure: a suite
// that passes there has run on it.
func Require(t testing.TB, err error) {
	t.Helper()
	switch {
	case err == nil:
	case errors.Is(err, ErrMissing):
		absent.Skip(t, "PostgreSQL", err)
	default:
		t.Fatal(err)
	}
}
