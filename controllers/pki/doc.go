// Package pki is the small certificate authority between the operator, the
// bridges and the stores. It is pure but for randomness: state in, state out;
// the reconcilers keep it in Secrets.
//
//	         8 months            a day later            until it expires
//	current ─────────► + next ─────────────► next is current, old is previous
//	                   (trusted,             (signs; all leaves are
//	                    does not sign)        issued again)
//
// Everybody trusts the whole bundle (previous, current, next), so a rotation
// never meets a peer that does not know the signer: by the time next signs,
// every pod has had its certificate in the bundle for a day, and pods read
// changed files in seconds.
package pki
