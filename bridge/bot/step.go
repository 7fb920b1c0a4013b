package bot

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/bridgekeeper/bridgekeeper/bridge/internal/keyword"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

// State is what a bot remembers of a conversation. The zero value is the
// beginning. Its JSON is kept by the store; it holds nothing the contact wrote.
type State struct {
	// Menu that was shown last.
	Menu string `json:"menu,omitempty"`
	// Turns are the inputs answered, Misses those in a row not understood.
	Turns  int `json:"turns,omitempty"`
	Misses int `json:"misses,omitempty"`
	// Greeted: the beginning is over.
	Greeted bool `json:"greeted,omitempty"`
	// Language that was known last.
	Language string `json:"language,omitempty"`
}

// Input is one message of the contact. One without text and payload, such as a
// picture, is not understood.
type Input struct {
	Text string `json:"text,omitempty"`
	// Payload of a pressed button.
	Payload string `json:"payload,omitempty"`
	// Language of the contact as routing knows it; empty: as before.
	Language string `json:"language,omitempty"`
	// Returned: this is not a message; a person gave the conversation back.
	Returned bool `json:"returned,omitempty"`
}

// Reply is one thing to say.
type Reply struct {
	Text     string           `json:"text"`
	Language string           `json:"language"`
	Buttons  []message.Button `json:"buttons,omitempty"` // quick replies
}

// Numbered is the text for a channel without buttons: options become numbers, which
// Step understands.
func (r Reply) Numbered() string {
	var b strings.Builder
	b.WriteString(r.Text)
	for i, button := range r.Buttons {
		fmt.Fprintf(&b, "\n%d. %s", i+1, button.Title)
	}
	return b.String()
}

// Result is what a step says and does.
type Result struct {
	Replies []Reply `json:"replies,omitempty"`
	State   State   `json:"state"`
	// Handover is why the conversation goes to a person; Replies are then the bot's
	// last. Empty: the bot keeps it.
	Handover Reason `json:"handover,omitempty"`
	// Topics to give the conversation.
	Topics []string `json:"topics,omitempty"`
	// Matched names what applied, for metrics: "menu/option", "answer/name", "greeting",
	// "fallback", or "" with a handover that no option asked for.
	Matched string `json:"matched,omitempty"`
}

// Step answers one input. It is a pure function; the input's text is cut at
// routing.MaxTextBytes.
func Step(b *Bot, state State, in Input) Result {
	if in.Language != "" {
		state.Language = in.Language
	}
	if in.Returned {
		state = State{Language: state.Language, Greeted: true}
		if len(b.menus) == 0 {
			return Result{State: state} // nothing to say until the contact writes
		}
		return b.showFirst(state, nil)
	}
	in.Text = routing.CutText(in.Text)
	folded := keyword.AppendFold(nil, in.Text)
	state.Turns++
	if b.person.inFolded(folded) {
		return b.handOver(state, ReasonKeyword, nil)
	}
	if state.Turns > b.maxTurns {
		return b.handOver(state, ReasonMaxTurns, nil)
	}
	if matched, action := b.understand(state, in, folded); action != nil {
		state.Greeted = true
		return b.act(state, matched, action)
	}
	if !state.Greeted {
		state.Greeted = true
		return b.showFirst(state, b.spec.Greeting)
	}
	return b.miss(state)
}

// understand finds what an input asks for.
func (b *Bot) understand(state State, in Input, folded []byte) (string, *Action) {
	if o, m := b.pressed(in.Payload); o != nil {
		return m + "/" + o.Name, &o.Then
	}
	if i, shown := b.index[state.Menu]; shown {
		if o := b.menus[i].chosen(in.Text, folded); o != nil {
			return state.Menu + "/" + o.Name, &o.Then
		}
	}
	for i := range b.answers {
		a := &b.answers[i]
		if a.keywords.inFolded(folded) || a.pattern != nil && a.pattern.MatchString(in.Text) {
			return "answer/" + a.spec.Name, &a.spec.Then
		}
	}
	return "", nil
}

