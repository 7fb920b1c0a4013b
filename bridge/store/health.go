package store

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
)

const (
	// warningStorageLow is shown when the disk is nearly full.
	warningStorageLow = "StorageLow"

	// Storage is low below 64 MiB, the log of a minute of heavy traffic, or
	// below a twentieth of the volume, whichever is more: time to grow it.
	lowStorageBytes = 64 << 20
	lowStoragePart  = 20

	// healthTimeout bounds the question to the database.
	healthTimeout = 2 * time.Second
)

// Health says whether the database reads and whether the last commit
// succeeded, with a warning when storage is low.
func (s *Store) Health(ctx context.Context) document.Health {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	h := document.Health{OK: true}
	if _, _, err := s.eventHead(ctx); err != nil {
		h.OK, h.Message = false, fmt.Sprintf("the database cannot be read: %v", err)
	} else if failure := s.commit.failure.Load(); failure != nil {
		h.OK, h.Message = false, fmt.Sprintf("the last commit failed: %v", *failure)
	}
	if w := s.storage(); w != nil {
		h.Warnings = append(h.Warnings, *w)
	}
	if s.db.warnings != nil {
		h.Warnings = append(h.Warnings, s.db.warnings()...)
	}
	h.Since = s.healthSince.at(h.OK, s.now())
	return h
}

// storage warns when there is little room left.
func (s *Store) storage() *document.Warning {
	if s.db.free == nil {
		return nil
	}
	free, total, err := s.db.free()
	if err != nil || !storageLow(free, total) {
		return nil
	}
	return &document.Warning{Reason: warningStorageLow, Message: fmt.Sprintf(
		"%d MiB of %d MiB are free; when nothing is left, messages are refused (503) until the volume grows or retention makes room", free>>20, total>>20)}
}

func storageLow(free, total uint64) bool {
	return free < max(lowStorageBytes, total/lowStoragePart)
}

// since remembers when a health last changed.
type since struct {
	mu    sync.Mutex
	known bool
	ok    bool
	time  time.Time
}

// at notes the health at a time and returns since when it is so.
func (s *since) at(ok bool, now time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.known || s.ok != ok {
		s.known, s.ok, s.time = true, ok, now
	}
	return s.time
}
