package duty

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/channels"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/internal/testkit"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/status"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// calls are what the platform was asked, with answers that a test sets.
type calls struct {
	mu           sync.Mutex
	list         []string
	errs         map[string]error // by kind of call
	taken        string
	account      string
	expires      time.Time
	changed      []string
	latency      time.Duration
	atOnce, most int
	registered   []string
}

func (c *calls) note(ctx context.Context, kind string, ch platform.Channel) error {
	c.mu.Lock()
	c.list = append(c.list, kind+" "+ch.Name())
	c.atOnce++
	c.most = max(c.most, c.atOnce)
	c.mu.Unlock()
	defer func() { c.mu.Lock(); c.atOnce--; c.mu.Unlock() }()
	select {
	case <-time.After(c.latency):
	case <-ctx.Done():
		return ctx.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.errs[kind]
	if err != nil && err.Error() == "panic" {
		panic("secret payload")
	}
	return err
}

func (c *calls) platform() *testkit.Platform {
	return &testkit.Platform{
		OnProbe: func(ctx context.Context, ch platform.Channel) (platform.ProbeResult, error) {
			err := c.note(ctx, "probe", ch)
			c.mu.Lock()
			defer c.mu.Unlock()
			account := ch.(*testkit.Channel).Spec.Account
			if c.account != "" {
				account = c.account
			}
			return platform.ProbeResult{Account: account, DisplayName: "Shop", ExpiresAt: c.expires}, err
		},
		OnRegister: func(ctx context.Context, ch platform.Channel, registered string) (string, error) {
			err := c.note(ctx, "register", ch)
			c.mu.Lock()
			defer c.mu.Unlock()
			c.registered = append(c.registered, registered)
			return c.taken, err
		},
		OnUnregister: func(ctx context.Context, ch platform.Channel) error { return c.note(ctx, "unregister", ch) },
		OnSyncProfile: func(ctx context.Context, ch platform.Channel) ([]string, error) {
			return c.changed, c.note(ctx, "profile", ch)
		},
	}
}

func (c *calls) set(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
}

// since returns the calls after the first n.
func (c *calls) since(n int) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string{}, c.list[n:]...)
}

func (c *calls) count() int { return len(c.since(0)) }

type rig struct {
	*calls
	loader *channels.Loader
	leases *testkit.Leases
	board  *testkit.Board
	begin  func() // the manager runs; what the platform answers at first is set before
}

func (r *rig) row() document.ChannelStatus { return r.board.Row("Channel/shop/a") }

func run(t *testing.T, held []string, entries []document.Entry, test func(t *testing.T, r *rig)) {
	synctest.Test(t, func(t *testing.T) {
		r := &rig{calls: &calls{errs: map[string]error{}}, leases: testkit.NewLeases(held...), board: testkit.NewBoard()}
		var table *channels.Table
		table, r.loader = testkit.Table(t, r.platform(), entries...)
		m := New(Config{Table: table, Leases: r.leases, Rows: status.New(r.board), Metrics: testkit.Metrics(), Log: testkit.Log()})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		r.begin = func() { go func() { defer close(done); m.Run(ctx) }() }
		test(t, r)
		cancel()
		<-done
		assert.Zero(t, r.atOnce, "nothing runs after the end")
	})
}

func one(t *testing.T, change func(*document.Channel)) []document.Entry {
	return []document.Entry{testkit.Entry(t, "shop/a", 1, change)}
}

func TestTheHolderDoesTheDutiesProbeFirst(t *testing.T) {
	run(t, []string{"shop/a"}, one(t, nil), func(t *testing.T, r *rig) {
		r.begin()
		synctest.Wait()
		list := r.since(0)
		require.Len(t, list, 3)
		assert.Equal(t, "probe shop/a", list[0])
		assert.ElementsMatch(t, []string{"register shop/a", "profile shop/a"}, list[1:])
		row := r.row()
		assert.True(t, row.Held)
		assert.Equal(t, "Shop", row.DisplayName)
		for _, d := range []*document.Duty{row.Credentials, row.Webhook, row.Profile, row.Delivering} {
			require.NotNil(t, d)
			assert.Equal(t, document.DutyDone, d.State)
		}
		assert.Nil(t, row.Receiving)
	})
}

