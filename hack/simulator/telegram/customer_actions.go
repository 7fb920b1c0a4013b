package telegram

import (
	"context"
	"fmt"
	"slices"
)

// find returns a message of a chat with the place.
func (cu *Customer) find(id int64) (*place, *stored, error) {
	p, err := cu.place()
	if err != nil {
		return nil, nil, err
	}
	s := p.st.find(id)
	if s == nil {
		return nil, nil, fmt.Errorf("message %d: not found in this chat", id)
	}
	return p, s, nil
}

// Edit changes the text or caption of the customer's own message.
func (cu *Customer) Edit(id int64, text string) (Message, error) {
	b := cu.bot
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	p, s, err := cu.find(id)
	if err != nil {
		return Message{}, err
	}
	if s.fromBot || s.msg.From == nil || s.msg.From.ID != cu.user {
		return Message{}, fmt.Errorf("message %d: not this customer's", id)
	}
	next := *s.msg
	next.EditDate = b.server.now()
	text, entities := tidy(text, nil)
	if next.hasMedia() {
		next.Caption, next.CaptionEntities = text, entities
	} else {
		next.Text, next.Entities = text, entities
	}
	s.msg = &next
	b.note(p.st, Entry{From: "customer", Event: "edit", Message: &next})
	if b.sees(p) {
		b.push(kindOf(p.key, "edited_message"), next, laneOf(p.key), p.chat.ID)
	}
	return next, nil
}

// Delete deletes a message. Bots learn of it in business chats only.
func (cu *Customer) Delete(ids ...int64) error {
	b := cu.bot
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	var p *place
	for _, id := range ids {
		at, s, err := cu.find(id)
		if err != nil {
			return err
		}
		p = at
		b.deleteStored(p.st, s, "customer")
	}
	if p != nil && p.conn != nil && b.sees(p) {
		b.push("deleted_business_messages", businessMessagesDeleted{p.conn.ID, p.chat, ids}, laneOf(p.key), p.chat.ID)
	}
	return nil
}

// React sets the customer's reactions to a message; none removes them. The bot
// learns of it if it asked for message_reaction, in groups only as an
// administrator.
func (cu *Customer) React(id int64, emoji ...string) error {
	b := cu.bot
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	p, s, err := cu.find(id)
	if err != nil {
		return err
	}
	next := []ReactionType{}
	for _, e := range emoji {
		next = append(next, ReactionType{Type: "emoji", Emoji: e})
	}
	old := append([]ReactionType{}, s.reactions[cu.user]...)
	s.reactions[cu.user] = next
	b.note(p.st, Entry{From: "customer", Event: "reaction", MessageID: id, Reaction: next})
	if !b.sees(p) || p.conn != nil || (p.chat.Type != "private" && !b.isPrivileged(p.chat)) {
		return nil
	}
	b.push("message_reaction", messageReaction{
		Chat: p.chat, MessageID: id, User: &p.user, Date: b.server.now(), OldReaction: old, NewReaction: next,
	}, fmt.Sprint("reaction:", p.chat.ID), p.chat.ID)
	return nil
}

// Press presses a button: one of the inline keyboard of a message (by its text
// or its callback data), or, when message is 0, one of the reply keyboard,
// which sends its text. It returns the id of the callback query, or "" for a
// reply keyboard.
func (cu *Customer) Press(message int64, button string) (string, error) {
	if message == 0 {
		return "", cu.pressKey(button)
	}
	b := cu.bot
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	p, s, err := cu.find(message)
	if err != nil {
		return "", err
	}
	data, err := s.buttonData(button)
	if err != nil {
		return "", err
	}
	b.forgetCallbacks()
	id := fmt.Sprint(1 + b.server.rnd.Int64N(1<<62))
	b.callbacks[id] = &pressed{chat: p.key, message: message, at: b.server.now()}
	b.note(p.st, Entry{From: "customer", Event: "press", MessageID: message, Detail: data, CallbackID: id})
	if b.sees(p) {
		b.push("callback_query", callbackQuery{
			ID: id, From: p.user, Message: s.msg, ChatInstance: fmt.Sprint(b.user.ID ^ p.chat.ID), Data: data,
		}, fmt.Sprint("press:", cu.user), p.chat.ID)
	}
	return id, nil
}

func (s *stored) buttonData(button string) (string, error) {
	var have []string
	if s.msg.ReplyMarkup != nil {
		for _, row := range s.msg.ReplyMarkup.InlineKeyboard {
			for _, k := range row {
				if k.CallbackData != "" && (k.Text == button || k.CallbackData == button) {
					return k.CallbackData, nil
				}
				have = append(have, k.Text)
			}
		}
	}
	return "", fmt.Errorf("button %q: not on message %d, which has %q", button, s.msg.MessageID, have)
}

