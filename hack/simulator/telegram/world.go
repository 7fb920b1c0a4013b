package telegram

import (
	"fmt"
	"maps"

	"golang.org/x/time/rate"
)

// userState is one person.
type userState struct {
	user        User
	deactivated bool
}

func (u *userState) chat() Chat {
	return Chat{ID: u.user.ID, Type: "private", FirstName: u.user.FirstName, LastName: u.user.LastName, Username: u.user.Username}
}

// groupState is one group or supergroup.
type groupState struct {
	chat       Chat
	members    map[int64]bool
	bots       map[int64]string // bot id to its status: administrator, member, left, kicked
	migratedTo int64
}

// chatState is what a bot has of one chat.
type chatState struct {
	chat     Chat
	messages map[int64]*stored
	order    []int64 // message ids, oldest first
	nextOwn  int64   // message ids of supergroups count per chat
	lastIn   int64   // Unix seconds of the customer's last message
	keyboard *replyKeyboard
	log      ring[Entry]
	limiter  *rate.Limiter
}

// stored is a message with what the API does not show.
type stored struct {
	msg       *Message
	fromBot   bool
	deleted   bool
	reactions map[int64][]ReactionType // by user; the bot's own under its id
}

// chat returns the bot's state of a chat, made on first use. The caller holds
// mu.
func (b *Bot) chat(key chatKey) *chatState {
	st := b.chats[key]
	if st == nil {
		st = &chatState{messages: map[int64]*stored{}, nextOwn: b.server.opt.FirstID, log: newRing[Entry](b.server.opt.Memory.Transcript)}
		st.limiter = b.server.opt.Limits.forChat(key.id)
		b.chats[key] = st
	}
	return st
}

// add stores a message and forgets the oldest one when there are too many.
func (st *chatState) add(m *Message, fromBot bool, limit int) {
	st.messages[m.MessageID] = &stored{msg: m, fromBot: fromBot, reactions: map[int64][]ReactionType{}}
	st.order = append(st.order, m.MessageID)
	if len(st.order) > limit {
		delete(st.messages, st.order[0])
		st.order = st.order[1:]
	}
}

// find returns a message that was not deleted, or nil.
func (st *chatState) find(id int64) *stored {
	if s := st.messages[id]; s != nil && !s.deleted {
		return s
	}
	return nil
}

// newMessageID counts per bot in private chats and groups and per chat in
// supergroups, so that ids of different chats can be equal there.
func (b *Bot) newMessageID(chat Chat, st *chatState) int64 {
	if chat.Type == "supergroup" {
		st.nextOwn++
		return st.nextOwn
	}
	b.lastMsg++
	return b.lastMsg
}

// NewUser creates a person. A zero ID is filled in; FirstName defaults to
// "Customer". An existing id is replaced: people change their names.
func (s *Server) NewUser(u User) User {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u.ID == 0 {
		s.nextID++
		u.ID = s.nextID
	}
	if u.FirstName == "" {
		u.FirstName = "Customer"
	}
	u.IsBot = false
	s.users[u.ID] = &userState{user: u}
	s.notify()
	return u
}

// Deactivate deletes a person's account: sending to it is refused from now on.
func (s *Server) Deactivate(user int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[user]
	if u == nil {
		return fmt.Errorf("user %d: not found", user)
	}
	u.deactivated = true
	s.notify()
	return nil
}

// GroupSpec describes a group to create.
type GroupSpec struct {
	ID      int64   `json:"id,omitempty"`   // negative; filled in when 0
	Type    string  `json:"type,omitempty"` // "group" (default) or "supergroup"
	Title   string  `json:"title"`
	Members []int64 `json:"members,omitempty"` // users
}

// NewGroup creates a group.
func (s *Server) NewGroup(spec GroupSpec) (Chat, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch spec.Type {
	case "":
		spec.Type = "group"
	case "group", "supergroup":
	default:
		return Chat{}, fmt.Errorf("type %q: use group or supergroup", spec.Type)
	}
	if spec.ID == 0 {
		s.nextID++
		spec.ID = -s.nextID
		if spec.Type == "supergroup" {
			spec.ID = supergroupID(s.nextID)
		}
	}
	if spec.ID > 0 {
		return Chat{}, fmt.Errorf("id %d: the id of a group is negative", spec.ID)
	}
	g := &groupState{chat: Chat{ID: spec.ID, Type: spec.Type, Title: spec.Title}, members: map[int64]bool{}, bots: map[int64]string{}}
	for _, m := range spec.Members {
		g.members[m] = true
	}
	s.groups[spec.ID] = g
	s.notify()
	return g.chat, nil
}

// supergroupID is the id of the n-th supergroup: -100 followed by the number.
func supergroupID(n int64) int64 { return -1_000_000_000_000 - n }

// SetGroupStatus changes the bot's standing in a group: "administrator",
// "member", "left" or "kicked". by is the user who did it. The bot gets a
// my_chat_member update.
func (b *Bot) SetGroupStatus(group int64, status string, by int64) error {
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	g, u := b.server.groups[group], b.server.users[by]
	if g == nil || u == nil {
		return fmt.Errorf("group %d or user %d: not found", group, by)
	}
	switch status {
	case "administrator", "member", "left", "kicked":
	default:
		return fmt.Errorf("status %q: use administrator, member, left or kicked", status)
	}
	old := g.bots[b.user.ID]
	if old == "" {
		old = "left"
	}
	g.bots[b.user.ID] = status
	b.memberUpdate(g.chat, u.user, old, status)
	return nil
}

// memberUpdate tells the bot that its own standing changed.
func (b *Bot) memberUpdate(chat Chat, by User, old, status string) {
	if old == status {
		return
	}
	member := func(status string) ChatMember {
		m := ChatMember{Status: status, User: b.user}
		if status == "kicked" {
			m.UntilDate = new(int64) // 0: for ever
		}
		return m
	}
	b.push("my_chat_member", chatMemberUpdated{
		Chat: chat, From: by, Date: b.server.now(), OldChatMember: member(old), NewChatMember: member(status),
	}, fmt.Sprint("mine:", chat.ID), chat.ID)
}

// UpgradeGroup turns a group into a supergroup and returns its new id: the bot
// gets the two service messages, and writing to the old id is refused with
// migrate_to_chat_id.
func (b *Bot) UpgradeGroup(group int64) (int64, error) {
	s := b.server
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.groups[group]
	if g == nil || g.chat.Type != "group" || g.migratedTo != 0 {
		return 0, fmt.Errorf("group %d: not found, or not a basic group", group)
	}
	s.nextID++
	super := &groupState{
		chat:    Chat{ID: supergroupID(s.nextID), Type: "supergroup", Title: g.chat.Title},
		members: maps.Clone(g.members), bots: maps.Clone(g.bots),
	}
	g.migratedTo = super.chat.ID
	s.groups[super.chat.ID] = super
	b.incoming(chatKey{id: g.chat.ID}, &Message{Chat: g.chat, MigrateToChatID: super.chat.ID}, true)
	b.incoming(chatKey{id: super.chat.ID}, &Message{Chat: super.chat, MigrateFromChatID: g.chat.ID}, true)
	return super.chat.ID, nil
}

// isPrivileged says whether the bot is an administrator of a group.
func (b *Bot) isPrivileged(chat Chat) bool {
	g := b.server.groups[chat.ID]
	return g != nil && g.bots[b.user.ID] == "administrator"
}
