package meta

import (
	"context"
	"sync/atomic"
	"testing"
)

var settling atomic.Pointer[func()]

func init() {
	awaitSettled = func(context.Context) error {
		if f := settling.Load(); f != nil {
			(*f)()
		}
		return nil
	}
}

// WhileSettling does what another replica does in the meantime.
func WhileSettling(t *testing.T, f func()) {
	settling.Store(&f)
	t.Cleanup(func() { settling.Store(nil) })
}
