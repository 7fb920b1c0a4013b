package telegram

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
)

// What reaches a bot beside the messages of its chats: inline queries, polls,
// members of groups, numbers of reactions. Kinds without a method of their own
// are sent with Bot.SendUpdate.

// Poll is a poll in a message, and the update of its numbers.
type Poll struct {
	ID                    string       `json:"id"`
	Question              string       `json:"question"`
	Options               []PollOption `json:"options"`
	TotalVoterCount       int          `json:"total_voter_count"`
	IsClosed              bool         `json:"is_closed"`
	IsAnonymous           bool         `json:"is_anonymous"`
	Type                  string       `json:"type"`
	AllowsMultipleAnswers bool         `json:"allows_multiple_answers"`
}

// PollOption is one answer of a poll.
type PollOption struct {
	Text       string `json:"text"`
	VoterCount int    `json:"voter_count"`
}

// pollState is a poll of the bot with who voted for what.
type pollState struct {
	poll  Poll
	votes map[int64][]int
}

type pollAnswer struct {
	PollID    string `json:"poll_id"`
	User      User   `json:"user"`
	OptionIDs []int  `json:"option_ids"`
}

type inlineQuery struct {
	ID       string `json:"id"`
	From     User   `json:"from"`
	Query    string `json:"query"`
	Offset   string `json:"offset"`
	ChatType string `json:"chat_type,omitempty"`
}

type chosenInlineResult struct {
	ResultID        string `json:"result_id"`
	From            User   `json:"from"`
	InlineMessageID string `json:"inline_message_id,omitempty"`
	Query           string `json:"query"`
}

type chatJoinRequest struct {
	Chat       Chat  `json:"chat"`
	From       User  `json:"from"`
	UserChatID int64 `json:"user_chat_id"`
	Date       int64 `json:"date"`
}

type reactionCount struct {
	Type       ReactionType `json:"type"`
	TotalCount int          `json:"total_count"`
}

type messageReactionCount struct {
	Chat      Chat            `json:"chat"`
	MessageID int64           `json:"message_id"`
	Date      int64           `json:"date"`
	Reactions []reactionCount `json:"reactions"`
}

// asked is an inline query that waits for its answer.
type asked struct {
	user    int64
	query   string
	at      int64 // Unix seconds
	answers [][]json.RawMessage
}

// inlineTTL is how long an inline query can be answered, in seconds: what
// others have measured, Telegram does not say.
const inlineTTL = 10

// maxResults is the most results of one answer.
const maxResults = 50

// Ask types the bot's name and a query in some chat. It returns the query's id.
func (cu *Customer) Ask(query string) (string, error) {
	b := cu.bot
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	p, err := cu.place()
	if err != nil {
		return "", err
	}
	id := fmt.Sprint(1 + b.server.rnd.Int64N(1<<62))
	b.forgetQueries()
	b.queries[id] = &asked{user: cu.user, query: query, at: b.server.now()}
	b.push("inline_query", inlineQuery{ID: id, From: p.user, Query: query, ChatType: "sender"}, fmt.Sprint("ask:", cu.user), cu.user)
	return id, nil
}

// forgetQueries keeps the number of inline queries bounded.
func (b *Bot) forgetQueries() {
	if len(b.queries) < 10_000 {
		return
	}
	for id, q := range b.queries {
		if q.at < b.server.now()-inlineTTL {
			delete(b.queries, id)
		}
	}
}

// WaitResults waits until the bot has answered an inline query and returns the
// results that the customer can choose from.
func (cu *Customer) WaitResults(ctx context.Context, query string) ([]json.RawMessage, error) {
	var out []json.RawMessage
	err := cu.bot.server.wait(ctx, func() bool {
		q := cu.bot.queries[query]
		if q == nil || len(q.answers) == 0 {
			return false
		}
		out = q.answers[0]
		return true
	})
	if err != nil {
		err = fmt.Errorf("waiting for the answer to inline query %s: %w", query, err)
	}
	return out, err
}

// Choose takes one of the results of an inline query.
func (cu *Customer) Choose(query, result string) error {
	b := cu.bot
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	p, err := cu.place()
	if err != nil {
		return err
	}
	q := b.queries[query]
	if q == nil {
		return fmt.Errorf("inline query %q: not found", query)
	}
	b.push("chosen_inline_result", chosenInlineResult{ResultID: result, From: p.user, Query: q.query}, fmt.Sprint("ask:", cu.user), cu.user)
	return nil
}

func answerInlineQuery(c *call) (any, *apiError) {
	q := c.bot.queries[c.arg("inline_query_id")]
	if q == nil || c.server.now()-q.at > inlineTTL {
		return nil, badRequest("%s", textQueryTooOld)
	}
	var results []json.RawMessage
	if json.Unmarshal([]byte(c.arg("results")), &results) != nil || results == nil {
		return nil, badRequest("Can't parse inline query results JSON object")
	}
	if len(results) > maxResults {
		return nil, badRequest("RESULTS_TOO_MUCH")
	}
	seen := map[string]bool{}
	for _, raw := range results {
		var r struct{ Type, ID string }
		if json.Unmarshal(raw, &r) != nil || r.Type == "" {
			return nil, badRequest("Can't parse inline query result: Can't find field \"type\"")
		}
		if r.ID == "" || len(r.ID) > 64 {
			return nil, badRequest("RESULT_ID_INVALID")
		}
		if seen[r.ID] {
			return nil, badRequest("RESULT_ID_DUPLICATE")
		}
		seen[r.ID] = true
	}
	q.answers = append(q.answers, results)
	return true, nil
}

