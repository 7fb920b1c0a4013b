package actors

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/bridgekeeper/bridgekeeper/hack/simulator/telegram"
)

// Simulator is the control API of a running simulator.
type Simulator struct{ control endpoint }

// NewSimulator makes a client; base is the URL of the control port, transport
// how it is reached (nil: directly).
func NewSimulator(base string, transport http.RoundTripper) *Simulator {
	return &Simulator{newEndpoint(base, transport)}
}

// AddBot creates a bot; one that exists is left as it is.
func (s *Simulator) AddBot(ctx context.Context, spec telegram.BotSpec) error {
	if _, err := s.Bot(ctx, spec.ID); err == nil {
		return nil
	}
	return s.control.call(ctx, http.MethodPost, "/control/bots", spec, nil)
}

// Bot returns a bot's state at the platform: webhook, polling, profile.
func (s *Simulator) Bot(ctx context.Context, bot int64) (telegram.State, error) {
	var state telegram.State
	err := s.control.call(ctx, http.MethodGet, botPath(bot), nil, &state)
	return state, err
}

// Revoke gives a bot a new token, as BotFather does; the old one is refused from then on.
func (s *Simulator) Revoke(ctx context.Context, bot int64, secret string) error {
	return s.control.call(ctx, http.MethodPost, botPath(bot)+"/revoke", map[string]string{"secret": secret}, nil)
}

// Inject posts an update to the bot's webhook as a stranger would and returns
// the status of the answer.
func (s *Simulator) Inject(ctx context.Context, bot int64, in telegram.Injection) (int, error) {
	var out struct {
		Status int `json:"status"`
	}
	err := s.control.call(ctx, http.MethodPost, botPath(bot)+"/webhook/inject", in, &out)
	return out.Status, err
}

// TakeOver points a bot's webhook elsewhere, as a second system with the same
// token would.
func (s *Simulator) TakeOver(ctx context.Context, bot int64, webhookURL, secret string) error {
	return s.control.call(ctx, http.MethodPost, botPath(bot)+"/webhook/takeover", map[string]string{"url": webhookURL, "secret": secret}, nil)
}

// Deliveries returns the log of requests to a bot's webhook, oldest first.
func (s *Simulator) Deliveries(ctx context.Context, bot int64) ([]telegram.Delivery, error) {
	var out struct {
		Deliveries []telegram.Delivery `json:"deliveries"`
	}
	err := s.control.call(ctx, http.MethodGet, botPath(bot)+"/deliveries", nil, &out)
	return out.Deliveries, err
}

// SetLimits changes the rate limits of all bots.
func (s *Simulator) SetLimits(ctx context.Context, l telegram.Limits) error {
	return s.control.call(ctx, http.MethodPut, "/control/limits", l, nil)
}

// Customer is a person in a private chat with a bot.
type Customer struct {
	simulator *Simulator
	bot, user int64
}

// Customer makes a person who writes to a bot; the same id is the same person.
func (s *Simulator) Customer(ctx context.Context, bot int64, user telegram.User) (*Customer, error) {
	err := s.control.call(ctx, http.MethodPost, "/control/users", user, &user)
	return &Customer{simulator: s, bot: bot, user: user.ID}, err
}

// ID is the person's id at the platform, as text.
func (c *Customer) ID() string { return strconv.FormatInt(c.user, 10) }

// Write sends a text to the bot.
func (c *Customer) Write(ctx context.Context, text string) error {
	return c.simulator.control.call(ctx, http.MethodPost, c.path()+"/messages", telegram.Outgoing{Text: text}, nil)
}

// Read waits until the bot has sent n messages and returns their texts, as the
// person saw them.
func (c *Customer) Read(ctx context.Context, n int, timeout time.Duration) ([]string, error) {
	q := url.Values{"from": {"bot"}, "waitFor": {strconv.Itoa(n)}, "timeout": {timeout.String()}}
	var out struct {
		Entries []telegram.Entry `json:"entries"`
	}
	if err := c.simulator.control.call(ctx, http.MethodGet, c.path()+"/transcript?"+q.Encode(), nil, &out); err != nil {
		return nil, err
	}
	var texts []string
	for _, e := range out.Entries {
		if e.From == "bot" && e.Event == "message" && e.Message != nil {
			texts = append(texts, e.Message.Text)
		}
	}
	return texts, nil
}

// Line is a message of a chat as the platform has it.
type Line struct {
	Shop bool // wrote it; else the customer did
	Text string
}

// Transcript is all that was written in the chat, in the order in which the platform
// saw it; a text that was changed later is there as it was first.
func (c *Customer) Transcript(ctx context.Context) ([]Line, error) {
	var out struct {
		Entries []telegram.Entry `json:"entries"`
	}
	if err := c.simulator.control.call(ctx, http.MethodGet, c.path()+"/transcript", nil, &out); err != nil {
		return nil, err
	}
	var lines []Line
	for _, e := range out.Entries {
		if e.Event == "message" && e.Message != nil {
			lines = append(lines, Line{Shop: e.From == "bot", Text: e.Message.Text})
		}
	}
	return lines, nil
}

func (c *Customer) path() string { return fmt.Sprintf("%s/chats/%d", botPath(c.bot), c.user) }

func botPath(bot int64) string { return fmt.Sprintf("/control/bots/%d", bot) }
