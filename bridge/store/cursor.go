package store

import (
	"encoding/base64"
	"encoding/json"
)

// defaultLimit and maxLimit bound a page.
const (
	defaultLimit = 50
	maxLimit     = 200
)

func limitOf(p PageQuery) (int, error) {
	switch {
	case p.Limit == 0:
		return defaultLimit, nil
	case p.Limit < 0 || p.Limit > maxLimit:
		return 0, &FieldError{Field: "limit", Message: "must be 1 to 200"}
	}
	return p.Limit, nil
}

// position is where a page ended, in the order of its list: a number (a time)
// and an id, or an id alone. List keeps a cursor of one list from being used
// in another.
type position struct {
	List string `json:"l"`
	At   int64  `json:"t,omitempty"`
	ID   string `json:"i"`
}

// Lists that have cursors.
const (
	listMessages             = "m"
	listConversations        = "c"
	listConversationMessages = "cm"
	listContacts             = "p"
	listRaw                  = "r"
)

// cursor is the opaque form of a position. Callers must not take it apart.
func (p position) cursor() string {
	raw, err := json.Marshal(p)
	if err != nil { // strings and numbers only
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// after reads the cursor of a list; ok is false at the beginning of it.
func after(list, cursor string) (p position, ok bool, err error) {
	if cursor == "" {
		return p, false, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err == nil {
		err = json.Unmarshal(raw, &p)
	}
	if err != nil || p.List != list || p.ID == "" || clean(p.ID) != p.ID {
		return position{}, false, &FieldError{Field: "after", Message: "is not a cursor of this list; take it from the \"next\" of a page, unchanged"}
	}
	return p, true, nil
}

// page cuts a list that was read one item too far.
func page[T any](items []T, limit int, at func(T) position) Page[T] {
	if len(items) <= limit {
		if items == nil {
			items = []T{}
		}
		return Page[T]{Items: items}
	}
	items = items[:limit]
	return Page[T]{Items: items, Next: at(items[limit-1]).cursor()}
}
