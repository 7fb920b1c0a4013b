package store

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
)

// idSource draws ULIDs, each greater than all before it even when the clock is
// set back, so that the order of ids is the order in which things were stored.
type idSource struct {
	mu      sync.Mutex
	last    uint64 // milliseconds of the last id
	entropy *ulid.MonotonicEntropy
}

// newIDSource goes on after the greatest id that is in use ("" for none).
func newIDSource(greatest string) *idSource {
	s := &idSource{entropy: ulid.Monotonic(rand.Reader, 0)}
	if id, err := ulid.ParseStrict(greatest); err == nil {
		s.last = id.Time() + 1
	}
	return s
}

func (s *idSource) next(now time.Time) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = max(s.last, uint64(max(now.UnixMilli(), 0))) //nolint:gosec // not negative
	id, err := ulid.New(s.last, s.entropy)
	if err != nil { // 2^80 ids in one millisecond: go on in the next one
		s.last++
		id = ulid.MustNew(s.last, s.entropy)
	}
	return id.String()
}

// after makes what is drawn from now on greater than all ids up to a time, in
// milliseconds: other replicas' clocks may be ahead.
func (s *idSource) after(clock int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = max(s.last, uint64(max(clock, 0))+1) //nolint:gosec // not negative
}

// latest is the time of the latest id, in milliseconds.
func (s *idSource) latest() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int64(s.last) //nolint:gosec // 48 bits
}

// idBefore is less than every id drawn at t or later.
func idBefore(t time.Time) string {
	var id ulid.ULID
	_ = id.SetTime(uint64(max(t.UnixMilli(), 0))) //nolint:gosec // not negative; fails after the year 10889
	return id.String()
}

// lower case, without the letters that are mistaken for digits
var contactEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// contactID derives a contact's id from where it was first met: 128 bits of
// SHA-256 in 26 characters. generation is 0, and counts up only where an
// address came to a new person after the old one took the contact along
// (message.Migration).
func contactID(namespace, platform, account, externalID string, generation int) string {
	h := sha256.New()
	for _, s := range []string{"contact", namespace, platform, account, externalID} {
		fmt.Fprintf(h, "%d:", len(s))
		_, _ = io.WriteString(h, s)
	}
	if generation > 0 {
		fmt.Fprintf(h, "#%d", generation)
	}
	return contactEncoding.EncodeToString(h.Sum(nil)[:16])
}

// contentID stands in for an external id that the platform did not give: the
// same content gives the same id, so that a repeated request is still known.
func contentID(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:16])
}

// splitChannel takes a "namespace/name" apart.
func splitChannel(channel string) (namespace, name string) {
	namespace, name, _ = strings.Cut(channel, "/")
	return namespace, name
}

// namespaceOf is the namespace of a "namespace/name".
func namespaceOf(channel string) string {
	ns, _, _ := strings.Cut(channel, "/")
	return ns
}
