package routing

import (
	"cmp"
	"fmt"
	"slices"
)

// Chain is the policies of one channel, in their order. It is immutable and safe
// for concurrent use.
type Chain struct {
	enforced []*Program
	shadows  []*Program
}

// NewChain orders programs: higher priority first, then by name. Nothing else
// counts, least of all when they were made: a cluster rebuilt from Git routes the same.
func NewChain(programs ...*Program) *Chain {
	sorted := slices.Clone(programs)
	slices.SortFunc(sorted, func(a, b *Program) int {
		return cmp.Or(cmp.Compare(b.policy.Priority, a.policy.Priority), cmp.Compare(a.policy.Name, b.policy.Name))
	})
	c := &Chain{}
	for _, p := range sorted {
		if p.Mode() == ModeShadow {
			c.shadows = append(c.shadows, p)
		} else {
			c.enforced = append(c.enforced, p)
		}
	}
	return c
}

// Programs are the enforced programs in the order in which they are asked.
func (c *Chain) Programs() []*Program { return slices.Clone(c.enforced) }

// Shadows are the programs to decide with beside the live decision.
func (c *Chain) Shadows() []*Program { return slices.Clone(c.shadows) }

// Conflicts are the pairs of enforced policies that only their names order: each
// side is told of the other.
func (c *Chain) Conflicts() map[string]Finding {
	conflicts := map[string]Finding{}
	for i, p := range c.enforced {
		for _, other := range c.enforced[i+1:] {
			if other.policy.Priority != p.policy.Priority {
				break
			}
			for _, pair := range [2][2]*Program{{p, other}, {other, p}} {
				if _, told := conflicts[pair[0].policy.Name]; !told {
					conflicts[pair[0].policy.Name] = Finding{Field: "priority", Reason: ReasonConflicted, Effect: EffectNone,
						Message: fmt.Sprintf("is %d, as that of %s; %s is asked first, by name; give them different priorities", p.policy.Priority, pair[1].policy.Name, p.policy.Name)}
				}
			}
		}
	}
	return conflicts
}

// Decide asks the policies in order: the one that the conversation is in goes on
// with it; else the first of which a rule matches decides; else the default route of
// the first. It reports false for a chain without an enforced policy. The
// decision equals Decide of the program whose hash it carries.
func (c *Chain) Decide(f *Facts) (Decision, bool) {
	if len(c.enforced) == 0 {
		return Decision{}, false
	}
	if p := c.owner(f); p != nil {
		return Decide(p, f), true
	}
	first := Decide(c.enforced[0], f)
	if first.Via != ViaDefault {
		return first, true
	}
	for _, p := range c.enforced[1:] {
		if d := Decide(p, f); d.Via == ViaRule {
			return d, true
		}
	}
	return first, true
}

// owner is the policy that has a say before any rule is tried: the one whose step is
// over, or, for a reopened conversation, the one that it was in.
func (c *Chain) owner(f *Facts) *Program {
	for _, p := range c.enforced {
		switch f.Event {
		case EventStepExpired, EventStepFailed:
			if p.continues(f) {
				return p
			}
		case EventReopened:
			if f.Position.Policy == p.policy.Name && p.returns(f) == returnYes {
				return p
			}
		}
	}
	return nil
}
