package channels

import (
	"sync"
	"sync/atomic"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
)

// Snapshot is what is in force at one moment. It is never changed.
type Snapshot struct {
	// Document's identity; empty before the first document.
	Name       string
	Generation int64
	Hash       string
	Shards     []string
	Settings   document.BridgeSettings

	channels   map[string]*Channel // by "namespace/name"
	tombstones map[string]*Channel // by the former channel's "namespace/name"
	accounts   map[account]*Channel
	apps       map[appKey]*App
	off        map[account]off
	damaged    string // the first by name of the channels whose account nobody knows; "": none
}

// off is a channel that cannot run as the document has it.
type off struct{ name, app string }

type account struct{ platform, id string }

// Channel finds a channel by "namespace/name"; nil when there is none.
func (s *Snapshot) Channel(name string) *Channel { return s.channels[name] }

// Tombstone finds the tombstone of a former channel; nil when there is none.
func (s *Snapshot) Tombstone(name string) *Channel { return s.tombstones[name] }

// Account finds the channel that has a platform's account; nil when nobody here has.
func (s *Snapshot) Account(platform, id string) *Channel {
	return s.accounts[account{platform, id}]
}

// Off names the channel ("namespace/name") that has, or may have, a platform's
// account and app according to the document, where that entry cannot be loaded
// and nothing else has the account. While there is a damaged entry it may have
// any of them. "": there is none.
func (s *Snapshot) Off(platform, app, id string) string {
	key := account{platform, id}
	if id == "" || s.accounts[key] != nil {
		return ""
	}
	if o, ok := s.off[key]; ok && o.app == app {
		return o.name
	}
	return s.damaged
}

// Channels calls yield for every channel, in no order.
func (s *Snapshot) Channels(yield func(*Channel) bool) {
	for _, c := range s.channels {
		if !yield(c) {
			return
		}
	}
}

// Tombstones calls yield for every tombstone, in no order.
func (s *Snapshot) Tombstones(yield func(*Channel) bool) {
	for _, c := range s.tombstones {
		if !yield(c) {
			return
		}
	}
}

// Len is how many channels are in force.
func (s *Snapshot) Len() int { return len(s.channels) }

// Table gives the snapshot in force to any number of readers without a lock.
type Table struct {
	current atomic.Pointer[Snapshot]

	mu       sync.Mutex
	watchers []chan struct{}
}

// NewTable makes a table with nothing in it.
func NewTable() *Table {
	t := &Table{}
	t.current.Store(emptySnapshot())
	return t
}

func emptySnapshot() *Snapshot {
	return &Snapshot{channels: map[string]*Channel{}, tombstones: map[string]*Channel{}, accounts: map[account]*Channel{}, apps: map[appKey]*App{}, off: map[account]off{}}
}

// Snapshot is what is in force now.
func (t *Table) Snapshot() *Snapshot { return t.current.Load() }

// Watch returns a channel that has a value after every change since the last
// receive. Watchers look at the Snapshot again; missed values do not matter.
// It lives as long as the table.
func (t *Table) Watch() <-chan struct{} {
	ch := make(chan struct{}, 1)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.watchers = append(t.watchers, ch)
	return ch
}

func (t *Table) set(s *Snapshot) {
	t.current.Store(s)
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, ch := range t.watchers {
		select {
		case ch <- struct{}{}:
		default: // it has not looked yet; it will see this snapshot too
		}
	}
}
