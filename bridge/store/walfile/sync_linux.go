package walfile

import (
	"errors"

	"golang.org/x/sys/unix"
	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// syncContent brings to disk what is needed to read the file's content again:
// fdatasync, which SQLite uses by itself where it is told at its build that
// there is one. A failure is final: to ask again would say that all is well, as
// the system forgets what it could not write.
func syncContent(_ *libc.TLS, file uintptr, _ int32) int32 {
	fd := int(at[sqlite3.TunixFile](file).Fh)
	for {
		switch err := unix.Fdatasync(fd); {
		case err == nil:
			return sqlite3.SQLITE_OK
		case !errors.Is(err, unix.EINTR):
			return sqlite3.SQLITE_IOERR_FSYNC
		}
	}
}