func TestCredentialsThatEndSoonSayWhen(t *testing.T) {
	run(t, []string{"shop/a"}, one(t, nil), func(t *testing.T, r *rig) {
		ends := time.Now().Add(20 * 24 * time.Hour)
		r.expires = ends
		r.begin()
		synctest.Wait()
		assert.Empty(t, r.row().Credentials.Message, "there is time")
		time.Sleep(7 * 24 * time.Hour)
		assert.Equal(t, document.DutyDone, r.row().Credentials.State, "they work")
		assert.Contains(t, r.row().Credentials.Message, ends.UTC().Format(time.DateOnly))
	})
}

func TestOthersDoNothing(t *testing.T) {
	run(t, nil, one(t, nil), func(t *testing.T, r *rig) {
		r.begin()
		time.Sleep(time.Hour)
		assert.Empty(t, r.since(0))
		assert.Zero(t, r.board.Len(), "nothing to say of what is another's")

		r.leases.Give(wire.Assignment{Channel: "shop/a", Token: 2})
		synctest.Wait()
		assert.Equal(t, 3, r.count())
		r.leases.Take("shop/a")
		time.Sleep(24 * time.Hour)
		assert.Equal(t, 3, r.count())
		assert.Zero(t, r.board.Len())
	})
}

func TestDutiesAreRepeatedAtTheirIntervals(t *testing.T) {
	run(t, []string{"shop/a"}, one(t, nil), func(t *testing.T, r *rig) {
		r.begin()
		time.Sleep(2*time.Hour + time.Minute)
		count := map[string]int{}
		for _, c := range r.since(0) {
			count[c]++
		}
		// Jitter takes up to a tenth off an interval.
		assert.InDelta(t, 13, count["register shop/a"], 2)
		assert.InDelta(t, 5, count["profile shop/a"], 1)
		assert.InDelta(t, 3, count["probe shop/a"], 1)
	})
}

func TestHowDutiesStand(t *testing.T) {
	for name, test := range map[string]struct {
		kind   string
		err    error
		taken  string
		acct   string
		change func(*document.Channel)
		want   document.Duty
		of     func(document.ChannelStatus) *document.Duty
	}{
		"credentials refused": {kind: "probe", err: &platform.Error{Class: wire.ErrAuthInvalid, Reason: "Unauthorized"},
			want: document.Duty{State: document.DutyFailed, Reason: status.ReasonAuthInvalid, Message: "Unauthorized"}},
		"platform away": {kind: "probe", err: &platform.Error{Class: wire.ErrRetryable, Reason: "no answer"},
			want: document.Duty{State: document.DutyRetrying, Reason: status.ReasonUnreachable, Message: "no answer"}},
		"too fast": {kind: "probe", err: &platform.Error{Class: wire.ErrRateLimited, Reason: "slow down"},
			want: document.Duty{State: document.DutyRetrying, Reason: status.ReasonRateLimited, Message: "slow down"}},
		"an error with a secret": {kind: "probe", err: errors.New("GET /bot/secret-of-shop/a"),
			want: document.Duty{State: document.DutyRetrying, Reason: status.ReasonUnreachable, Message: "GET /bot/[redacted]"}},
		"a bug": {kind: "probe", err: errors.New("panic"),
			want: document.Duty{State: document.DutyRetrying, Reason: status.ReasonInternalError, Message: "internal error; see the log of the bridge"}},
		"credentials of another": {acct: "999",
			want: document.Duty{State: document.DutyFailed, Reason: status.ReasonMisconfigured, Message: `the credentials are of account "999", the Channel is for "account-shop/a"; put the right ones into the Secret`}},
		"webhook taken over": {taken: "https://other.example/secret-path", of: webhookOf,
			want: document.Duty{State: document.DutyFailed, Reason: status.ReasonTakenOver, Message: "somebody else registered a webhook at other.example for this account; it is left alone. Remove it there: it is looked at again within the hour"}},
		"webhook refused": {kind: "register", err: &platform.Error{Class: wire.ErrMisconfigured, Reason: "bad webhook: HTTPS url must be provided"}, of: webhookOf,
			want: document.Duty{State: document.DutyFailed, Reason: status.ReasonMisconfigured, Message: "bad webhook: HTTPS url must be provided"}},
		"webhook not delivered to": {kind: "register", err: &platform.Error{Class: wire.ErrRetryable, NotDelivered: true, Reason: "SSL error"}, of: webhookOf,
			want: document.Duty{State: document.DutyRetrying, Reason: status.ReasonNotDelivered, Message: "SSL error"}},
		"no public URL": {change: func(c *document.Channel) { c.WebhookURL = "" }, of: webhookOf,
			want: document.Duty{State: document.DutyFailed, Reason: status.ReasonNoPublicURL, Message: "the Bridge has no public URL; set its spec.publicURL, or let the Channel receive by polling"}},
		"pods still loading": {change: func(c *document.Channel) { c.RegisterWebhook = false }, of: webhookOf,
			want: document.Duty{State: document.DutyPending, Reason: status.ReasonNotAttempted, Message: "waits until every serving pod has loaded the channel"}},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, []string{"shop/a"}, one(t, test.change), func(t *testing.T, r *rig) {
				r.set(func() { r.errs[test.kind], r.taken, r.account = test.err, test.taken, test.acct })
				r.begin()
				synctest.Wait()
				of := test.of
				if of == nil {
					of = func(s document.ChannelStatus) *document.Duty { return s.Credentials }
				}
				got := of(r.row())
				require.NotNil(t, got)
				assert.False(t, got.Since.IsZero())
				got.Since = time.Time{}
				assert.Equal(t, test.want, *got)
			})
		})
	}
}

