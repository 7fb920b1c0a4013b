package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
)

const selectContacts = `SELECT c.id, c.namespace, c.display_name, c.language, c.attributes, c.created_at FROM contacts c `

func scanContact(rows *sql.Rows) (c Contact, err error) {
	var created int64
	var attributes string
	if err := rows.Scan(&c.ID, &c.Namespace, &c.DisplayName, &c.Language, &attributes, &created); err != nil {
		return c, err
	}
	c.CreatedAt, c.Identities = fromMS(created), []Identity{}
	return c, unmarshalSome(attributes, &c.Attributes)
}

// Contacts lists contacts in the order of their ids.
func (s *Store) Contacts(ctx context.Context, scope Scope, q ContactQuery) (Page[Contact], error) {
	limit, pos, _, err := start(listContacts, q.PageQuery)
	if err != nil {
		return Page[Contact]{}, err
	}
	keys, err := s.contactKeys(ctx, scope, q, pos.ID, limit+1)
	if err != nil {
		return Page[Contact]{}, err
	}
	load := func(ids []string) ([]Contact, error) { return s.loadContacts(ctx, ids) }
	return pageOf(listContacts, keys, limit, func(c Contact) string { return c.ID }, load)
}

func (s *Store) contactKeys(ctx context.Context, scope Scope, q ContactQuery, after string, limit int) ([]sortKey, error) {
	read := func(c conditions) ([]sortKey, error) {
		c.add("c.id > ?", after)
		c.add("c.merged_into = ''")
		return all(ctx, s.read, scanKey, `SELECT 0, c.id FROM contacts c `+c.where()+`ORDER BY c.id LIMIT ?`, append(c.args, limit)...)
	}
	var c conditions
	if q.Channel != "" {
		if err := seeChannel(scope, q.Channel); err != nil {
			return nil, err
		}
		scope = Scope{Namespaces: []string{namespaceOf(q.Channel)}}
	}
	switch {
	case q.ExternalID != "" && q.Channel == "":
		return nil, &FieldError{Field: "channel", Message: "is required with externalId: an address means something on its channel only"}
	case q.ExternalID != "":
		c.add("c.id IN (SELECT contact FROM identities WHERE channel = ? AND external_id = ?)", q.Channel, q.ExternalID)
		return read(c)
	case q.Channel != "":
		c.add("EXISTS (SELECT 1 FROM identities i WHERE i.contact = c.id AND i.channel = ?)", q.Channel)
	case scope.All:
		return read(c)
	}
	namespaces := slices.Compact(slices.Sorted(slices.Values(scope.Namespaces)))
	return merge(namespaces, limit, sortKey.compare, func(ns string, bound *sortKey) ([]sortKey, error) {
		own := conditions{slices.Clone(c.sql), slices.Clone(c.args)}
		own.add("c.namespace = ?", ns)
		if bound != nil {
			own.add("c.id < ?", bound.id)
		}
		return read(own)
	})
}

// Contact returns one contact; by the id of one that was merged into another, that
// other one.
func (s *Store) Contact(ctx context.Context, scope Scope, id string) (Contact, error) {
	now, visible, err := s.seeContact(ctx, scope, id)
	var list []Contact
	if err == nil && visible {
		list, err = s.loadContacts(ctx, []string{now})
	}
	if err != nil {
		return Contact{}, err
	}
	if len(list) == 0 {
		return Contact{}, fmt.Errorf("contact %s: %w", id, ErrNotFound)
	}
	return list[0], nil
}

func (s *Store) loadContacts(ctx context.Context, ids []string) ([]Contact, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	list, err := all(ctx, s.read, scanContact, selectContacts+`WHERE c.id IN `+in(len(ids)), anys(ids)...)
	if err != nil {
		return nil, err
	}
	if err := addIdentities(ctx, s.read, list); err != nil {
		return nil, err
	}
	return list, addMerged(ctx, s.read, list)
}

// addMerged adds the ids that contacts had before they were merged.
func addMerged(ctx context.Context, q querier, list []Contact) error {
	index := make(map[string]*Contact, len(list))
	ids := make([]any, len(list))
	for i := range list {
		ids[i], index[list[i].ID] = list[i].ID, &list[i]
	}
	if len(list) == 0 {
		return nil
	}
	_, err := all(ctx, q, func(rows *sql.Rows) (struct{}, error) {
		var id, into string
		err := rows.Scan(&id, &into)
		if c := index[into]; c != nil {
			c.MergedIDs = append(c.MergedIDs, id)
		}
		return struct{}{}, err
	}, `SELECT id, merged_into FROM contacts WHERE merged_into <> '' AND merged_into IN `+in(len(ids))+` ORDER BY id`, ids...)
	return err
}

func addIdentities(ctx context.Context, q querier, list []Contact) error {
	if len(list) == 0 {
		return nil
	}
	index := make(map[string]*Contact, len(list))
	ids := make([]any, len(list))
	for i := range list {
		ids[i], index[list[i].ID] = list[i].ID, &list[i]
	}
	rows, err := q.rows(ctx, `SELECT contact, channel, external_id, username, reachable FROM identities WHERE contact IN `+in(len(ids))+` ORDER BY id`, ids...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var contact string
		var i Identity
		var reachable int64
		if err := rows.Scan(&contact, &i.Channel, &i.ExternalID, &i.Username, &reachable); err != nil {
			return err
		}
		_, i.Channel = splitChannel(i.Channel)
		i.Reachable = reachable == 1
		index[contact].Identities = append(index[contact].Identities, i)
	}
	return rows.Err()
}
