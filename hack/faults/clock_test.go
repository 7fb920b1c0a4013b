//go:build faults

package faults

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/hack/processes"
)

// leaps are what clocks show, one after the other, beside the right time: ahead
// and back, back and ahead, and ahead of everything that is kept for a time.
var leaps = []time.Duration{10 * time.Hour, 0, -10 * time.Hour, 0, 90 * 24 * time.Hour, 0}

// clock is what all processes of a world, and its database's server, go by.
type clock struct {
	file, dsn string
}

// newClock gives a backend another clock, which is right at first. The server's
// is the one thing that stores ask it for, clock_timestamp(); a schema before the
// server's own has another function of the name.
func newClock(t *testing.T, b *backend) *clock {
	t.Helper()
	c := &clock{file: filepath.Join(t.TempDir(), "ahead")}
	require.NoError(t, c.set(t.Context(), 0))
	if database := b.dsn; b.name == "postgres" {
		b.dsn = func(t *testing.T) string {
			t.Helper()
			c.dsn = database(t)
			require.NoError(t, shared.server.Exec(t.Context(), c.dsn, `CREATE SCHEMA wall;
				CREATE TABLE wall.clock (ahead interval NOT NULL);
				INSERT INTO wall.clock VALUES ('0');
				CREATE FUNCTION wall.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
					AS 'SELECT pg_catalog.clock_timestamp() + ahead FROM wall.clock';
				DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = public, wall, pg_catalog', current_database()); END $$`))
			return c.dsn
		}
	}
	return c
}

// install runs a world's processes by the clock: see bridge/internal/wallclock.
func (c *clock) install(o *processes.Options) {
	o.Binary, o.Env = clocked, append(o.Env, "BRIDGEKEEPER_CLOCK_AHEAD_FILE="+c.file)
}

// set makes every clock show a time that is ahead by so much.
func (c *clock) set(ctx context.Context, ahead time.Duration) error {
	next := c.file + ".next"
	if err := os.WriteFile(next, []byte(ahead.String()), 0o600); err != nil {
		return err
	}
	if err := os.Rename(next, c.file); err != nil {
		return err
	}
	if c.dsn == "" {
		return nil
	}
	return shared.server.Exec(ctx, c.dsn, fmt.Sprintf("UPDATE wall.clock SET ahead = '%d seconds'", int(ahead.Seconds())))
}

// TestClocksLeap sets the clocks of bridges, stores and the database's server
// under load: by webhook, and by polling, whose session must not end for long.
func TestClocksLeap(t *testing.T) {
	onBoth(t, func(t *testing.T, b backend) {
		c := newClock(t, &b)
		d := openDesk(t, b, c.install)
		var want []string
		for i := range people {
			want = append(want, fmt.Sprintf("hello from %d", i))
		}
		r := load(t, d.World, 5, func(accepted func(int)) {
			for n, ahead := range leaps {
				accepted(some / 2)
				require.NoError(t, c.set(t.Context(), ahead))
				for i, customer := range d.customers {
					text := fmt.Sprintf("leap %d of %d", n, i)
					want = append(want, text)
					_, err := customer.Send(text)
					require.NoError(t, err)
				}
			}
			accepted(some)
		})
		verify(t, d.World, r, 5)
		d.waitStored(t, want)
	})
}

// TestClocksLeapWhileSending: what was being sent when a clock leapt ahead over
// its lease is unknown until its report comes, and then sent; nothing waits for a time that
// was wrong.
func TestClocksLeapWhileSending(t *testing.T) {
	const replies = 30
	onBoth(t, func(t *testing.T, b backend) {
		c := newClock(t, &b)
		d := openDesk(t, b, c.install)
		during(t, func(ctx context.Context) error {
			for _, ahead := range leaps {
				d.waitMore(ctx, replies)
				if err := c.set(ctx, ahead); err != nil {
					return err
				}
			}
			return ctx.Err()
		}, func() { d.reply(t, 0, replies) })
		d.settleSent(t, replies)
		ahead := 0
		for _, id := range d.conversations {
			list, err := d.Desk().Conversation(t.Context(), id)
			require.NoError(t, err)
			for _, m := range list {
				if time.Until(m.Timestamp) > leaps[0]/2 {
					ahead++
				}
			}
		}
		require.Positive(t, ahead, "the clocks leapt")
	})
}
