package volume

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/hack/absent"
)

// Volume is a mounted file system. Its methods may be called from any goroutine.
type Volume struct{ dir string }

// Mount mounts a file system of a size ("4m") over a folder that is there, which
// belongs to uid; whoever works in it must have ended when the test's clean-ups
// from before this call run.
func Mount(t testing.TB, dir, size string, uid int) *Volume {
	t.Helper()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%s,mode=0700,uid=%d", size, uid)); err != nil {
		absent.Skip(t, "a full disk", fmt.Errorf("a small file system cannot be mounted here (needs root): %w", err))
	}
	t.Cleanup(func() {
		err := syscall.Unmount(dir, 0)
		if err != nil { // somebody still works in it; it goes with them
			_ = syscall.Unmount(dir, syscall.MNT_DETACH)
		}
		require.NoError(t, err)
	})
	return &Volume{dir: dir}
}

// Resize changes its size, as a volume is expanded.
func (v *Volume) Resize(size string) error {
	return syscall.Mount("tmpfs", v.dir, "tmpfs", syscall.MS_REMOUNT, "size="+size)
}

func (v *Volume) ballast() string { return filepath.Join(v.dir, "ballast") }

// Fill takes all the room that is left.
func (v *Volume) Fill() error {
	f, err := os.OpenFile(v.ballast(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	for block := make([]byte, 64<<10); err == nil; {
		_, err = f.Write(block)
	}
	if errors.Is(err, syscall.ENOSPC) {
		return nil
	}
	return err
}

// Empty gives back what Fill took.
func (v *Volume) Empty() error { return os.Remove(v.ballast()) }
