package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
)

// Write names a write of a caller, so that repeating it does not do it again:
// what the first one did stands, also when somebody else has changed it since.
// Without a Key each write is one of its own.
type Write struct {
	// Key is the caller's, unique within a namespace for a week.
	Key string
	// Fingerprint tells requests apart: the same key with another one is ErrConflict.
	Fingerprint string
}

// check says whether the key can be kept.
func (w Write) check() error {
	if len(w.Key) > keyMax || clean(w.Key) != w.Key {
		return &FieldError{Field: "idempotencyKey", Message: fmt.Sprintf("must be valid text of at most %d bytes", keyMax)}
	}
	return nil
}

// repeated says whether a write was done before, and what it made.
func (t *txn) repeated(namespace string, w Write) (result string, done bool, err error) {
	if w.Key == "" {
		return "", false, nil
	}
	if err := t.hold(spaceKey, namespace+"/"+w.Key); err != nil {
		return "", false, err
	}
	var hash, id string
	found, err := one(background, t, []any{&hash, &result}, `SELECT hash, result FROM idempotent_writes WHERE namespace = ? AND key = ?`, namespace, w.Key)
	switch {
	case err != nil:
		return "", false, err
	case found && hash != w.Fingerprint:
		return "", false, fmt.Errorf("idempotency key %q was used for another request; use a new key: %w", w.Key, ErrConflict)
	case found:
		return result, true, nil
	}
	found, err = one(background, t, []any{&id}, `SELECT message FROM idempotency_keys WHERE namespace = ? AND key = ?`, namespace, w.Key)
	if err == nil && found {
		err = fmt.Errorf("idempotency key %q was used for a message (%s); use a new key: %w", w.Key, id, ErrConflict)
	}
	return "", false, err
}

// remember keeps that a write was done, with it. Where another replica did so
// meanwhile, the transaction fails and its next attempt finds it.
func (t *txn) remember(namespace string, w Write, result string) error {
	if w.Key == "" {
		return nil
	}
	_, err := t.exec(`INSERT INTO idempotent_writes (namespace, key, hash, result, created_at) VALUES (?, ?, ?, ?, ?)`,
		namespace, w.Key, w.Fingerprint, result, ms(t.now))
	return err
}

// writtenBefore says whether the very write was done before in a namespace of the
// scope, and what it made: where what it was about is gone since.
func (s *Store) writtenBefore(ctx context.Context, scope Scope) (result string, done bool, err error) {
	namespaces := scope.Namespaces
	if scope.All {
		all := map[string]bool{}
		for name := range s.state.Load().channels {
			all[namespaceOf(name)] = true
		}
		namespaces = slices.Sorted(maps.Keys(all))
	}
	for part := range slices.Chunk(namespaces, maxPadded) {
		done, err = one(ctx, s.read, []any{&result}, `SELECT result FROM idempotent_writes WHERE key = ? AND hash = ? AND namespace IN `+in(paddedTo(len(part))),
			append([]any{scope.Write.Key, scope.Write.Fingerprint}, padded(part)...)...)
		if err != nil || done {
			return result, done, err
		}
	}
	return "", false, nil
}

// forgetWrites removes keys that nobody repeats any more.
func (s *Store) forgetWrites(ctx context.Context) error {
	for {
		before := ms(s.removalTime().Add(-keysKeptFor))
		var oldest int64
		found, err := one(ctx, s.read, []any{&oldest}, `SELECT created_at FROM idempotent_writes ORDER BY created_at LIMIT 1`)
		if err != nil || !found || oldest >= before {
			return err
		}
		if err := s.write(ctx, forgetBatch, func(t *txn) error {
			_, err := t.exec(`DELETE FROM idempotent_writes WHERE (namespace, key) IN
				(SELECT namespace, key FROM idempotent_writes WHERE created_at < ? ORDER BY created_at LIMIT ?)`, before, forgetBatch)
			return err
		}); err != nil {
			return err
		}
	}
}
