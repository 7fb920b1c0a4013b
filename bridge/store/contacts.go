package store

import "context"

// ContactWriter is what REST does with contacts as such. All of it can be repeated
// with the idempotency key of the scope. What is outside the scope is ErrNotFound.
type ContactWriter interface {
	// MergeContacts makes the contact from one with into, which stays: it gets all
	// that from has, and the id of from means into ever after.
	MergeContacts(ctx context.Context, s Scope, into, from string) (Contact, error)
	// EraseContact removes a contact with all that is known of it; see erase.go for
	// what remains. ErrUnavailable: something is being sent to it at this moment, or
	// the database was away; some of it may be removed, and repeating goes on.
	EraseContact(ctx context.Context, s Scope, id string) error
}

var _ ContactWriter = (*Store)(nil)
