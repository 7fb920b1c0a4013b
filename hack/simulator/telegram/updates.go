package telegram

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// updateKinds are the kinds of update, in the order of the real server's list.
var updateKinds = []string{
	"message", "edited_message", "channel_post", "edited_channel_post", "inline_query", "chosen_inline_result",
	"callback_query", "shipping_query", "pre_checkout_query", "purchased_paid_media", "poll", "poll_answer",
	"my_chat_member", "chat_member", "chat_join_request", "chat_boost", "removed_chat_boost", "message_reaction",
	"message_reaction_count", "business_connection", "business_message", "edited_business_message",
	"deleted_business_messages", "guest_message", "managed_bot",
}

// updateSet is a set of update kinds, one bit each.
type updateSet uint32

// defaultUpdates is what a bot gets that never named allowed_updates: all but
// three kinds.
var defaultUpdates = func() updateSet {
	var all updateSet
	for i, kind := range updateKinds {
		if kind != "chat_member" && kind != "message_reaction" && kind != "message_reaction_count" {
			all |= 1 << i
		}
	}
	return all
}()

func (u updateSet) has(kind string) bool {
	i := slices.Index(updateKinds, kind)
	return i >= 0 && u>>i&1 == 1
}

func (u updateSet) names() []string {
	var out []string
	for i, kind := range updateKinds {
		if u>>i&1 == 1 {
			out = append(out, kind)
		}
	}
	return out
}

// parseAllowed reads allowed_updates. ok is false when it changes nothing: not
// given, or not a list of strings. Unknown names are skipped, and a list with
// no known name means the default set.
func parseAllowed(text string) (set updateSet, ok bool) {
	var names []string
	if text == "" || json.Unmarshal([]byte(text), &names) != nil || names == nil {
		return 0, false
	}
	for _, name := range names {
		if i := slices.Index(updateKinds, strings.ToLower(name)); i >= 0 {
			set |= 1 << i
		}
	}
	if set == 0 {
		set = defaultUpdates
	}
	return set, true
}

// setAllowed applies a call's allowed_updates; it stays for later calls.
// Updates that are already in the queue stay there.
func (b *Bot) setAllowed(c *call) {
	if set, ok := parseAllowed(c.arg("allowed_updates")); ok {
		b.allowed = set
	}
}

// update is one entry of a bot's queue.
type update struct {
	id      int64
	kind    string
	chat    int64 // for faults
	payload json.RawMessage
	lane    string // deliveries of one lane follow each other
	expires time.Time
	visible time.Time // a fault holds it back until then
	extra   int       // a fault delivers it this many more times
	shuffle bool      // a fault lets it overtake others

	attempts int // deliveries to the webhook so far
	retryAt  time.Time
	backoff  time.Duration
}

// body is the update as it is sent.
func (u *update) body() json.RawMessage {
	kind, _ := json.Marshal(u.kind)
	id, _ := json.Marshal(u.id)
	return slices.Concat([]byte(`{"update_id":`), id, []byte(`,`), kind, []byte(`:`), u.payload, []byte(`}`))
}

// lifetimes of updates in the queue: a day, and less for a callback query.
const (
	updateLife   = 24 * time.Hour
	callbackLife = 150 * time.Second
)

// push queues an update if the bot wants its kind. lane groups the updates
// that a webhook gets strictly one after the other. The caller holds mu.
func (b *Bot) push(kind string, payload any, lane string, chat int64) {
	if !b.allowed.has(kind) {
		return
	}
	raw, err := json.Marshal(payload)
	if err != nil {
		panic("telegram simulator: " + err.Error()) // our own types always encode
	}
	if len(b.queue) >= b.server.opt.Memory.Updates {
		b.lost++ // the real server drops what does not fit into its queue as well
		return
	}
	now := time.Now()
	u := &update{id: b.nextUpdate, kind: kind, chat: chat, payload: raw, lane: lane, expires: now.Add(updateLife)}
	if kind == "callback_query" {
		u.expires = now.Add(callbackLife)
	}
	b.nextUpdate++
	b.queue = append(b.queue, u)
	b.spoil(u)
	b.signal()
}

