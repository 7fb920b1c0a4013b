//go:build !linux

package volume

import (
	"errors"
	"testing"

	"github.com/bridgekeeper/bridgekeeper/hack/absent"
)

// Volume is a mounted file system; only Linux has them here.
type Volume struct{}

// Mount skips the test.
func Mount(t testing.TB, _, _ string, _ int) *Volume {
	t.Helper()
	absent.Skip(t, "a full disk", errors.ErrUnsupported)
	return nil
}

// Resize is not reached.
func (v *Volume) Resize(string) error { return errors.ErrUnsupported }

// Fill is not reached.
func (v *Volume) Fill() error { return errors.ErrUnsupported }

// Empty is not reached.
func (v *Volume) Empty() error { return errors.ErrUnsupported }
