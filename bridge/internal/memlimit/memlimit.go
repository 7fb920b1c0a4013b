// Package memlimit tells Go's garbage collector how much memory the container
// has, so that a burst ends in more collection and not in a kill.
package memlimit

import (
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
)

// share of the container's memory that the heap may fill: the rest is for
// what the collector does not see (page cache of mapped files, stacks, code).
const share = 0.9

// cgroupFile is where cgroup v2 shows the limit of the own container.
const cgroupFile = "/sys/fs/cgroup/memory.max"

// collectAt is how far the heap grows before it is collected, in percent of what
// is in use, unless GOGC says something. What is in use in these processes is 3
// to 10 MB, all requests at one time included: Go's own 100 would collect after
// every 4 MB, which is 300 webhooks, and take a tenth of the time for it. With
// 200 the heap stays below 30 MB; where it does not, the limit comes first.
const collectAt = 200

// Apply sets the soft memory limit from the container's, unless GOMEMLIMIT
// says something or there is no limit, and how eagerly garbage is collected. It
// returns the limit in force in bytes, 0 for none.
func Apply() int64 {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	return apply(cgroupFile, os.Getenv("GOMEMLIMIT"))
}

func apply(file, environment string) int64 {
	if environment == "" {
		if content, err := os.ReadFile(file); err == nil {
			if limit, ok := parse(string(content)); ok {
				debug.SetMemoryLimit(limit)
			}
		}
	}
	limit := debug.SetMemoryLimit(-1) // reads
	if limit == math.MaxInt64 {
		return 0
	}
	return limit
}

// parse reads memory.max; "max" is no limit.
func parse(content string) (int64, bool) {
	limit, err := strconv.ParseInt(strings.TrimSpace(content), 10, 64)
	if err != nil || limit <= 0 {
		return 0, false
	}
	return int64(float64(limit) * share), true
}
