package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// window is how a message stands to the platform's messaging window.
type window int

const (
	windowOpen     window = iota
	windowExtended        // over, but people may still answer
	windowClosed
)

// acts are what a contact did on a channel that opens the platform's window, and
// when they last did it (zero: never, as far as is known here).
type acts struct {
	wrote time.Time // in whichever conversation
	acted time.Time // one of Capabilities.WindowOpeners
	byAd  time.Time // an ad led to what they wrote
}

// window decides from recorded facts: what the contact did, who speaks, and
// whether the channel lets people answer for longer (StoreChannel.AgentWindow),
// which platforms grant to people only.
func (a acts) window(caps platform.Capabilities, agentWindow bool, author message.AuthorKind, now time.Time) window {
	last := a.wrote
	if a.acted.After(last) {
		last = a.acted
	}
	w := windowOf(caps, agentWindow, author, last, now)
	if w == windowClosed && !a.byAd.IsZero() && now.Sub(a.byAd) <= caps.AdWindow {
		return windowOpen // perhaps: the platform knows for how long
	}
	return w
}

// windowOf is window where nothing but the last act is known. Where not even that
// is (zero: they came before this store, and wrote to the account elsewhere), the
// platform is asked by sending; but nobody is surveyed on a guess.
func windowOf(caps platform.Capabilities, agentWindow bool, author message.AuthorKind, last, now time.Time) window {
	since := now.Sub(last)
	extended := agentWindow && author == message.AuthorAgent
	switch {
	case caps.Window == 0:
		return windowOpen
	case last.IsZero() && author == message.AuthorSurvey:
		return windowClosed
	case last.IsZero() && extended:
		return windowExtended // holds for longest
	case last.IsZero() || since <= caps.Window:
		return windowOpen
	case extended && since <= caps.AgentWindow:
		return windowExtended
	}
	return windowClosed
}

// windowReason says in words why a message is outside of the window, and what
// would let it pass.
func windowReason(caps platform.Capabilities, agentWindow bool, author message.AuthorKind) string {
	switch {
	case caps.AgentWindow <= caps.Window:
		return fmt.Sprintf("the contact last wrote more than %s ago; the platform takes no messages after that", caps.Window)
	case author != message.AuthorAgent:
		return fmt.Sprintf("the contact last wrote more than %s ago; after that only people may write, not %s", caps.Window, author)
	case !agentWindow:
		return fmt.Sprintf("the contact last wrote more than %s ago; the platform lets people answer for %s where the Channel allows it", caps.Window, caps.AgentWindow)
	}
	return fmt.Sprintf("the contact last wrote more than %s ago; the platform takes no messages of people after that either", caps.AgentWindow)
}

// window of what a lane is about to send.
func (h *head) window(ch *servedChannel, now time.Time) window {
	return h.acts.window(ch.caps, ch.AgentWindow, h.authorKind, now)
}

func (h *head) refuseWindow(ch *servedChannel) {
	h.fail(string(wire.ErrOutsideWindow) + ": " + windowReason(ch.caps, ch.AgentWindow, h.authorKind))
}

// actsColumns are what a contact of conversation v did; its identity is i. A
// contact has fewer conversations than a channel, whose index is kept from the
// planner.
const actsColumns = `(SELECT MAX(o.last_inbound_at) FROM conversations o WHERE o.contact = v.contact AND o.channel || '' = v.channel), i.acted_at, i.ad_at`

// actsRow reads them.
type actsRow struct{ wrote, acted, byAd int64 }

func (r *actsRow) fields() []any { return []any{&r.wrote, &r.acted, &r.byAd} }

func (r *actsRow) acts() acts { return acts{fromMS(r.wrote), fromMS(r.acted), fromMS(r.byAd)} }

// actsOf is what the contact of a conversation did on its channel.
func actsOf(ctx context.Context, q querier, conversation string) (acts, error) {
	var r actsRow
	_, err := one(ctx, q, r.fields(), `SELECT `+actsColumns+` FROM conversations v JOIN identities i ON i.id = v.identity WHERE v.id = ?`, conversation)
	return r.acts(), err
}

// openWindow notes that the contact did something, beside writing, that opens
// the platform's window: in the contact's own time, as it may come late.
func (a *arrival) openWindow() (wire.Result, error) {
	m := a.event.Message
	caps, _ := a.s.capabilities(a.channel)
	if a.direction != message.Inbound || m.Contact == nil || !slices.Contains(caps.WindowOpeners, m.Type) ||
		m.Reaction != nil && m.Reaction.Action == message.ReactionRemove {
		return "", nil
	}
	at := ms(m.Timestamp)
	return "", a.t.later(`UPDATE identities SET acted_at = ? WHERE external_id = ? AND channel = ? AND acted_at < ?`, at, m.Contact.ExternalID, a.channel.Name, at)
}

// noteAd notes that an ad led to a message.
func (a *arrival) noteAd() (wire.Result, error) {
	m := a.event.Message
	if m.Referral == nil || a.direction != message.Inbound {
		return "", nil
	}
	if caps, _ := a.s.capabilities(a.channel); caps.AdWindow == 0 || m.Referral.Source != caps.AdSource {
		return "", nil
	}
	at := ms(m.Timestamp)
	return "", a.t.later(`UPDATE identities SET ad_at = ? WHERE id = ? AND ad_at < ?`, at, a.party.identity, at)
}