// NewPoll makes a poll that counts as sent by the bot, though not from here.
func (b *Bot) NewPoll(question string, options ...string) (Poll, error) {
	if question == "" || len(options) == 0 || len(options) > 12 {
		return Poll{}, fmt.Errorf("a poll has a question and 1 to 12 options")
	}
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	p := Poll{ID: fmt.Sprint(1 + b.server.rnd.Int64N(1<<62)), Question: question, Type: "regular", AllowsMultipleAnswers: true}
	for _, o := range options {
		p.Options = append(p.Options, PollOption{Text: o})
	}
	b.votes[p.ID] = &pollState{poll: p, votes: map[int64][]int{}}
	return p, nil
}

// Vote chooses options of the bot's poll by their places, from 0; none takes
// the vote back. The bot gets the answer, and the poll's numbers.
func (cu *Customer) Vote(poll string, options ...int) error {
	b := cu.bot
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	p, err := cu.place()
	if err != nil {
		return err
	}
	v := b.votes[poll]
	if v == nil {
		return fmt.Errorf("poll %q: not found", poll)
	}
	for _, o := range options {
		if o < 0 || o >= len(v.poll.Options) {
			return fmt.Errorf("option %d: the poll has %d", o, len(v.poll.Options))
		}
	}
	v.votes[cu.user] = slices.Clone(options)
	state := v.poll
	state.Options = slices.Clone(state.Options)
	state.TotalVoterCount = 0
	for _, chosen := range v.votes {
		if len(chosen) > 0 {
			state.TotalVoterCount++
		}
		for _, o := range chosen {
			state.Options[o].VoterCount++
		}
	}
	lane := "poll:" + poll
	b.push("poll_answer", pollAnswer{PollID: poll, User: p.user, OptionIDs: append([]int{}, options...)}, lane, cu.user)
	b.push("poll", state, lane, cu.user)
	return nil
}

// SetMember changes a user's standing in a group: "member", "left" or "kicked".
// A bot that is an administrator there and asked for chat_member hears of it.
func (b *Bot) SetMember(group, user int64, status string) error {
	s := b.server
	s.mu.Lock()
	defer s.mu.Unlock()
	g, u := s.groups[group], s.users[user]
	if g == nil || u == nil {
		return fmt.Errorf("group %d or user %d: not found", group, user)
	}
	if status != "member" && status != "left" && status != "kicked" {
		return fmt.Errorf("status %q: use member, left or kicked", status)
	}
	old := "left"
	if g.members[user] {
		old = "member"
	}
	g.members[user] = status == "member"
	if old == status || !b.isPrivileged(g.chat) {
		return nil
	}
	b.push("chat_member", chatMemberUpdated{
		Chat: g.chat, From: u.user, Date: s.now(),
		OldChatMember: ChatMember{Status: old, User: u.user}, NewChatMember: ChatMember{Status: status, User: u.user},
	}, fmt.Sprint("members:", group), group)
	return nil
}

// AskToJoin asks to be let into a group; administrators hear of it.
func (cu *Customer) AskToJoin(group int64) error {
	b := cu.bot
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	p, err := cu.place()
	if err != nil {
		return err
	}
	g := b.server.groups[group]
	if g == nil {
		return fmt.Errorf("group %d: not found", group)
	}
	if b.isPrivileged(g.chat) {
		b.push("chat_join_request", chatJoinRequest{Chat: g.chat, From: p.user, UserChatID: cu.user, Date: b.server.now()}, fmt.Sprint("members:", group), group)
	}
	return nil
}

// CountReactions tells a bot that is an administrator of a group how many
// reactions stand on a message there, without saying whose they are.
func (b *Bot) CountReactions(group, message int64, counts map[string]int) error {
	s := b.server
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.groups[group]
	if g == nil || !b.isPrivileged(g.chat) {
		return fmt.Errorf("group %d: not found, or the bot is no administrator of it", group)
	}
	reactions := []reactionCount{}
	emoji := make([]string, 0, len(counts))
	for e := range counts {
		emoji = append(emoji, e)
	}
	slices.Sort(emoji)
	for _, e := range emoji {
		reactions = append(reactions, reactionCount{Type: ReactionType{Type: "emoji", Emoji: e}, TotalCount: counts[e]})
	}
	b.push("message_reaction_count", messageReactionCount{Chat: g.chat, MessageID: message, Date: s.now(), Reactions: reactions},
		fmt.Sprint("reaction:", group), group)
	return nil
}

// SendUpdate sends an update of any kind; payload is the object of that kind.
// It reaches the bot if it asked for the kind.
func (b *Bot) SendUpdate(kind string, payload json.RawMessage) error {
	if !slices.Contains(updateKinds, kind) {
		return fmt.Errorf("kind %q: use one of %v", kind, updateKinds)
	}
	var o map[string]json.RawMessage
	if json.Unmarshal(payload, &o) != nil || o == nil {
		return fmt.Errorf("payload: must be a JSON object")
	}
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	b.push(kind, payload, "other:"+strconv.Itoa(slices.Index(updateKinds, kind)), 0)
	return nil
}
