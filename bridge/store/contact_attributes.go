package store

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

// SetAttributes replaces the attributes that a contact is known by. Rules go by
// them from the next decision on; those that were made keep what they were made of.
func (s *Store) SetAttributes(ctx context.Context, scope Scope, contact string, attributes map[string]string) (Contact, error) {
	if err := scope.Write.check(); err != nil {
		return Contact{}, err
	}
	if err := checkPairs("attributes", attributes); err != nil {
		return Contact{}, err
	}
	known, err := s.Contact(ctx, scope, contact)
	if err != nil {
		return Contact{}, err
	}
	raw := ""
	if len(attributes) > 0 {
		content, err := json.Marshal(attributes) // with sorted keys
		if err != nil {
			return Contact{}, err
		}
		raw = string(content)
	}
	err = s.write(ctx, 1, func(t *txn) error {
		if _, done, err := t.repeated(known.Namespace, scope.Write); err != nil || done {
			return err
		}
		if err := t.remember(known.Namespace, scope.Write, ""); err != nil {
			return err
		}
		id, err := t.survivor(known.ID)
		if err != nil {
			return err
		}
		n, err := t.exec(`UPDATE contacts SET attributes = ? WHERE id = ? AND attributes <> ?`, raw, id, raw)
		if err != nil || n == 0 {
			return err
		}
		t.event(Event{Type: EventContactUpdated, Channel: known.Namespace + "/", Contact: id})
		return nil
	})
	if err != nil {
		return Contact{}, err
	}
	return s.Contact(ctx, scope, contact)
}

// checkPairs checks the attributes of a contact, or the labels of a conversation.
func checkPairs(field string, pairs map[string]string) error {
	if len(pairs) > routing.MaxValues {
		return &FieldError{Field: field, Message: fmt.Sprintf("has %d entries, %d is the limit", len(pairs), routing.MaxValues)}
	}
	for _, name := range slices.Sorted(maps.Keys(pairs)) {
		value := pairs[name]
		switch {
		case name == "" || len(name) > routing.MaxValueBytes || clean(name) != name:
			return &FieldError{Field: field, Message: fmt.Sprintf("a name must be valid text of 1 to %d bytes", routing.MaxValueBytes)}
		case len(value) > routing.MaxValueBytes || clean(value) != value:
			return &FieldError{Field: field + "." + name, Message: fmt.Sprintf("must be valid text of at most %d bytes", routing.MaxValueBytes)}
		}
	}
	return nil
}
