// Package walfile makes SQLite write its log in large pieces.
//
// SQLite appends each changed page to its write-ahead log (WAL) with two writes,
// one for the 24 bytes of the frame's header and one for the page: some five
// hundred for a transaction of sixty messages, and half of the time that a
// commit takes beside the flush to disk. Here they gather in memory and are one
// write, at the latest when SQLite flushes the log:
//
//	page, page, page … ──► buffer ──► one write ──► fsync ──► the commit is
//	                          xSync ──┘                       made known
//
// What is in the buffer belongs to a transaction that is not committed yet: with
// synchronous=FULL SQLite makes a commit known to other connections after the
// flush only. That setting is therefore needed; with a weaker one other
// connections would look for frames that are not in the file yet.
//
// Everything but the log is SQLite's own "unix" VFS, untouched.
package walfile
