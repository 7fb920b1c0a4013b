package memlimit

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"

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
