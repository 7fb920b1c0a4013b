package telegram

import (
	"math"
	"time"

	"golang.org/x/time/rate"
)

// withDefaults fills in what is not set.
func (l Limits) withDefaults() Limits {
	setDefault(&l.PerChat, DefaultLimits.PerChat)
	setDefault(&l.PerChatBurst, DefaultLimits.PerChatBurst)
	setDefault(&l.PerGroupMinute, DefaultLimits.PerGroupMinute)
	setDefault(&l.Overall, DefaultLimits.Overall)
	return l
}

// forChat makes the limiter of a chat; negative ids are groups.
func (l Limits) forChat(id int64) *rate.Limiter {
	if id < 0 {
		return rate.NewLimiter(rate.Limit(l.PerGroupMinute/60), max(1, int(l.PerGroupMinute)))
	}
	return rate.NewLimiter(rate.Limit(l.PerChat), max(1, l.PerChatBurst))
}

// takeRate counts n messages of a bot to a chat, or refuses with the seconds
// after which both the chat's and the bot's limit allow them. A refused call
// costs nothing.
func (c *call) takeRate(st *chatState, n int) *apiError {
	if c.server.opt.Limits.Off {
		return nil
	}
	now := c.server.opt.Now()
	chat, chatDelay := reserve(st.limiter, now, n)
	all, allDelay := reserve(c.bot.overall, now, n)
	delay := max(chatDelay, allDelay)
	if delay == 0 {
		return nil
	}
	chat.CancelAt(now)
	all.CancelAt(now)
	return tooMany(int(math.Ceil(delay.Seconds())))
}

// reserve takes n tokens; an album larger than the burst takes the burst.
func reserve(l *rate.Limiter, now time.Time, n int) (*rate.Reservation, time.Duration) {
	r := l.ReserveN(now, min(n, l.Burst()))
	return r, r.DelayFrom(now)
}

// SetLimits replaces the rate limits of all bots and chats. Zero fields get the
// values of DefaultLimits.
func (s *Server) SetLimits(l Limits) {
	l = l.withDefaults()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opt.Limits = l
	for _, b := range s.bots {
		b.overall = rate.NewLimiter(rate.Limit(l.Overall), max(1, int(l.Overall)))
		for key, st := range b.chats {
			st.limiter = l.forChat(key.id)
		}
	}
}
