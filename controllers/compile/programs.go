package compile

import (
	"crypto/sha256"
	"maps"
	"slices"
	"sync"

	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

// Programs keeps compiled policies from one compilation to the next: compiling
// CEL costs a millisecond per expression, and most of the time something else
// has changed. It changes no result. Safe for concurrent use; the zero value and
// nil work.
type Programs struct {
	mu sync.Mutex
	// compiled by what was compiled: the policy, and what its references resolve to.
	compiled map[[sha256.Size]byte]*program
	// used since the last sweep.
	used map[[sha256.Size]byte]bool
}

// program is what a policy compiled to.
type program struct {
	*routing.Program // nil when it is rejected
	found            []routing.Finding
}

// compile compiles a policy, or remembers it.
func (p *Programs) compile(policy routing.Policy, refs routing.Refs) *program {
	if p == nil {
		return compileProgram(policy, refs)
	}
	key := programKey(policy, refs)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.compiled == nil {
		p.compiled, p.used = map[[sha256.Size]byte]*program{}, map[[sha256.Size]byte]bool{}
	}
	p.used[key] = true
	if known := p.compiled[key]; known != nil {
		return known
	}
	fresh := compileProgram(policy, refs)
	p.compiled[key] = fresh
	return fresh
}

func compileProgram(policy routing.Policy, refs routing.Refs) *program {
	compiled, found := routing.Compile(policy, refs)
	return &program{compiled, found}
}

// programKey is of all that routing.Compile looks at. Of schedules that is
// whether they are there: their hours are no part of a program here.
func programKey(policy routing.Policy, refs routing.Refs) [sha256.Size]byte {
	return sha256.Sum256(mustJSON(struct {
		Policy         routing.Policy
		Queues         map[string]routing.QueueRef
		Bots, Webhooks map[string]bool
		Schedules      []string
	}{policy, refs.Queues, refs.Bots, refs.Webhooks, slices.Sorted(maps.Keys(refs.Schedules))}))
}

// sweep forgets what was not used since the last time.
func (p *Programs) sweep() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for key := range p.compiled {
		if !p.used[key] {
			delete(p.compiled, key)
		}
	}
	clear(p.used)
}
