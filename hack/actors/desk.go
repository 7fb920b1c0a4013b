package actors

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
)

// Desk is a caller of REST. Safe for concurrent use.
type Desk struct{ rest endpoint }

// NewDesk makes a desk; base is the URL of REST without a path, transport how
// it is reached (nil: directly).
func NewDesk(base, token string, transport http.RoundTripper) *Desk {
	e := newEndpoint(base, transport)
	e.header.Set("Authorization", "Bearer "+token)
	return &Desk{rest: e}
}

// Messages returns all messages of a channel ("namespace/name") in the order
// they were stored; direction may be empty.
func (d *Desk) Messages(ctx context.Context, channel string, direction message.Direction) ([]message.Message, error) {
	q := url.Values{"channel": {channel}}
	if direction != "" {
		q.Set("direction", string(direction))
	}
	return pages[message.Message](ctx, d.rest, "/v1/messages", q)
}

// Conversations returns all conversations of a channel, latest activity first.
func (d *Desk) Conversations(ctx context.Context, channel string) ([]store.Conversation, error) {
	return pages[store.Conversation](ctx, d.rest, "/v1/conversations", url.Values{"channel": {channel}})
}

// Conversation returns a conversation's messages in the order of their time.
func (d *Desk) Conversation(ctx context.Context, id string) ([]message.Message, error) {
	return pages[message.Message](ctx, d.rest, "/v1/conversations/"+id+"/messages", url.Values{})
}

// Reply sends a text in a conversation. Two calls with the same key send once.
func (d *Desk) Reply(ctx context.Context, conversation, key, text string) (message.Message, error) {
	e := d.rest
	e.header = e.header.Clone()
	e.header.Set("Idempotency-Key", key)
	var sent message.Message
	err := e.call(ctx, http.MethodPost, "/v1/conversations/"+conversation+"/messages", map[string]string{"text": text}, &sent)
	return sent, err
}

// Find returns the message with this text on a channel, or nil.
func (d *Desk) Find(ctx context.Context, channel, text string) (*message.Message, error) {
	all, err := d.Messages(ctx, channel, "")
	if err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].Text == text {
			return &all[i], nil
		}
	}
	return nil, nil
}

// maxPages bounds a listing: 2000 pages of 200 are more than any test or bench makes.
const maxPages = 2000

func pages[T any](ctx context.Context, e endpoint, path string, q url.Values) ([]T, error) {
	q.Set("limit", "200")
	var all []T
	for range maxPages {
		var page store.Page[T]
		if err := e.call(ctx, http.MethodGet, path+"?"+q.Encode(), nil, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if page.Next == "" {
			return all, nil
		}
		q.Set("after", page.Next)
	}
	return nil, fmt.Errorf("%s: more than %d pages", path, maxPages)
}
