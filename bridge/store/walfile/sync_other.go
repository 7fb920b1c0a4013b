//go:build !linux

package walfile

import "modernc.org/libc"

// syncContent is what SQLite's own VFS does.
func syncContent(tls *libc.TLS, file uintptr, flags int32) int32 {
	return native.sync(tls, file, flags)
}
