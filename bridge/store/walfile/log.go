package walfile

import (
	"sync"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// maxBuffered is what SQLite's VFS writes at once, in bytes (it keeps 17 bits of
// the length): 31 pages.
const maxBuffered = 1<<17 - 1

// log is an open log of one connection, which uses it on one goroutine at a
// time.
type log struct {
	start  int64 // where in the file the buffer belongs
	buffer []byte
	synced bool // by SQLite's own VFS, once
}

// open logs, by the address of SQLite's file.
type openLogs struct {
	mu     sync.RWMutex
	byFile map[uintptr]*log
}

var logs = openLogs{byFile: map[uintptr]*log{}}

func (o *openLogs) add(file uintptr) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.byFile[file] = &log{}
}

func (o *openLogs) of(file uintptr) *log {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.byFile[file]
}

func (o *openLogs) remove(file uintptr) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.byFile, file)
}

// flush writes what has gathered. Where that fails, SQLite rolls back the
// transaction that it is of, and writes other pages in its place.
func (l *log) flush(tls *libc.TLS, file uintptr) int32 {
	if len(l.buffer) == 0 {
		return sqlite3.SQLITE_OK
	}
	data := l.buffer
	l.buffer = l.buffer[:0]
	return native.write(tls, file, uintptr(unsafe.Pointer(unsafe.SliceData(data))), int32(len(data)), l.start) //nolint:gosec // below maxBuffered
}

func write(tls *libc.TLS, file, data uintptr, n int32, offset int64) int32 {
	l := logs.of(file)
	if offset != l.start+int64(len(l.buffer)) || len(l.buffer)+int(n) > maxBuffered {
		if rc := l.flush(tls, file); rc != sqlite3.SQLITE_OK {
			return rc
		}
	}
	if len(l.buffer) == 0 {
		l.start = offset
	}
	l.buffer = append(l.buffer, unsafe.Slice(at[byte](data), n)...)
	return sqlite3.SQLITE_OK
}

// read flushes before it reads what is not in the file yet: pages that did not
// fit into the cache come back within their transaction.
func read(tls *libc.TLS, file, data uintptr, n int32, offset int64) int32 {
	l := logs.of(file)
	if offset+int64(n) > l.start {
		if rc := l.flush(tls, file); rc != sqlite3.SQLITE_OK {
			return rc
		}
	}
	return native.read(tls, file, data, n, offset)
}

// syncFile flushes the log to disk. The first time SQLite's own VFS does it, and
// makes the file's name durable, too. After that its content is enough, and its
// length where that has changed: SQLite writes over its log again and again, and
// what else fsync would bring to disk then (the time of the last change) costs a
// transaction of the file system, which waits for everybody else's, too.
func syncFile(tls *libc.TLS, file uintptr, flags int32) int32 {
	l := logs.of(file)
	if rc := l.flush(tls, file); rc != sqlite3.SQLITE_OK {
		return rc
	}
	if l.synced {
		return syncContent(tls, file, flags)
	}
	rc := native.sync(tls, file, flags)
	l.synced = rc == sqlite3.SQLITE_OK
	return rc
}

func fileSize(tls *libc.TLS, file, size uintptr) int32 {
	if rc := logs.of(file).flush(tls, file); rc != sqlite3.SQLITE_OK {
		return rc
	}
	return native.size(tls, file, size)
}

func truncate(tls *libc.TLS, file uintptr, size int64) int32 {
	if rc := logs.of(file).flush(tls, file); rc != sqlite3.SQLITE_OK {
		return rc
	}
	return native.truncate(tls, file, size)
}

func fileControl(tls *libc.TLS, file uintptr, op int32, arg uintptr) int32 {
	if rc := logs.of(file).flush(tls, file); rc != sqlite3.SQLITE_OK {
		return rc
	}
	return native.control(tls, file, op, arg)
}

// closeFile leaves out what was never flushed: it is of a transaction that was
// not committed.
func closeFile(tls *libc.TLS, file uintptr) int32 {
	logs.remove(file)
	return native.close(tls, file)
}
