package document

import (
	"fmt"
	"time"
)

// Duration is a time.Duration that reads and writes as "24h0m0s" in JSON.
type Duration time.Duration

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("duration %q: write it like 24h or 30m", text)
	}
	*d = Duration(parsed)
	return nil
}
