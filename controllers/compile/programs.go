package compile

import (
	"crypto/sha256"
	"maps"
	"slices"
	"sync"

	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

// Programs keeps compiled policies and campaigns from one compilation to the next: compiling
// CEL costs a millisecond per expression, and most of the time something else
// has changed. It changes no result. Safe for concurrent use; the zero value and
// nil work.
type Programs struct {
	mu sync.Mutex
	// compiled (a *program or []survey.Finding) by what was compiled: the policy or
	// the campaign, and what its references resolve to.
	compiled map[[sha256.Size]byte]any
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
	return remember(p, programKey(policy, refs), func() *program { return compileProgram(policy, refs) })
}

// remember makes something once, until nobody asks for it any more.
func remember[T any](p *Programs, key [sha256.Size]byte, compile func() T) T {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.compiled == nil {
		p.compiled, p.used = map[[sha256.Size]byte]any{}, map[[sha256.Size]byte]bool{}
	}
	p.used[key] = true
	if known, ok := p.compiled[key].(T); ok {
		return known
	}
	fresh := compile()
	p.compiled[key] = fresh
	return fresh
}

// campaign is what is wrong with a campaign. The result must not be changed.
func (p *Programs) campaign(name string, spec survey.Campaign, refs survey.Refs) []survey.Finding {
	if p == nil {
		_, found := survey.Compile(name, spec, refs)
		return found
	}
	return remember(p, campaignKey(name, spec, refs), func() []survey.Finding {
		_, found := survey.Compile(name, spec, refs)
		return found
	})
}

// campaignKey is of all that survey.Compile looks at. Of the time that is whether
// the window is over, and of schedules whether they are there.
func campaignKey(name string, spec survey.Campaign, refs survey.Refs) [sha256.Size]byte {
	return sha256.Sum256(mustJSON(struct {
		Name      string
		Campaign  survey.Campaign
		Over      bool
		Channels  map[string]survey.Channel
		Schedules []string
		Queues    map[string]bool
	}{name, spec, !refs.Started && !refs.Now.Before(spec.Window.End), refs.Channels, slices.Sorted(maps.Keys(refs.Schedules)), refs.Queues}))
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