// payloadPrefix tells this bot's buttons from others. A button stays pressable for as
// long as the contact keeps the chat, so it names its menu and option.
const payloadPrefix = "bot:"

func (b *Bot) pressed(payload string) (*Option, string) {
	path, ours := strings.CutPrefix(payload, payloadPrefix)
	menuName, optionName, ok := strings.Cut(path, "/")
	i, known := b.index[menuName]
	if !ours || !ok || !known {
		return nil, ""
	}
	for j := range b.menus[i].options {
		if o := b.menus[i].options[j].spec; o.Name == optionName {
			return o, menuName
		}
	}
	return nil, ""
}

// chosen is the option that a text means: its number, its whole title, a keyword.
func (m *menu) chosen(text string, folded []byte) *Option {
	if n, err := strconv.Atoi(strings.TrimRight(strings.TrimSpace(text), ".)")); err == nil && n >= 1 && n <= len(m.options) {
		return m.options[n-1].spec
	}
	for i := range m.options {
		if slices.ContainsFunc(m.options[i].titles, func(p keyword.Phrase) bool { return p.Is(folded) }) {
			return m.options[i].spec
		}
	}
	for i := range m.options {
		if m.options[i].keywords.inFolded(folded) {
			return m.options[i].spec
		}
	}
	return nil
}

func (b *Bot) act(state State, matched string, a *Action) Result {
	state.Misses = 0
	if a.Handover {
		r := b.handOver(state, ReasonRequested, a.Text)
		r.Matched, r.Topics = matched, a.Topics
		return r
	}
	r := Result{Matched: matched, Topics: a.Topics}
	r.Replies = b.say(nil, state, a.Text)
	if a.Menu != "" {
		state.Menu = a.Menu
		r.Replies = b.show(r.Replies, state)
	}
	r.State = state
	return r
}

// showFirst begins, or begins again: a greeting if there is one, and the first menu.
func (b *Bot) showFirst(state State, greeting Texts) Result {
	r := Result{Replies: b.say(nil, state, greeting), Matched: "greeting"}
	if len(b.menus) > 0 {
		state.Menu = b.menus[0].spec.Name
		r.Replies = b.show(r.Replies, state)
	}
	r.State = state
	if len(r.Replies) == 0 { // neither greeting nor menu: the message is one more that is not understood
		return b.miss(state)
	}
	return r
}

func (b *Bot) miss(state State) Result {
	if state.Misses++; state.Misses >= b.maxMisses {
		return b.handOver(state, ReasonNotUnderstood, nil)
	}
	r := Result{Replies: b.say(nil, state, b.spec.Fallback), Matched: "fallback"}
	if _, shown := b.index[state.Menu]; shown {
		r.Replies = b.show(r.Replies, state)
	}
	r.State = state
	return r
}

// handOver ends the bot's part. The state begins anew, should the conversation
// come back.
func (b *Bot) handOver(state State, reason Reason, text Texts) Result {
	if len(text) == 0 {
		text = b.spec.Handover.Text
	}
	return Result{Replies: b.say(nil, state, text), State: State{Language: state.Language, Greeted: true}, Handover: reason}
}

func (b *Bot) say(replies []Reply, state State, texts Texts) []Reply {
	if language, ok := routing.ChooseText(texts, state.Language, b.spec.DefaultLanguage); ok {
		replies = append(replies, Reply{Text: texts[language], Language: language})
	}
	return replies
}

// show adds the menu that the state names. Every text has the default language, so
// titles are found in the text's language or in that one.
func (b *Bot) show(replies []Reply, state State) []Reply {
	m := &b.menus[b.index[state.Menu]]
	replies = b.say(replies, state, m.spec.Text)
	last := &replies[len(replies)-1]
	for _, o := range m.options {
		language, _ := routing.ChooseText(o.spec.Title, state.Language, b.spec.DefaultLanguage)
		last.Buttons = append(last.Buttons, message.Button{Title: o.spec.Title[language], Payload: payloadPrefix + m.spec.Name + "/" + o.spec.Name})
	}
	return replies
}
