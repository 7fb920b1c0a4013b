package telegram

import (
	"context"
	"fmt"
	"time"
)

// Entry is one event of a chat, in the order in which Telegram saw them.
type Entry struct {
	Seq  int64     `json:"seq"` // 1, 2, 3 … within the chat
	Time time.Time `json:"time"`
	From string    `json:"from"` // "bot" or "customer"
	// Event is message, edit, delete, reaction, press, answer (to a press),
	// action (typing …), block, unblock, read or member.
	Event     string `json:"event"`
	MessageID int64  `json:"messageID,omitempty"`
	// Message is the message as it was then; later edits are entries of their
	// own.
	Message  *Message       `json:"message,omitempty"`
	Reaction []ReactionType `json:"reaction,omitempty"`
	// Detail is the action, the pressed data, or the text of an answer.
	Detail string `json:"detail,omitempty"`
	// CallbackID is the id of the press or of what was answered.
	CallbackID string `json:"callbackID,omitempty"`
}

// note adds an entry. The caller holds mu.
func (b *Bot) note(st *chatState, e Entry) {
	e.Seq = st.log.total + 1
	e.Time = b.server.opt.Now()
	if e.Message != nil {
		copied := *e.Message
		e.Message, e.MessageID = &copied, copied.MessageID
	}
	st.log.add(e)
	b.server.notify()
}

// Transcript returns all entries of a chat that are kept. conn is the business
// connection, or empty.
func (b *Bot) Transcript(chat int64, conn string) []Entry {
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	return b.transcript(chatKey{conn, chat}, 0)
}

func (b *Bot) transcript(key chatKey, after int64) []Entry {
	st := b.chats[key]
	if st == nil {
		return nil
	}
	all := st.log.all()
	for len(all) > 0 && all[0].Seq <= after {
		all = all[1:]
	}
	return all
}

// Query selects what WaitTranscript waits for.
type Query struct {
	Chat     int64
	Business string // business connection
	After    int64  // entries with a greater Seq
	From     string // "bot", "customer", or "" for both
	Event    string // "" for messages, "*" for all
	Count    int    // how many must match; 0: do not wait
}

// matches counts the entries that a query waits for.
func (q Query) matches(entries []Entry) int {
	n := 0
	for _, e := range entries {
		event := q.Event
		if event == "" {
			event = "message"
		}
		if (q.From == "" || q.From == e.From) && (event == "*" || event == e.Event) {
			n++
		}
	}
	return n
}

// WaitTranscript waits until Count entries match and returns all entries after
// After, also those that do not match, and also when ctx is over before.
func (b *Bot) WaitTranscript(ctx context.Context, q Query) ([]Entry, error) {
	var out []Entry
	err := b.server.wait(ctx, func() bool {
		out = b.transcript(chatKey{q.Business, q.Chat}, q.After)
		return q.matches(out) >= q.Count
	})
	if err != nil {
		err = fmt.Errorf("waiting for %d entries in chat %d, have %d: %w", q.Count, q.Chat, q.matches(out), err)
	}
	return out, err
}

// Chats returns the ids of the chats that the bot has had to do with.
func (b *Bot) Chats() []Chat {
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	var out []Chat
	for key, st := range b.chats {
		if key.conn == "" && st.chat.ID != 0 {
			out = append(out, st.chat)
		}
	}
	return out
}
