package rest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/bridgekeeper/bridgekeeper/bridge/store"
)

// KeyParam is the header of every write; exported as PageParams is.
type KeyParam struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"200" doc:"Any text that is this write's alone, such as a UUID. Remembered for a week: repeated, the write is not done again."`
}

// scope is the caller's, with the write that is asked for: what it is called
// and all that it depends on, so that the same key for another one is refused.
func (p KeyParam) scope(ctx context.Context, operation string, input ...any) store.Scope {
	s := scopeOf(ctx)
	if p.IdempotencyKey == "" {
		return s
	}
	// Strings, numbers and times that came out of JSON: it cannot fail.
	raw, _ := json.Marshal(append([]any{operation}, input...))
	sum := sha256.Sum256(raw)
	s.Write = store.Write{Key: p.IdempotencyKey, Fingerprint: hex.EncodeToString(sum[:])}
	return s
}
