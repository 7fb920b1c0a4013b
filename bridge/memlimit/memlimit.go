// Package memlimit tells Go's garbage collector how much memory the container
// has, so that a burst ends in more collection and not in a kill, and how much
// garbage is worth waiting for.
package memlimit

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
)

// share of the container's memory that the heap may fill: the rest is for
// what the collector does not see (page cache of mapped files, stacks, code).
const share = 0.9

// cgroupFile is where cgroup v2 shows the limit of the own container.
const cgroupFile = "/sys/fs/cgroup/memory.max"

// Between two collections the heap may grow by room, by mostGrowth percent of what
// is in use at most and by leastGrowth at least, unless GOGC says something.
//
// What is in use in a bridge or store with some channels is 3 to 10 MB, all
// requests at one time included: Go's own 100 percent would collect after every
// 4 MB, which is 300 webhooks, and take a tenth of the time for it. With a thousand
// polled channels it is 25 MB, and in an operator with ten thousand Channels 150 MB:
// 200 percent of that is memory that nobody needs.
const (
	room        = 16 << 20
	mostGrowth  = 200
	leastGrowth = 50
)

// Apply sets the soft memory limit from the container's, unless GOMEMLIMIT
// says something or there is no limit, and how eagerly garbage is collected, from
// now on. It returns the limit in force in bytes, 0 for none. It is called once,
// at the start of a process.
func Apply() int64 {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(mostGrowth)
		afterEachCollection(&pace{percent: mostGrowth})
	}
	return apply(cgroupFile, os.Getenv("GOMEMLIMIT"))
}

// growth is by how many percent of what is in use the heap may grow.
func growth(inUse uint64) int {
	return int(min(mostGrowth, max(leastGrowth, room*100/max(inUse, 1))))
}

// pace is the percentage in force.
type pace struct{ percent int }

// follow sets it by what the last collection left. Small changes are not worth
// the moment that the world is stopped for them.
func (p *pace) follow() {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	if live[0].Value.Kind() != metrics.KindUint64 {
		return // a runtime that counts otherwise: it stays as it is
	}
	if want := growth(live[0].Value.Uint64()); want*10 < p.percent*9 || want*9 > p.percent*10 {
		debug.SetGCPercent(want)
		p.percent = want
	}
}

// afterEachCollection adjusts the pace whenever garbage was collected: an object
// that nobody has goes with each collection, and tells so.
func afterEachCollection(p *pace) {
	type nobodys struct{ _ *byte } // a pointer keeps it out of the allocator's shared blocks
	runtime.AddCleanup(&nobodys{}, func(p *pace) {
		p.follow()
		afterEachCollection(p)
	}, p)
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
