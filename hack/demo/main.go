// Command demo plays one conversation per channel through a running
// Bridgekeeper: a customer writes to a bot of the simulator, the message is
// read from REST, answered by REST, and seen by the customer. It prints what
// each side saw.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/hack/actors"
	"github.com/bridgekeeper/bridgekeeper/hack/simulator/telegram"
)

// patience is how long each step may take. They take well under a second; the
// rest is for a machine that does something else.
const patience = 30 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, args []string) error {
	fs := flag.NewFlagSet("demo", flag.ContinueOnError)
	rest := fs.String("rest", "http://127.0.0.1:8080", "base URL of the store's REST API")
	simulator := fs.String("simulator", "http://127.0.0.1:8082", "base URL of the simulator's control API")
	var conversations conversationFlags
	fs.Var(&conversations, "conversation", "CHANNEL=BOT=NAME: a customer of this name writes to the bot of the channel; may be repeated")
	if err := fs.Parse(args); err != nil {
		return err
	}
	token := os.Getenv("DESK_TOKEN") // not a flag: those can be read by others of this machine
	if token == "" {
		return errors.New("DESK_TOKEN is not set: the bearer token of the REST API")
	}
	desk, world := actors.NewDesk(*rest, token, nil), actors.NewSimulator(*simulator, nil)
	for i, c := range conversations {
		if err := c.play(ctx, out, desk, world, i == 0); err != nil {
			return fmt.Errorf("channel %s: %w", c.channel, err)
		}
	}
	return nil
}

// conversation is one customer at one channel.
type conversation struct {
	channel string // namespace/name
	bot     int64
	name    string
}

type conversationFlags []conversation

func (c *conversationFlags) String() string { return "" }

func (c *conversationFlags) Set(text string) error {
	parts := strings.Split(text, "=")
	if len(parts) != 3 {
		return errors.New("use CHANNEL=BOT=NAME")
	}
	bot, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil {
		return errors.New("the bot is a number: use CHANNEL=BOT=NAME")
	}
	*c = append(*c, conversation{channel: parts[0], bot: bot, name: parts[2]})
	return nil
}

// play runs the conversation and tells it; in full with the JSON of REST.
func (c conversation) play(ctx context.Context, out io.Writer, desk *actors.Desk, world *actors.Simulator, full bool) error {
	// A person of their own each time, so that every run begins a conversation.
	customer, err := world.Customer(ctx, c.bot, telegram.User{ID: time.Now().UnixMilli() % 1e10, FirstName: c.name, LanguageCode: "en"})
	if err != nil {
		return err
	}
	question := "Hello, where is my order? — " + c.name
	start := time.Now()
	if err := customer.Write(ctx, question); err != nil {
		return err
	}
	received, err := c.await(ctx, desk, customer.ID())
	if err != nil {
		return err
	}
	arrived := time.Since(start)
	answer := "Hello " + c.name + ", it leaves today."
	start = time.Now()
	if _, err := desk.Reply(ctx, received.Conversation, customer.ID(), answer); err != nil {
		return err
	}
	seen, err := customer.Read(ctx, 1, patience)
	if err != nil {
		return fmt.Errorf("the reply did not reach the customer: %w", err)
	}
	_, err = fmt.Fprintf(out, "%s\n  %s wrote:      %s  (in REST after %s)\n  %s then saw:   %s  (after %s)\n",
		c.channel, c.name, question, arrived.Round(time.Millisecond), c.name, strings.Join(seen, " / "), time.Since(start).Round(time.Millisecond))
	if err != nil || !full {
		return err
	}
	return show(ctx, out, desk, received.Conversation)
}

// await polls REST until the customer's message is there.
func (c conversation) await(ctx context.Context, desk *actors.Desk, customer string) (*message.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		found, err := desk.Conversations(ctx, c.channel)
		for _, conv := range found {
			if conv.Contact.ExternalID != customer {
				continue
			}
			messages, err := desk.Conversation(ctx, conv.ID)
			if err == nil && len(messages) > 0 {
				return &messages[0], nil
			}
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(errors.New("the message did not arrive in REST"), err)
		case <-ticker.C:
		}
	}
}

// show prints a conversation as REST has it, once the reply is sent.
func show(ctx context.Context, out io.Writer, desk *actors.Desk, id string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		messages, err := desk.Conversation(ctx, id)
		if err != nil {
			return err
		}
		if last := len(messages) - 1; messages[last].Status != message.StatusQueued {
			pretty, err := json.MarshalIndent(messages, "  ", "  ")
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(out, "\n  GET /v1/conversations/%s/messages\n  %s\n\n", id, pretty)
			return err
		}
		select {
		case <-ctx.Done():
			return errors.New("the reply is still queued")
		case <-time.After(50 * time.Millisecond):
		}
	}
}
