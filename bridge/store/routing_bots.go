package store

import (
	"encoding/json"
	"errors"

	"github.com/bridgekeeper/bridgekeeper/bridge/bot"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

// reasonFailure is why a conversation is taken from a bot that does not work.
const reasonFailure = string(bot.ReasonFailure)

// botAnswer is what a bot says to one message, whichever kind of bot.
type botAnswer struct {
	replies []bot.Reply
	topics  []string
	// language that the contact speaks, as the bot found out; empty: it says nothing.
	language string
	state    bot.State
	// handover is why it gives the conversation up; empty: it keeps it.
	handover string
}

// beginTurn lets the bot that a decision names begin: with the message that
// brought the event, or by itself where it is given back a conversation.
func (r *dispatcher) beginTurn(t *txn, v *convRow, o *occasion, before Owner) error {
	e := errand{conversation: v.id, kind: errandBot, target: v.owner.Name, epoch: v.epoch, decision: o.decision}
	if o.message != nil {
		e.message = o.message.ID
	} else if before == v.owner {
		return nil // it goes on where it is
	}
	return t.addErrand(e)
}

// botTakesOver lets a bot begin that somebody passed the conversation to. A bot of
// REST learns it from the event log. A Bot that is not there (any more) hands over.
func (t *txn) botTakesOver(v *convRow) error {
	st := t.c.dispatcher.s.state.Load()
	if _, ok := st.routes.bots[v.owner.Name]; !ok && (!isBotName(v.owner.Name) || !st.enforces(v.channel)) {
		return nil
	}
	return t.addErrand(errand{conversation: v.id, kind: errandBot, target: v.owner.Name, epoch: v.epoch})
}

// takeTurn answers for a built-in bot. One that has left the document since hands over.
func (r *dispatcher) takeTurn(m *matter) (errandResult, error) {
	b := r.s.state.Load().routes.bots[m.e.target].content
	if b == nil || b.builtIn == nil {
		return r.heard(m, botAnswer{handover: reasonFailure})
	}
	state, err := m.botState()
	if err != nil {
		return "", err
	}
	in, err := m.input()
	if err != nil {
		return "", err
	}
	res := bot.Step(b.builtIn, state, in)
	return r.heard(m, botAnswer{replies: res.Replies, topics: res.Topics, state: res.State, handover: string(res.Handover)})
}

// input is what the bot is to answer.
func (m *matter) input() (bot.Input, error) {
	in := bot.Input{Language: m.language(), Returned: m.e.message == ""}
	if in.Returned {
		return in, nil
	}
	var raw string
	if _, err := one(m.t.ctx, m.t, []any{&in.Text, &raw}, `SELECT text, content FROM messages WHERE id = ?`, m.e.message); err != nil {
		return in, err
	}
	c, err := decodeContent(raw)
	if c.Postback != nil {
		in.Payload = c.Postback.Payload
		if in.Text == "" {
			in.Text = c.Postback.Title
		}
	}
	return in, err
}

// botState is what the bot remembers of the conversation; nothing, where another
// one had it before.
func (m *matter) botState() (state bot.State, err error) {
	var name, raw string
	if _, err := one(m.t.ctx, m.t, []any{&name, &raw}, `SELECT bot, state FROM bot_states WHERE conversation = ?`, m.v.id); err != nil || name != m.e.target {
		return state, err
	}
	return state, unmarshalSome(raw, &state)
}

func (m *matter) remember(state bot.State) error {
	raw, err := json.Marshal(state)
	if err != nil {
		return err
	}
	return m.t.later(`INSERT INTO bot_states (conversation, bot, state) VALUES (?, ?, ?) ON CONFLICT (conversation) DO UPDATE SET bot = excluded.bot, state = excluded.state`,
		m.v.id, m.e.target, string(raw))
}

// heard does what a bot answered. Its last words are said once the conversation is
// somebody else's, and in the name of the policy: they announce who comes, and
// must arrive however fast that one is.
func (r *dispatcher) heard(m *matter, a botAnswer) (errandResult, error) {
	if err := m.remember(a.state); err != nil {
		return "", err
	}
	m.row.addTopics(a.topics)
	m.row.speaks(a.language)
	author := message.Author{Kind: message.AuthorBot, Name: m.e.target}
	result := resultDone
	if a.handover != "" {
		asked, err := messageOf(m.t.ctx, m.t, m.e.message)
		if err != nil {
			return "", err
		}
		if err := r.handOver(m.t, m.v, m.row, a.handover, asked); err != nil {
			return "", err
		}
		author.Kind, result = message.AuthorPolicy, resultHandover
		if a.handover == reasonFailure {
			result = resultFailed
		}
	} else if len(a.topics) > 0 || a.language != "" {
		if err := m.row.save(m.t); err != nil {
			return "", err
		}
	}
	for _, reply := range a.replies {
		if ok, err := r.say(m, author, reply); err != nil {
			return "", err
		} else if !ok {
			return resultRefused, nil
		}
	}
	return result, nil
}

// sayText sends a text of the policy.
func (r *dispatcher) sayText(m *matter) (errandResult, error) {
	ok, err := r.say(m, message.Author{Kind: message.AuthorPolicy, Name: m.e.target}, bot.Reply{Text: m.e.payload})
	if err != nil || ok {
		return resultDone, err
	}
	return resultRefused, nil
}

// say queues a text of ours as Send would: with the same checks, in the place of
// the lane that it has now. false: it cannot be sent, as the window is over or the
// contact has gone. Options are buttons where the platform can show them all, and
// numbers else, which bots understand as well.
func (r *dispatcher) say(m *matter, author message.Author, reply bot.Reply) (bool, error) {
	o := &outgoing{s: r.s, conv: *m.v, req: SendRequest{Author: author, Epoch: m.v.epoch, Type: message.TypeText, Text: reply.Text, Buttons: reply.Buttons}}
	if err := o.serve(m.v.channel); err != nil {
		return false, refusal(err)
	}
	if o.caps.QuickReplies > 0 && len(reply.Buttons) > 0 {
		o.req.ButtonStyle = message.ButtonStyleQuickReplies
	}
	o.m = o.message()
	var err error
	if o.parts, err = platform.Plan(o.caps, o.m); err != nil && len(reply.Buttons) > 0 {
		o.req.Text, o.req.Buttons, o.req.ButtonStyle = reply.Numbered(), nil, ""
		o.m = o.message()
		o.parts, err = platform.Plan(o.caps, o.m)
	}
	if err != nil {
		return false, refusal(err)
	}
	if err := r.s.queueTogether(m.t, []*outgoing{o}); err != nil {
		return false, err
	}
	return o.err == nil, refusal(o.err)
}

// refusal is nil for what refuses a text, and the error for all else.
func refusal(err error) error {
	if fe := (*platform.FieldError)(nil); errors.Is(err, ErrConflict) || errors.As(err, &fe) {
		return nil
	}
	return err
}

// chooseText is a text in the contact's language.
func chooseText(texts map[string]string, language, otherwise string) (bot.Reply, bool) {
	code, ok := routing.ChooseText(texts, language, otherwise)
	return bot.Reply{Text: texts[code], Language: code}, ok && texts[code] != ""
}