func webhookOf(s document.ChannelStatus) *document.Duty { return s.Webhook }

func TestNothingElseIsTriedBeforeTheCredentialsWork(t *testing.T) {
	run(t, []string{"shop/a"}, one(t, nil), func(t *testing.T, r *rig) {
		r.set(func() { r.errs["probe"] = &platform.Error{Class: wire.ErrRetryable, Reason: "away"} })
		r.begin()
		time.Sleep(10 * time.Minute)
		for _, c := range r.since(0) {
			assert.Equal(t, "probe shop/a", c)
		}
		assert.InDelta(t, 8, r.count(), 3, "5 s doubling")
		assert.Equal(t, document.DutyPending, r.row().Webhook.State)
		r.set(func() { delete(r.errs, "probe") })
		time.Sleep(maxBackoff)
		assert.Equal(t, document.DutyDone, r.row().Webhook.State)
	})
}

func TestRegistrationStartsWhenEveryPodHasLoaded(t *testing.T) {
	loading := func(c *document.Channel) { c.RegisterWebhook = false }
	run(t, []string{"shop/a"}, one(t, loading), func(t *testing.T, r *rig) {
		r.begin()
		synctest.Wait()
		assert.ElementsMatch(t, []string{"probe shop/a", "profile shop/a"}, r.since(0))
		testkit.Apply(t, r.loader, one(t, nil)...)
		synctest.Wait()
		assert.Equal(t, []string{"register shop/a"}, r.since(2), "and nothing else is done again")
		assert.Equal(t, document.DutyDone, r.row().Webhook.State)

		// A new generation that changes nothing for the platform is on its way to all pods.
		testkit.Apply(t, r.loader, testkit.Entry(t, "shop/a", 2, loading))
		synctest.Wait()
		assert.Equal(t, document.DutyDone, r.row().Webhook.State, "what is registered stays so")
		assert.Equal(t, testkit.Entry(t, "shop/a", 2, loading).Hash, r.row().Hash)

		// One with another secret must wait for all of them again.
		testkit.Apply(t, r.loader, testkit.Entry(t, "shop/a", 3, func(c *document.Channel) {
			loading(c)
			c.Credentials["secret"] = "rotated"
		}))
		synctest.Wait()
		assert.Equal(t, document.DutyPending, r.row().Webhook.State)
	})
}

func TestAChangeConcernsTheDutiesThatDependOnIt(t *testing.T) {
	run(t, []string{"shop/a"}, one(t, nil), func(t *testing.T, r *rig) {
		r.begin()
		synctest.Wait()
		n := r.count()
		testkit.Apply(t, r.loader, testkit.Entry(t, "shop/a", 1, func(c *document.Channel) { c.Limits.InboundPerSecond = 7 }))
		synctest.Wait()
		assert.Empty(t, r.since(n), "a limit is nothing to the platform")
		testkit.Apply(t, r.loader, testkit.Entry(t, "shop/a", 1, func(c *document.Channel) { c.Config = json.RawMessage(`{"x":1}`) }))
		synctest.Wait()
		assert.ElementsMatch(t, []string{"register shop/a", "profile shop/a"}, r.since(n))
		n = r.count()
		testkit.Apply(t, r.loader, testkit.Entry(t, "shop/a", 1, func(c *document.Channel) {
			c.Config = json.RawMessage(`{"x":1}`)
			c.Credentials["secret"] = "rotated"
		}))
		synctest.Wait()
		assert.Equal(t, "probe shop/a", r.since(n)[0])
		assert.Len(t, r.since(n), 3)
	})
}

