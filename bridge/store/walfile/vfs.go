package walfile

import (
	"fmt"
	"sync"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// Name of the VFS, for the parameter "vfs" of a DSN.
const Name = "bridgekeeper-wal"

// Register makes the VFS known to SQLite, once. A connection that uses it must
// be synchronous=FULL or EXTRA.
var Register = sync.OnceValue(register)

// Functions of SQLite's own VFS, by their C signatures: open of the VFS, the
// others of an open log.
type (
	openFunc    = func(tls *libc.TLS, vfs, path, file uintptr, flags int32, outFlags uintptr) int32
	fileFunc    = func(tls *libc.TLS, file uintptr) int32
	blockFunc   = func(tls *libc.TLS, file, data uintptr, n int32, offset int64) int32
	flagsFunc   = func(tls *libc.TLS, file uintptr, flags int32) int32
	sizeFunc    = func(tls *libc.TLS, file, size uintptr) int32
	lengthFunc  = func(tls *libc.TLS, file uintptr, size int64) int32
	controlFunc = func(tls *libc.TLS, file uintptr, op int32, arg uintptr) int32
)

// at is what is at an address of SQLite's memory, which does not move.
func at[T any](address uintptr) *T { return *(**T)(unsafe.Pointer(&address)) }

// native is SQLite's own VFS and, once a log was opened, its methods.
var native struct {
	vfs      uintptr
	open     openFunc
	once     sync.Once
	methods  uintptr // ours
	read     blockFunc
	write    blockFunc
	sync     flagsFunc
	close    fileFunc
	size     sizeFunc
	truncate lengthFunc
	control  controlFunc
}

// function makes a Go function of an address in one of SQLite's tables.
func function[F any](address *uintptr) F { return *(*F)(unsafe.Pointer(address)) }

// replace puts a Go function into one of SQLite's tables. It must not be a
// closure: nobody else keeps it.
func replace[F any](address *uintptr, f F) { *(*F)(unsafe.Pointer(address)) = f }

func register() error {
	tls := libc.NewTLS()
	native.vfs = sqlite3.Xsqlite3_vfs_find(tls, 0)
	if native.vfs == 0 {
		return fmt.Errorf("SQLite has no VFS of its own")
	}
	name, err := libc.CString(Name)
	if err != nil {
		return err
	}
	ours := libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(sqlite3.Tsqlite3_vfs{})))
	if ours == 0 {
		return fmt.Errorf("register VFS %s: out of memory", Name)
	}
	vfs := at[sqlite3.Tsqlite3_vfs](ours)
	*vfs = *at[sqlite3.Tsqlite3_vfs](native.vfs)
	native.open = function[openFunc](&at[sqlite3.Tsqlite3_vfs](native.vfs).FxOpen)
	vfs.FpNext, vfs.FzName = 0, name
	replace[openFunc](&vfs.FxOpen, open)
	if rc := sqlite3.Xsqlite3_vfs_register(tls, ours, 0); rc != sqlite3.SQLITE_OK {
		return fmt.Errorf("register VFS %s: SQLite answers %d", Name, rc)
	}
	return nil
}

// open opens a file as SQLite's own VFS does, and puts our methods in the place
// of the log's.
func open(tls *libc.TLS, _, path, file uintptr, flags int32, outFlags uintptr) int32 {
	rc := native.open(tls, native.vfs, path, file, flags, outFlags)
	if rc != sqlite3.SQLITE_OK || flags&sqlite3.SQLITE_OPEN_WAL == 0 {
		return rc
	}
	opened := at[sqlite3.Tsqlite3_file](file)
	native.once.Do(func() { takeMethods(tls, opened.FpMethods) })
	if native.methods == 0 {
		return rc // no memory: the log is as SQLite writes it
	}
	opened.FpMethods = native.methods
	logs.add(file)
	return rc
}

// takeMethods makes our table of methods: a copy of SQLite's, with those that
// read, write or measure the file replaced. All logs have the same one.
func takeMethods(tls *libc.TLS, table uintptr) {
	theirs := at[sqlite3.Tsqlite3_io_methods](table)
	native.read, native.write = function[blockFunc](&theirs.FxRead), function[blockFunc](&theirs.FxWrite)
	native.sync, native.close = function[flagsFunc](&theirs.FxSync), function[fileFunc](&theirs.FxClose)
	native.size, native.truncate = function[sizeFunc](&theirs.FxFileSize), function[lengthFunc](&theirs.FxTruncate)
	native.control = function[controlFunc](&theirs.FxFileControl)
	copied := libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(sqlite3.Tsqlite3_io_methods{})))
	if copied == 0 {
		return
	}
	ours := at[sqlite3.Tsqlite3_io_methods](copied)
	*ours = *theirs
	replace[blockFunc](&ours.FxRead, read)
	replace[blockFunc](&ours.FxWrite, write)
	replace[flagsFunc](&ours.FxSync, syncFile)
	replace[fileFunc](&ours.FxClose, closeFile)
	replace[sizeFunc](&ours.FxFileSize, fileSize)
	replace[lengthFunc](&ours.FxTruncate, truncate)
	replace[controlFunc](&ours.FxFileControl, fileControl)
	native.methods = copied
}
