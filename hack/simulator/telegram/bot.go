package telegram

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/time/rate"
)

// Bot is one bot of a Server. Its methods are the Go API; they lock.
type Bot struct {
	server *Server
	user   User
	secret string

	// All below is guarded by Server.mu.
	peers   map[int64]*peer
	chats   map[chatKey]*chatState
	lastMsg int64 // message ids of private chats and groups count per bot

	queue      []*update
	nextUpdate int64
	allowed    updateSet
	wake       chan struct{} // closed and replaced when the queue or the webhook changes
	poll       *longPoll
	polls      pollHistory
	hook       *webhook
	nextHook   int64 // Unix nanoseconds before which setWebhook is answered with 429
	deliveries ring[Delivery]
	lost       int64 // updates lost because the queue was full

	profile   profile
	callbacks map[string]*pressed
	queries   map[string]*asked
	votes     map[string]*pollState
	business  map[string]*BusinessConnection
	faults    []*Fault
	overall   *rate.Limiter
}

// chatKey names a chat of a bot; conn is the business connection or empty.
type chatKey struct {
	conn string
	id   int64
}

// peer is what a user has done with a bot.
type peer struct {
	started, blocked bool
}

func newBot(s *Server, spec BotSpec) *Bot {
	return &Bot{
		server:     s,
		user:       User{ID: spec.ID, IsBot: true, FirstName: spec.Name, Username: spec.Username},
		secret:     spec.Secret,
		peers:      map[int64]*peer{},
		chats:      map[chatKey]*chatState{},
		lastMsg:    s.opt.FirstID,
		nextUpdate: 100_000_000 + s.rnd.Int64N(800_000_000), // the real first id is a random positive number
		allowed:    defaultUpdates,
		wake:       make(chan struct{}),
		deliveries: newRing[Delivery](s.opt.Memory.Deliveries),
		profile:    newProfile(spec.Name),
		callbacks:  map[string]*pressed{},
		queries:    map[string]*asked{},
		votes:      map[string]*pollState{},
		business:   map[string]*BusinessConnection{},
		overall:    rate.NewLimiter(rate.Limit(s.opt.Limits.Overall), max(1, int(s.opt.Limits.Overall))),
	}
}

// ID is the bot's id, the first part of its token.
func (b *Bot) ID() int64 { return b.user.ID }

// Username is the bot's name without the @.
func (b *Bot) Username() string { return b.user.Username }

// Token is the bot's token as it is now.
func (b *Bot) Token() string {
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	return fmt.Sprintf("%d:%s", b.user.ID, b.secret)
}

// Revoke replaces the bot's secret, as its owner does at BotFather: calls with
// the old token are answered with 401 from now on. The webhook goes on.
func (b *Bot) Revoke(secret string) error {
	if !tokenPattern.MatchString(fmt.Sprintf("%d:%s", b.user.ID, secret)) {
		return fmt.Errorf("bot %d: a secret has 24 to 80 characters of A-Z a-z 0-9 _ -", b.user.ID)
	}
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	b.secret = secret
	b.server.notify()
	return nil
}

// signal wakes the long poll and the deliveries. The caller holds mu.
func (b *Bot) signal() {
	close(b.wake)
	b.wake = make(chan struct{})
	b.server.notify()
}

func (b *Bot) peer(user int64) *peer {
	p := b.peers[user]
	if p == nil {
		p = &peer{}
		b.peers[user] = p
	}
	return p
}

// target is a resolved chat of a call.
type target struct {
	chat  Chat
	state *chatState
	conn  *BusinessConnection // set for calls on behalf of a business account
}

// access is what a call wants to do in a chat.
type access int

const (
	toRead access = iota
	toEdit
	toWrite
)

// resolveChat finds the chat of a call and checks that the bot may be there.
func (c *call) resolveChat(want access) (*target, *apiError) {
	text := c.arg("chat_id")
	if text == "" {
		return nil, badRequest("Bad Request: chat_id is empty")
	}
	if id := c.arg("business_connection_id"); id != "" {
		return c.resolveBusinessChat(id, text)
	}
	if strings.HasPrefix(text, "@") {
		for id, g := range c.server.groups {
			if g.chat.Username != "" && strings.EqualFold(g.chat.Username, text[1:]) {
				return c.bot.resolveGroup(id, g, want)
			}
		}
		return nil, badRequest("Bad Request: chat not found")
	}
	id, _ := strconv.ParseInt(text, 10, 64) // what is no number is chat 0
	if g := c.server.groups[id]; g != nil {
		return c.bot.resolveGroup(id, g, want)
	}
	u := c.server.users[id]
	if u == nil {
		return nil, badRequest("Bad Request: chat not found")
	}
	if u.deactivated && want >= toEdit {
		return nil, forbidden("Forbidden: user is deactivated")
	}
	return &target{chat: u.chat(), state: c.bot.chat(chatKey{id: id})}, nil
}

// resolveGroup checks the bot's standing in a group.
func (b *Bot) resolveGroup(id int64, g *groupState, want access) (*target, *apiError) {
	kind := g.chat.Type
	switch status := g.bots[b.user.ID]; {
	case g.migratedTo != 0 && want == toWrite:
		err := badRequest("Bad Request: group chat was upgraded to a supergroup chat")
		err.Parameters = &responseParameters{MigrateToChatID: g.migratedTo}
		return nil, err
	case status == "":
		// A bot that never was in a group does not even know that it exists.
		return nil, badRequest("Bad Request: chat not found")
	case status == "kicked" && (want >= toEdit || kind == "supergroup"):
		return nil, forbidden("Forbidden: bot was kicked from the " + kind + " chat")
	case status == "left" && (want >= toEdit || kind == "supergroup"):
		return nil, forbidden("Forbidden: bot is not a member of the " + kind + " chat")
	}
	return &target{chat: g.chat, state: b.chat(chatKey{id: id})}, nil
}

func (c *call) resolveBusinessChat(conn, chat string) (*target, *apiError) {
	id, err := strconv.ParseInt(chat, 10, 64)
	if err != nil {
		return nil, badRequest("Bad Request: chat_id must be a valid Integer")
	}
	bc := c.bot.business[conn]
	if bc == nil {
		return nil, badRequest("Business connection not found")
	}
	u := c.server.users[id]
	if u == nil {
		return nil, badRequest("BUSINESS_PEER_INVALID")
	}
	return &target{chat: u.chat(), state: c.bot.chat(chatKey{conn: conn, id: id}), conn: bc}, nil
}

// businessWindow is how long after a customer's last message a bot may answer
// for a business account.
const businessWindow = 24 * 60 * 60

// mayWrite checks what Telegram's servers check last: did the user start the
// bot, is it blocked, may it speak for the business.
func (c *call) mayWrite(t *target) *apiError {
	if t.conn != nil {
		switch {
		case !t.conn.IsEnabled || !t.conn.Rights.CanReply:
			return badRequest("BOT_ACCESS_FORBIDDEN")
		case t.state.lastIn == 0 || c.server.now()-t.state.lastIn > businessWindow:
			return badRequest("BUSINESS_PEER_USAGE_MISSING")
		}
		return nil
	}
	if t.chat.Type != "private" {
		return nil
	}
	switch p := c.bot.peer(t.chat.ID); {
	case p.blocked:
		return forbidden("bot was blocked by the user")
	case !p.started:
		return forbidden("bot can't initiate conversation with a user")
	}
	return nil
}
