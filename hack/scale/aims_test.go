package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWhatIsAboveTheAimIsSaid(t *testing.T) {
	for name, tc := range map[string]struct {
		channels int
		took     time.Duration
		held     float64
		missed   int
	}{
		"a thousand, as it should be":  {1_000, time.Minute, 150, 0},
		"a thousand, too late":         {1_000, 61 * time.Second, 150, 1},
		"a thousand, too large":        {1_000, time.Second, 151, 1},
		"a thousand, both":             {1_000, time.Hour, 900, 2},
		"ten thousand have their time": {10_000, time.Hour, 400, 0},
		"ten thousand, too large":      {10_000, time.Second, 401, 1},
		"more than there is an aim of": {100_000, time.Hour, 9_000, 0},
	} {
		t.Run(name, func(t *testing.T) {
			a := aimOf(tc.channels)
			assert.Len(t, a.missed(tc.took, tc.held), tc.missed)
			assert.Empty(t, a.lasting().missed(100*time.Hour, 0), "a rest lasts as long as it lasts")
			var v verdict
			v.judge("row", a, tc.took, tc.held)
			require.NoError(t, v.end(false), "a busy machine fails nobody's run")
			if tc.missed > 0 {
				assert.Error(t, v.end(true))
			} else {
				assert.NoError(t, v.end(true))
			}
		})
	}
}
