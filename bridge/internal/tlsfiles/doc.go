// Package tlsfiles keeps a process's certificate, key and CA bundle in step
// with a mounted folder, so that a rotation needs no restart.
//
//	tls.crt, tls.key, ca.crt ──(kubelet swaps a symlink)──► Files
//	   ServerConfig: every handshake uses what the folder holds now
//	   Guard:        every request on an older connection is checked again
//	   DialTLS:      every new connection uses what the folder holds now
//
// The folder is looked at when it is needed, at most once a second; there is
// no goroutine. A folder that cannot be read, or whose key and certificate do
// not belong together (half-written), changes nothing.
package tlsfiles