// take returns the updates from offset on and forgets those before it, as one
// getUpdates does.
func (b *Bot) take(offset int64, limit int) []*update {
	if offset < 0 {
		if keep := int(-offset); keep < len(b.queue) {
			b.queue = b.queue[len(b.queue)-keep:]
		}
	}
	// The queue accepts an offset a little past its end; one far ahead or far
	// behind is not from this queue and counts as none.
	if offset > 0 && offset <= b.nextUpdate+10 {
		b.queue = slices.DeleteFunc(b.queue, func(u *update) bool { return u.id < offset })
	}
	now := time.Now()
	b.queue = slices.DeleteFunc(b.queue, func(u *update) bool { return now.After(u.expires) })
	var out []*update
	for _, u := range b.queue {
		// One that a fault holds back holds back all behind it: the next offset
		// would confirm it unseen.
		if len(out) == limit || u.visible.After(now) {
			break
		}
		out = append(out, u)
	}
	return out
}

// encode makes the answer of getUpdates, with duplicates and disorder where a
// fault asked for them.
func (b *Bot) encode(updates []*update) []json.RawMessage {
	out := make([]json.RawMessage, 0, len(updates))
	shuffle := false
	for _, u := range updates {
		for range 1 + u.extra {
			out = append(out, u.body())
		}
		u.extra = 0
		shuffle = shuffle || u.shuffle
	}
	if shuffle {
		b.server.rnd.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	}
	return out
}

// longPoll is a getUpdates call that waits.
type longPoll struct{ aborted chan string }

// pollHistory is what the real server remembers to slow busy pollers down.
type pollHistory struct {
	offset       int64
	start        time.Time
	nextConflict time.Time
}

// maxPoll is the longest time that getUpdates waits, whatever was asked.
const maxPoll = 50

func getUpdates(c *call) (any, *apiError) {
	b, s := c.bot, c.server
	s.mu.Lock()
	if b.hook != nil {
		s.mu.Unlock()
		return nil, b.conflict(c, textWebhookActive)
	}
	offset := int64(c.integer("offset", 0, -1<<31, 1<<31-1))
	limit := c.integer("limit", 100, 1, 100)
	timeout := c.integer("timeout", 0, 0, maxPoll)
	b.setAllowed(c)
	// Polls that repeat the same offset at once are slowed down.
	now := time.Now()
	if h := b.polls; offset == h.offset && !h.start.IsZero() {
		if now.Sub(h.start) < 3*time.Second {
			timeout = max(timeout, 3)
		}
		if now.Sub(h.start) < time.Second/2 {
			limit = 1
		}
	}
	b.polls.offset, b.polls.start = offset, now
	updates := b.take(offset, limit)
	if len(updates) > 0 || timeout == 0 {
		defer s.mu.Unlock()
		return b.encode(updates), nil
	}
	b.abortPoll(textOtherGetUpdate)
	p := &longPoll{aborted: make(chan string, 1)}
	b.poll = p
	s.notify()
	s.mu.Unlock()
	return b.waitUpdates(c, p, offset, limit, time.Duration(timeout)*time.Second)
}

// waitUpdates waits until there is something, the time is over, or another
// call ends it.
func (b *Bot) waitUpdates(c *call, p *longPoll, offset int64, limit int, timeout time.Duration) (any, *apiError) {
	s := b.server
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	for over := false; ; {
		s.mu.Lock()
		wake := b.wake
		mine := b.poll == p
		var updates []*update
		if mine {
			updates = b.take(max(offset, 0), limit) // a negative offset has done its work
		}
		if mine && (len(updates) > 0 || over) {
			b.poll = nil
			out := b.encode(updates)
			s.mu.Unlock()
			return out, nil
		}
		s.mu.Unlock()
		select {
		case <-wake:
		case text := <-p.aborted:
			return nil, b.conflict(c, text)
		case <-timer.C:
			over = true
		case <-c.ctx.Done():
			over = true
		case <-s.done.Done():
			return nil, fail(500, "Internal Server Error: restart")
		}
	}
}

// abortPoll ends a waiting getUpdates. The caller holds mu.
func (b *Bot) abortPoll(text string) {
	if b.poll != nil {
		b.poll.aborted <- text // has room for one, and a poll is aborted once
		b.poll = nil
	}
}

// conflict answers with 409, the second time within ConflictDelay only after
// that delay.
func (b *Bot) conflict(c *call, text string) *apiError {
	delay := b.server.opt.ConflictDelay
	now := time.Now()
	b.server.mu.Lock()
	held := now.Before(b.polls.nextConflict)
	if !held {
		b.polls.nextConflict = now.Add(delay)
	}
	b.server.mu.Unlock()
	if held {
		c.sleep(delay)
	}
	return fail(409, text)
}

// sleep waits, or less when the client goes or the server closes.
func (c *call) sleep(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.ctx.Done():
	case <-c.server.done.Done():
	}
}
