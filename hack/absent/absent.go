// Package absent is what a test says when this machine lacks what it needs: a
// server, an interpreter, the right to mount. On a developer's machine the test
// is skipped, loudly. In CI (CI=true, as every CI service sets it), where all of
// that is there, it fails: a suite that passes there has run.
package absent

import (
	"os"
	"testing"
)

// Skip ends a test. what is what was not tested, missing what is not there.
func Skip(t testing.TB, what string, missing error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("NOT TESTED, which fails in CI: %s: %v", what, missing)
	}
	t.Skipf("SKIPPED, NOT TESTED: %s: %v", what, missing)
}
