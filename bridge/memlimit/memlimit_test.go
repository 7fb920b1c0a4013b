package memlimit

import (
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestApply(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	file := filepath.Join(t.TempDir(), "memory.max")
	for name, test := range map[string]struct {
		content, environment string
		want                 int64
	}{
		"limited":           {"536870912\n", "", 483183820},
		"unlimited":         {"max\n", "", 0},
		"GOMEMLIMIT is set": {"536870912\n", "400MiB", 0}, // the runtime has read it; nothing is changed
		"not a number":      {"?", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			defer debug.SetMemoryLimit(before)
			require.NoError(t, os.WriteFile(file, []byte(test.content), 0o600))
			assert.Equal(t, test.want, apply(file, test.environment))
		})
	}
	assert.Zero(t, apply(filepath.Join(t.TempDir(), "none"), ""), "not in a container")
}

func TestGrowth(t *testing.T) {
	for inUse, want := range map[uint64]int{
		0: 200, 3 << 20: 200, 8 << 20: 200, // a small process: collections are what costs
		16 << 20: 100,
		20 << 20: 80,
		32 << 20: 50, 1 << 30: 50,
	} {
		assert.Equal(t, want, growth(inUse), "%d bytes in use", inUse)
	}
}

// The pace follows what is in use, up and down, with nobody's help but the collector's.
func TestThePaceFollowsWhatIsInUse(t *testing.T) {
	before := debug.SetGCPercent(mostGrowth)
	defer debug.SetGCPercent(before)
	p := &pace{percent: mostGrowth}
	inForce := func() int {
		now := debug.SetGCPercent(mostGrowth)
		debug.SetGCPercent(now)
		return now
	}
	until := func(want int) {
		t.Helper()
		// The cleanup runs some time after the collection.
		for end := time.Now().Add(time.Minute); inForce() != want; {
			require.True(t, time.Now().Before(end), "%d percent are in force", inForce())
			runtime.GC()
			runtime.Gosched()
		}
	}
	held := make([]byte, 256<<20)
	afterEachCollection(p)
	until(leastGrowth)
	runtime.KeepAlive(held) // and not any longer
	until(mostGrowth)
}