// Who changes a resource wants to see what comes of it, and has perhaps
// changed something at the platform too: it is looked at without waiting.
func TestAnotherGenerationIsALookAtThePlatform(t *testing.T) {
	run(t, []string{"shop/a"}, one(t, nil), func(t *testing.T, r *rig) {
		r.begin()
		synctest.Wait()
		r.set(func() { r.taken = "https://other.example/x" })
		time.Sleep(11 * time.Minute)
		assert.Equal(t, status.ReasonTakenOver, r.row().Webhook.Reason)
		r.set(func() { r.taken = "" })
		n := r.count()
		testkit.Apply(t, r.loader, testkit.Entry(t, "shop/a", 2, nil))
		synctest.Wait()
		assert.ElementsMatch(t, []string{"probe shop/a", "register shop/a", "profile shop/a"}, r.since(n))
		assert.Equal(t, document.DutyDone, r.row().Webhook.State)
	})
}

func TestAResultForAnotherVersionDoesNotCount(t *testing.T) {
	run(t, []string{"shop/a"}, one(t, nil), func(t *testing.T, r *rig) {
		r.set(func() { r.latency = 10 * time.Second })
		r.begin()
		time.Sleep(5 * time.Second) // the probe of generation 1 is on the way
		testkit.Apply(t, r.loader, testkit.Entry(t, "shop/a", 2, func(c *document.Channel) { c.Credentials["secret"] = "rotated" }))
		time.Sleep(time.Second)
		assert.Equal(t, document.DutyPending, r.row().Credentials.State)
		time.Sleep(10 * time.Second)
		assert.Equal(t, document.DutyDone, r.row().Credentials.State)
		assert.Equal(t, []string{"probe shop/a", "probe shop/a"}, r.since(0)[:2])
	})
}

func TestOneHiccupAfterSuccessIsNotTold(t *testing.T) {
	run(t, []string{"shop/a"}, one(t, nil), func(t *testing.T, r *rig) {
		r.begin()
		synctest.Wait()
		r.set(func() { r.errs["register"] = &platform.Error{Class: wire.ErrRetryable, Reason: "502"} })
		n := r.count()
		for r.count() == n {
			time.Sleep(time.Second)
		}
		assert.Equal(t, document.DutyDone, r.row().Webhook.State)
		time.Sleep(20 * time.Second)
		assert.Equal(t, document.DutyRetrying, r.row().Webhook.State)
		r.set(func() { r.errs["register"] = &platform.Error{Class: wire.ErrAuthInvalid, Reason: "revoked"} })
		time.Sleep(2 * time.Minute)
		assert.Equal(t, document.DutyFailed, r.row().Webhook.State)
	})
}

func TestATakenWebhookIsNotFoughtOver(t *testing.T) {
	run(t, []string{"shop/a"}, one(t, nil), func(t *testing.T, r *rig) {
		r.begin()
		synctest.Wait()
		r.set(func() { r.taken = "https://other.example/x" })
		time.Sleep(11 * time.Minute)
		assert.Equal(t, status.ReasonTakenOver, r.row().Webhook.Reason)
		synctest.Wait()
		n := len(r.registered)
		assert.Equal(t, []string{"", "https://bridge.example/webhooks/shop/a"}, r.registered)
		time.Sleep(50 * time.Minute)
		synctest.Wait()
		assert.Len(t, r.registered, n, "left alone for an hour")
		r.set(func() { r.taken = "" })
		time.Sleep(15 * time.Minute)
		assert.Equal(t, document.DutyDone, r.row().Webhook.State)
	})
}

