// Package traffic is what a platform does to a bridge under load: signed
// Messenger webhooks on many connections, repeated until they are answered
// with 2xx, and the bookkeeping that tells afterwards whether anything was
// lost, stored twice or put out of order.
//
//	contact 0, c, 2c …  ──► connection 0 ─┐
//	contact 1, c+1 …    ──► connection 1 ─┼─► POST, signed ──► 200: the next one
//	…                                     ┘                    else: the same again
//
// A contact writes its next message when the one before was taken, so that the
// order of a contact's messages in the store is known. Requests are written
// and answers read without net/http: a load generator that shares two cores
// with what it measures must cost little.
package traffic
