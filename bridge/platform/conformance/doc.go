// Package conformance is the suite that every platform passes.
//
//	Suite (payloads, signer, answers of the platform) ──Run──► one subtest per rule
//	                                                  ──FuzzParse, FuzzVerify──► fuzz tests
//
// A platform calls Run from its own tests; package all has a test that fails
// for a platform that does not. What is the same for all platforms (bodies that
// are too large, the order of receipts, duplicates) is the gateway's and the
// store's to handle and to test; the suite checks what they build on: the same
// payload gives the same external ids, whenever and in whatever order it comes.
//
// Golden files hold the events of each payload. Run the platform's tests with
// -update to write them, and read the difference before it is committed.
package conformance