// forgetCallbacks keeps the number of pressed buttons bounded: those that can
// no longer be answered go.
func (b *Bot) forgetCallbacks() {
	if len(b.callbacks) < 10_000 {
		return
	}
	limit := b.server.now() - int64(b.server.opt.CallbackTTL.Seconds())
	for id, p := range b.callbacks {
		if p.at < limit {
			delete(b.callbacks, id)
		}
	}
}

func (cu *Customer) pressKey(text string) error {
	b := cu.bot
	b.server.mu.Lock()
	p, err := cu.place()
	found := false
	if err == nil && p.st.keyboard != nil {
		for _, row := range p.st.keyboard.rows {
			found = found || slices.Contains(row, text)
		}
	}
	b.server.mu.Unlock()
	if err != nil {
		return err
	}
	if !found {
		return fmt.Errorf("key %q: not on the customer's keyboard", text)
	}
	_, err = cu.Send(text)
	return err
}

// WaitAnswer waits until the bot has answered a pressed button.
func (cu *Customer) WaitAnswer(ctx context.Context, callback string) (CallbackAnswer, error) {
	var out CallbackAnswer
	err := cu.bot.server.wait(ctx, func() bool {
		p := cu.bot.callbacks[callback]
		if p == nil || len(p.answers) == 0 {
			return false
		}
		out = p.answers[0]
		return true
	})
	if err != nil {
		err = fmt.Errorf("waiting for the answer to callback query %s: %w", callback, err)
	}
	return out, err
}

// Block stops the bot: it gets a my_chat_member update, and writing to the
// customer is refused.
func (cu *Customer) Block() error { return cu.block(true) }

// Unblock lets the bot write again.
func (cu *Customer) Unblock() error { return cu.block(false) }

func (cu *Customer) block(blocked bool) error {
	b := cu.bot
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	p, err := cu.place()
	if err != nil {
		return err
	}
	if p.chat.Type != "private" || p.conn != nil {
		return fmt.Errorf("a bot is blocked in the private chat with it")
	}
	b.setBlocked(p, blocked)
	return nil
}

func (b *Bot) setBlocked(p *place, blocked bool) {
	peer := b.peer(p.user.ID)
	if peer.blocked == blocked {
		return
	}
	peer.blocked = blocked
	old, next, event := "kicked", "member", "unblock"
	if blocked {
		old, next, event = next, old, "block"
	}
	b.note(p.st, Entry{From: "customer", Event: event})
	b.memberUpdate(p.chat, p.user, old, next)
}

// Transcript returns all entries of the customer's chat.
func (cu *Customer) Transcript() []Entry { return cu.bot.Transcript(cu.chatID(), cu.business) }

func (cu *Customer) chatID() int64 {
	if cu.group != 0 {
		return cu.group
	}
	return cu.user
}

// WaitMessages waits until the bot has sent n messages to the customer's chat
// and returns all it has sent, oldest first, as they were sent.
func (cu *Customer) WaitMessages(ctx context.Context, n int) ([]Message, error) {
	entries, err := cu.bot.WaitTranscript(ctx, Query{Chat: cu.chatID(), Business: cu.business, From: "bot", Count: n})
	var out []Message
	for _, e := range entries {
		if e.From == "bot" && e.Event == "message" {
			out = append(out, *e.Message)
		}
	}
	return out, err
}

// ConnectBusiness connects a business account with the bot, or changes its
// rights; the bot gets a business_connection update.
func (b *Bot) ConnectBusiness(owner int64, rights BusinessRights) (BusinessConnection, error) {
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	u := b.server.users[owner]
	if u == nil {
		return BusinessConnection{}, fmt.Errorf("user %d: not found", owner)
	}
	id := fmt.Sprintf("bc-%d-%d", b.user.ID, owner)
	bc := &BusinessConnection{ID: id, User: u.user, UserChatID: owner, Date: b.server.now(), Rights: rights, IsEnabled: true}
	b.business[id] = bc
	b.push("business_connection", *bc, "business:"+id, owner)
	return *bc, nil
}

// DisconnectBusiness turns a business connection off.
func (b *Bot) DisconnectBusiness(id string) error {
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	bc := b.business[id]
	if bc == nil {
		return fmt.Errorf("business connection %q: not found", id)
	}
	bc.IsEnabled = false
	b.push("business_connection", *bc, "business:"+id, bc.UserChatID)
	return nil
}