func TestAWebhookThatIsNotDeliveredToIsOursAllTheSame(t *testing.T) {
	run(t, []string{"shop/a"}, one(t, nil), func(t *testing.T, r *rig) {
		r.errs["register"] = &platform.Error{Class: wire.ErrRetryable, NotDelivered: true, Reason: "SSL error"}
		r.begin()
		synctest.Wait()
		require.Equal(t, status.ReasonNotDelivered, r.row().Webhook.Reason)
		r.set(func() { r.taken, r.errs = "https://other.example/x", map[string]error{} })
		time.Sleep(11 * time.Minute)
		assert.Equal(t, status.ReasonTakenOver, r.row().Webhook.Reason)
		assert.Equal(t, []string{"", "https://bridge.example/webhooks/shop/a"}, r.registered[:2], "what we set is told at the next look")
	})
}

func TestSuspendedChannelsHaveNoDuties(t *testing.T) {
	run(t, []string{"shop/a"}, one(t, func(c *document.Channel) { c.Suspended = true }), func(t *testing.T, r *rig) {
		r.begin()
		time.Sleep(time.Hour)
		assert.Empty(t, r.since(0))
		testkit.Apply(t, r.loader, testkit.Entry(t, "shop/a", 2, nil))
		synctest.Wait()
		assert.Equal(t, 3, r.count())
		testkit.Apply(t, r.loader, testkit.Entry(t, "shop/a", 3, func(c *document.Channel) { c.Suspended = true }))
		time.Sleep(24 * time.Hour)
		assert.Equal(t, 3, r.count(), "and nothing is unregistered")
	})
}

func TestPolledChannelsRegisterNothing(t *testing.T) {
	run(t, []string{"shop/a"}, one(t, func(c *document.Channel) { c.Receive = document.ReceivePolling }), func(t *testing.T, r *rig) {
		r.begin()
		synctest.Wait()
		assert.ElementsMatch(t, []string{"probe shop/a", "profile shop/a"}, r.since(0))
		assert.Nil(t, r.row().Webhook)
	})
}

func TestATombstoneIsUnregistered(t *testing.T) {
	key := "Tombstone/shop/a"
	run(t, []string{"shop/a"}, []document.Entry{testkit.Tombstone(t, "shop/a")}, func(t *testing.T, r *rig) {
		r.set(func() { r.errs["unregister"] = &platform.Error{Class: wire.ErrRetryable, Reason: "away"} })
		r.begin()
		time.Sleep(4 * time.Minute)
		assert.Equal(t, document.DutyRetrying, r.board.Row(key).Webhook.State)
		assert.Greater(t, r.count(), 7, "the operator waits for five minutes")
		r.set(func() { delete(r.errs, "unregister") })
		time.Sleep(tombstoneBackoff)
		row := r.board.Row(key)
		assert.Equal(t, document.DutyDone, row.Webhook.State)
		assert.True(t, row.Held)
		n := r.count()
		time.Sleep(24 * time.Hour)
		assert.Equal(t, n, r.count(), "once")
		testkit.Apply(t, r.loader)
		synctest.Wait()
		assert.Zero(t, r.board.Len())
	})
}

func TestATombstoneDoesNotUnregisterItsSuccessor(t *testing.T) {
	run(t, []string{"shop/a"}, append(one(t, nil), testkit.Tombstone(t, "shop/a")), func(t *testing.T, r *rig) {
		r.begin()
		time.Sleep(time.Minute)
		assert.NotContains(t, r.since(0), "unregister shop/a")
		assert.Equal(t, document.DutyDone, r.board.Row("Tombstone/shop/a").Webhook.State)
	})
}

// The channels of one app have one URL all of them: another account behind it
// is no successor.
func TestATombstoneIsUnregisteredWhenItsNameHasAnotherAccount(t *testing.T) {
	other := testkit.Entry(t, "shop/a", 3, func(c *document.Channel) { c.Account = "another" })
	run(t, []string{"shop/a"}, []document.Entry{other, testkit.Tombstone(t, "shop/a")}, func(t *testing.T, r *rig) {
		r.begin()
		time.Sleep(time.Minute)
		assert.Contains(t, r.since(0), "unregister shop/a")
	})
}

func TestAThousandChannelsDoNotStampede(t *testing.T) {
	var entries []document.Entry
	var names []string
	for i := range 1000 {
		names = append(names, fmt.Sprintf("shop/c%d", i))
		entries = append(entries, testkit.Entry(t, names[i], 1, nil))
	}
	run(t, names, entries, func(t *testing.T, r *rig) {
		r.set(func() { r.latency = 200 * time.Millisecond })
		r.begin()
		time.Sleep(45 * time.Second)
		synctest.Wait()
		assert.Equal(t, 3000, r.count())
		assert.Equal(t, workers, r.most)
	})
}

