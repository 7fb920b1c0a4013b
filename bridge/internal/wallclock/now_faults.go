//go:build faults

package wallclock

import (
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// fileVariable names a file with a duration (1h30m, -10h) by which the clock is
// ahead; it may change at any time.
const fileVariable = "BRIDGEKEEPER_CLOCK_AHEAD_FILE"

// ahead in nanoseconds, as the file said last.
var ahead atomic.Int64

func init() {
	path := os.Getenv(fileVariable)
	if path == "" {
		return
	}
	read(path)
	go func() {
		for range time.Tick(5 * time.Millisecond) {
			read(path)
		}
	}()
}

func read(path string) {
	data, err := os.ReadFile(path) //nolint:gosec // a test's own file
	if err != nil {
		panic(err) // a test that goes by the right time proves nothing
	}
	d, err := time.ParseDuration(strings.TrimSpace(string(data)))
	if err != nil {
		panic(err)
	}
	ahead.Store(int64(d))
}

// Now is the time that the clock shows, without a monotonic part: that would
// leap, too.
func Now() time.Time {
	return time.Now().Round(0).Add(time.Duration(ahead.Load()))
}
