// Package volume gives a test a small file system of its own to fill up.
//
//	Mount ──► Fill (ballast until nothing fits) ──► Empty ──► … ──► unmounted with the test
//
// A file system in memory can be mounted by root only. Where that is not
// possible the test is skipped, and fails in CI; see package absent.
package volume