func TestNextPutsOffByWhatHappened(t *testing.T) {
	retrying, failed := document.Duty{State: document.DutyRetrying}, document.Duty{State: document.DutyFailed}
	for name, test := range map[string]struct {
		obligation status.Obligation
		tombstone  bool
		duty       document.Duty
		failures   int
		after      time.Duration
		min, max   time.Duration
	}{
		"first failure":      {duty: retrying, failures: 1, min: 2500 * time.Millisecond, max: 5 * time.Second},
		"fifth failure":      {duty: retrying, failures: 5, min: 40 * time.Second, max: 80 * time.Second},
		"many failures":      {duty: retrying, failures: 1000, min: maxBackoff / 2, max: maxBackoff},
		"asked to wait":      {duty: retrying, failures: 1, after: time.Hour, min: time.Hour, max: time.Hour},
		"needs a person":     {duty: failed, failures: 1, min: maxBackoff / 2, max: maxBackoff},
		"taken over":         {duty: document.Duty{State: document.DutyFailed, Reason: status.ReasonTakenOver}, failures: 1, min: 54 * time.Minute, max: time.Hour},
		"tombstone":          {tombstone: true, duty: failed, failures: 9, min: tombstoneBackoff / 2, max: tombstoneBackoff},
		"tombstone of haste": {tombstone: true, duty: retrying, failures: 1, min: 2500 * time.Millisecond, max: 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			for range 100 {
				d := next(test.obligation, test.tombstone, test.duty, test.failures, test.after)
				assert.GreaterOrEqual(t, d, test.min)
				assert.LessOrEqual(t, d, test.max)
			}
		})
	}
}

func TestRefusedSendsBringTheProbeForward(t *testing.T) {
	run(t, []string{"shop/a"}, one(t, nil), func(t *testing.T, r *rig) {
		r.begin()
		time.Sleep(time.Minute)
		before := r.count()
		assert.Equal(t, []string{"shop/a"}, r.leases.AllAccepted())

		r.set(func() { r.errs["probe"] = &platform.Error{Class: wire.ErrAuthInvalid, Reason: "Unauthorized"} })
		r.leases.Refuse("shop/a", true)
		synctest.Wait()
		assert.Equal(t, []string{"probe shop/a"}, r.since(before), "the credentials, and nothing else")
		assert.Equal(t, document.DutyFailed, r.row().Credentials.State)
		r.leases.Refuse("shop/a", true)
		synctest.Wait()
		assert.Len(t, r.since(before), 1, "refusals that go on say nothing new")

		// New credentials are looked at by themselves, and what waits is told to go on.
		r.set(func() { delete(r.errs, "probe") })
		testkit.Apply(t, r.loader, testkit.Entry(t, "shop/a", 1, func(c *document.Channel) { c.Credentials["secret"] = "another" }))
		synctest.Wait()
		assert.Equal(t, document.DutyDone, r.row().Credentials.State)
		assert.Equal(t, []string{"shop/a", "shop/a"}, r.leases.AllAccepted())
	})
}

// Sends may be refused for a reason that the probe does not see. Were each good
// probe told as news, the store would give up its backoff for it.
func TestAProbeThatGoesWellAllTheTimeIsNoNews(t *testing.T) {
	run(t, []string{"shop/a"}, one(t, nil), func(t *testing.T, r *rig) {
		r.begin()
		synctest.Wait()
		for range 3 {
			r.leases.Refuse("shop/a", true)
			synctest.Wait()
			r.leases.Refuse("shop/a", false)
			synctest.Wait()
		}
		probes := 0
		for _, c := range r.since(0) {
			if c == "probe shop/a" {
				probes++
			}
		}
		assert.Equal(t, 4, probes, "one at first, and one each time it began")
		assert.Len(t, r.leases.AllAccepted(), 1)
	})
}

func TestAProbeOnTheWayIsFollowedByAnother(t *testing.T) {
	run(t, []string{"shop/a"}, one(t, nil), func(t *testing.T, r *rig) {
		r.set(func() { r.latency = time.Second })
		r.begin()
		time.Sleep(500 * time.Millisecond)
		r.leases.Refuse("shop/a", true) // the probe may have asked before
		time.Sleep(3 * time.Second)
		list := r.since(0)
		assert.Contains(t, list[1:], "probe shop/a")
	})
}
