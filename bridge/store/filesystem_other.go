//go:build !linux

package store

import "errors"

// Stores run on Linux; elsewhere, on a developer's machine, the filesystem is
// taken as it is.
func refuseNetworkFilesystem(string) error { return nil }

func diskFree(string) (free, total uint64, err error) { return 0, 0, errors.ErrUnsupported }
