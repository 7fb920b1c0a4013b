package telegram

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Call is one call of the Bot API as the call log keeps it. Tokens never
// appear; values are cut after 256 bytes.
type Call struct {
	Seq         int64             `json:"seq"`
	Time        time.Time         `json:"time"`
	Bot         int64             `json:"bot"`
	Method      string            `json:"method"`
	Params      map[string]string `json:"params,omitempty"`
	Files       map[string]int    `json:"files,omitempty"` // sizes in bytes
	Code        int               `json:"code"`            // 200, or the error's; 0: not answered
	Description string            `json:"description,omitempty"`
	Fault       FaultKind         `json:"fault,omitempty"`
	Millis      int64             `json:"millis"` // until it was done; getUpdates waits
}

// maxLogged is how much of a value the call log keeps.
const maxLogged = 256

func (c *call) logEntry(err *apiError, f *Fault, took time.Duration) Call {
	e := Call{Time: c.server.opt.Now(), Bot: c.bot.user.ID, Method: c.method, Code: 200, Millis: took.Milliseconds()}
	if err != nil {
		e.Code, e.Description = err.Code, err.Description
	}
	if f != nil {
		e.Fault = f.Kind
	}
	if len(c.args) > 0 {
		e.Params = map[string]string{}
	}
	for _, a := range c.args {
		value := a.value
		if a.name == "secret_token" {
			value = "[redacted]"
		}
		if len(value) > maxLogged {
			value = strings.ToValidUTF8(value[:maxLogged], "") + "…"
		}
		if _, twice := e.Params[a.name]; !twice {
			e.Params[a.name] = value
		}
	}
	for name, f := range c.files {
		if e.Files == nil {
			e.Files = map[string]int{}
		}
		e.Files[name] = len(f.data)
	}
	return e
}

func (s *Server) record(e Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.Seq = s.calls.total + 1
	s.calls.add(e)
	s.notify()
	s.opt.Log.Debug("call", "bot", e.Bot, "method", e.Method, "code", e.Code, "description", e.Description, "fault", e.Fault, "ms", e.Millis)
}

// Calls returns the calls of a bot after a sequence number, oldest first; an
// empty method means all methods. getUpdates calls appear when they end.
func (b *Bot) Calls(method string, after int64) []Call {
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	return b.callsLocked(method, after)
}

func (b *Bot) callsLocked(method string, after int64) []Call {
	var out []Call
	for _, c := range b.server.calls.all() {
		if c.Bot == b.user.ID && c.Seq > after && (method == "" || strings.EqualFold(c.Method, method)) {
			out = append(out, c)
		}
	}
	return out
}

// WaitCalls waits until a bot has made n calls of a method since after.
func (b *Bot) WaitCalls(ctx context.Context, method string, after int64, n int) ([]Call, error) {
	var out []Call
	err := b.server.wait(ctx, func() bool {
		out = b.callsLocked(method, after)
		return len(out) >= n
	})
	if err != nil {
		return out, fmt.Errorf("waiting for %d calls of %s, have %d: %w", n, method, len(out), err)
	}
	return out, nil
}

// parseID reads a chat id; 0 when it is none.
func parseID(text string) int64 {
	id, _ := strconv.ParseInt(text, 10, 64)
	return id
}
