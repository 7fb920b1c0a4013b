// Package docload keeps a process running on the newest document of a mounted
// folder.
//
//	shard files ──stamp changed?──► document.Load ──hash changed?──► OnLoad
//	                                     │ not whole, or wrong
//	                                     └──► State.Error; the document in force stays
//
// A folder is looked at every Interval by its stamp alone (a readlink, or a
// few stats), so that a rotated Secret is in force a fraction of a second after
// kubelet shows it, at no cost in between.
package docload

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
)

const (
	// DefaultInterval between two looks. Kubelet itself takes seconds: a
	// quarter of one adds nothing that anybody notices.
	DefaultInterval = 250 * time.Millisecond
	// incompleteGrace is how long shards may disagree before it is an error.
	// The operator writes the Secrets one after another and kubelet refreshes a
	// volume every 60 s, up to half as much again by its jitter: 90 s.
	incompleteGrace = 90 * time.Second
	// retryInterval reads a folder again that could not be used although its
	// stamp stands still: a file written twice within the clock's granularity
	// with the same size shows no new stamp. 16 MiB each time, so not often.
	retryInterval = 5 * time.Second
)

// Options of a Loader.
type Options struct {
	Dir  string
	Kind document.Kind
	// OnLoad puts a whole, decoded document into force and returns the entries
	// that it had to leave out. It runs on the Loader's goroutine, one call at
	// a time, and only when the document differs from the one before.
	OnLoad func(ctx context.Context, doc *document.Document) []document.Exception
	// Codecs are the major versions to look for; document.Codecs when nil.
	Codecs []document.Codec
	// Interval between two looks; DefaultInterval when zero.
	Interval time.Duration
	// Now is time.Now unless a test says otherwise.
	Now func() time.Time
}

// State is what a Loader has put into force.
type State struct {
	Name       string
	Hash       string
	Shards     []string
	Generation int64
	// Error says why the files on the volume now are not in force; empty when they are.
	Error      string
	Exceptions []document.Exception
}

// Apply copies the state into a /status answer.
func (s State) Apply(status *document.Status) {
	status.Name, status.Hash, status.Shards, status.Generation = s.Name, s.Hash, s.Shards, s.Generation
	status.DocumentError, status.Exceptions = s.Error, s.Exceptions
}

// Loader watches one folder. Run is called once; the other methods may be
// called concurrently with it.
type Loader struct {
	opts   Options
	loaded chan struct{}

	// Of the Run goroutine alone.
	stamp           string
	triedAt         time.Time
	failing         bool
	identity        string // of the document in force, with its damaged entries
	incompleteSince time.Time

	mu    sync.Mutex
	state State
}

// New makes a Loader; nothing happens before Run.
func New(opts Options) *Loader {
	if opts.Interval <= 0 {
		opts.Interval = DefaultInterval
	}
	if opts.Codecs == nil {
		opts.Codecs = document.Codecs()
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Loader{opts: opts, loaded: make(chan struct{})}
}

// Run watches until ctx is done.
func (l *Loader) Run(ctx context.Context) {
	tick := time.NewTicker(l.opts.Interval)
	defer tick.Stop()
	for {
		l.look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Loaded is closed when the first document is in force.
func (l *Loader) Loaded() <-chan struct{} { return l.loaded }

// State is a copy of what is in force now.
func (l *Loader) State() State {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state
}

// look is one turn of Run.
func (l *Loader) look(ctx context.Context) {
	now, stamp := l.opts.Now(), readStamp(l.opts.Dir, l.opts.Codecs)
	if stamp == l.stamp && (!l.failing || now.Sub(l.triedAt) < retryInterval) {
		return
	}
	l.stamp, l.triedAt = stamp, now
	doc, damaged, err := l.read()
	l.failing = err != nil
	if err != nil {
		l.fail(err, now)
		return
	}
	l.incompleteSince = time.Time{}
	if identity := identityOf(doc, damaged); identity != l.identity {
		l.load(ctx, doc, damaged)
		l.identity = identity
		return
	}
	l.setError("")
}

func (l *Loader) read() (*document.Document, []document.Exception, error) {
	doc, damaged, err := document.Load(l.opts.Dir, l.opts.Codecs)
	if err != nil {
		return nil, nil, err
	}
	if doc.Kind != l.opts.Kind {
		return nil, nil, fmt.Errorf("%s is a document for a %s, this process is a %s; check which Secrets are mounted", l.opts.Dir, doc.Kind, l.opts.Kind)
	}
	return doc, damaged, nil
}

func (l *Loader) load(ctx context.Context, doc *document.Document, damaged []document.Exception) {
	exceptions := append(damaged, l.opts.OnLoad(ctx, doc)...)
	l.mu.Lock()
	l.state = State{Name: doc.Name, Hash: doc.Hash, Shards: doc.Shards, Generation: doc.Generation, Exceptions: exceptions}
	l.mu.Unlock()
	slog.Info("document in force", "document", doc.Name, "generation", doc.Generation, "hash", doc.Hash,
		"entries", len(doc.Entries), "exceptions", len(exceptions))
	select {
	case <-l.loaded:
	default:
		close(l.loaded)
	}
}

// fail remembers an error for /status. Shards that disagree are an error only
// after a while: on their way through a cluster they always do.
func (l *Loader) fail(err error, now time.Time) {
	if !errors.Is(err, document.ErrIncomplete) {
		l.incompleteSince = time.Time{}
		l.setError(err.Error())
		return
	}
	if l.incompleteSince.IsZero() {
		l.incompleteSince = now
	}
	if now.Sub(l.incompleteSince) >= incompleteGrace {
		l.setError(err.Error())
	}
}

func (l *Loader) setError(text string) {
	l.mu.Lock()
	changed := l.state.Error != text
	l.state.Error = text
	l.mu.Unlock()
	if changed && text != "" {
		slog.Warn("document on the volume is not in force; the previous one stays", "dir", l.opts.Dir, "error", text)
	}
}

// identityOf tells documents apart. The hash is of what shards claim to hold;
// an entry that was damaged by hand, or repaired, shows in the exceptions only.
func identityOf(doc *document.Document, damaged []document.Exception) string {
	var b strings.Builder
	b.WriteString(doc.Hash)
	for _, e := range damaged {
		b.WriteString("|" + e.Entry)
	}
	return b.String()
}

// readStamp tells one state of the folder from another without reading it.
// Kubelet swaps the symlink ..data for every change, so its target is enough;
// plain folders are told by their files' times and sizes.
func readStamp(dir string, codecs []document.Codec) string {
	if target, err := os.Readlink(filepath.Join(dir, "..data")); err == nil {
		return target
	}
	var b strings.Builder
	for _, c := range codecs {
		for i := range document.MaxShards {
			if info, err := os.Stat(filepath.Join(dir, document.ShardPath(c.Major, i))); err == nil {
				fmt.Fprintf(&b, "%d:%d:%d:%d|", c.Major, i, info.Size(), info.ModTime().UnixNano())
			}
		}
	}
	if b.Len() == 0 {
		return "empty" // differs from the stamp of a Loader that has not looked yet
	}
	return b.String()
}
