package main

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"strconv"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/hack/processes"
	"github.com/bridgekeeper/bridgekeeper/hack/simulator/telegram"
)

// What one bridge may hold at rest: its own, and so much for each channel.
const (
	bridgeBase       = 30 << 20
	bridgePerChannel = 50 << 10
)

// steadyFor is how long a bridge's memory must not grow by more than a hundredth
// before it counts as at rest: two of the runtime's forced collections (one in two
// minutes) would be too long to wait for, and what is read is then too much rather
// than too little.
const steadyFor = 20 * time.Second

// bridges measures one bridge process with no channels and with many.
func bridges(ctx context.Context, v *verdict, binary string, channels int) error {
	fmt.Printf("\none bridge at rest (its store and the platform beside it)\n")
	fmt.Printf("  %-42s %10s %9s %9s %9s\n", "", "took", "RSS", "aim", "store RSS")
	for _, row := range []struct {
		channels int
		receive  document.Receive
	}{{0, document.ReceiveWebhook}, {channels, document.ReceiveWebhook}, {channels, document.ReceivePolling}} {
		if err := bridge(ctx, v, binary, row.channels, row.receive); err != nil {
			return fmt.Errorf("a bridge with %d channels (%s): %w", row.channels, row.receive, err)
		}
	}
	return nil
}

// bridge starts a bridge and its store with n Telegram bots, waits until the
// platform has heard of every one, and prints what the bridge holds at rest.
func bridge(ctx context.Context, v *verdict, binary string, n int, receive document.Receive) (err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	dir, err := os.MkdirTemp("", "bridgekeeper-scale")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	platform := telegram.New(telegram.Options{AllowHTTP: true})
	defer platform.Close()
	server := httptest.NewServer(platform.Handler())
	defer server.Close()
	w, err := processes.New(processes.Options{
		Binary: binary, Dir: dir, PlatformEndpoints: map[string]string{"telegram": server.URL},
		BridgeArgs: []string{"--log-level", "error"}, StoreArgs: []string{"--log-level", "error"},
	})
	if err != nil {
		return err
	}
	defer w.Close()
	list := make(map[string]document.Channel, n)
	for i := range n {
		id, secret := 100_000+i, fmt.Sprintf("AAHdqTcvCH1vGWJxfSeofSAs0K5PA%06d", i)
		if _, err := platform.AddBot(telegram.BotSpec{ID: int64(id), Secret: secret, Username: fmt.Sprintf("shop%d_bot", i)}); err != nil {
			return err
		}
		c := document.Channel{
			UID: "1", Platform: "telegram", Account: strconv.Itoa(id), Receive: receive,
			Credentials: map[string]string{"token": fmt.Sprintf("%d:%s", id, secret), "webhookSecret": fmt.Sprintf("a-secret-of-a-webhook-%06d", i)},
			Config:      fmt.Appendf(nil, `{"botID":"%d"}`, id),
		}
		if receive == document.ReceiveWebhook {
			c.WebhookURL, c.RegisterWebhook = w.WebhookURL("/webhooks/"+processes.Namespace+"/"+channelName(i)), true
		}
		list[channelName(i)] = c
	}
	if err := w.SetChannels(list); err != nil {
		return err
	}
	began := time.Now()
	if err := w.Start(ctx); err != nil {
		return err
	}
	if err := allServed(ctx, platform.Bots(), receive); err != nil {
		return fmt.Errorf("%w\n%s", err, w.Logs())
	}
	took := time.Since(began)
	held, err := steady(ctx, w.Bridges[0].PID())
	if err != nil {
		return err
	}
	store, err := processes.UsageOf(w.Stores[0].PID())
	if err != nil {
		return err
	}
	what, most := fmt.Sprintf("%d channels, %s", n, receive), mebibytes(bridgeBase+int64(n)*bridgePerChannel)
	fmt.Printf("  %-42s %9.1fs %5.0f MiB %5.0f MiB %5.0f MiB\n", what, took.Seconds(), mebibytes(held), most, mebibytes(store.RSS))
	v.judge("a bridge, "+what, aim{held: most}, took, mebibytes(held))
	return nil
}

// allServed waits until each bot has its webhook, or was asked for its updates.
func allServed(ctx context.Context, bots []*telegram.Bot, receive document.Receive) error {
	for _, b := range bots {
		served := func() bool { return b.WebhookInfo().URL != "" }
		if receive == document.ReceivePolling {
			served = func() bool { return len(b.Calls("getUpdates", 0)) > 0 }
		}
		for !served() {
			if err := pause(ctx); err != nil {
				return fmt.Errorf("waiting for the platform to hear of bot %d: %w", b.ID(), err)
			}
		}
	}
	return nil
}

// steady waits until a process has held no more than before for steadyFor.
func steady(ctx context.Context, pid int) (int64, error) {
	var most int64
	since := time.Now()
	for {
		u, err := processes.UsageOf(pid)
		if err != nil {
			return 0, err
		}
		if u.RSS > most+most/100 {
			most, since = u.RSS, time.Now()
		}
		if time.Since(since) > steadyFor {
			return u.RSS, nil
		}
		if err := pause(ctx); err != nil {
			return 0, err
		}
	}
}

func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(100 * time.Millisecond):
		return nil
	}
}

func mebibytes(n int64) float64 { return float64(n) / (1 << 20) }
