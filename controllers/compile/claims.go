package compile

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
)

// claim is an account that at most one Channel of the cluster has.
type claim struct {
	platform v1alpha1.Platform
	account  string
}

// decideClaims gives every account to one Channel. channels are sorted by
// name, which decides when nothing else does.
func (c *compiler) decideClaims(channels []*v1alpha1.Channel) {
	best := make(map[claim]*v1alpha1.Channel, len(channels))
	for _, ch := range channels {
		if !c.claiming(ch) {
			continue
		}
		k := claim{ch.Spec.Platform, ch.Account()}
		if other := best[k]; other == nil || c.precedes(ch, other) {
			best[k] = ch
		}
	}
	c.claims = make(map[claim]Key, len(best))
	for k, ch := range best {
		c.claims[k] = keyOf(ch)
	}
}

func (c *compiler) claiming(ch *v1alpha1.Channel) bool {
	if ch.Account() == "" {
		return false
	}
	return ch.DeletionTimestamp.IsZero() || c.tombstones[keyOf(ch)] != nil
}

// precedes says whether a goes before b.
func (c *compiler) precedes(a, b *v1alpha1.Channel) bool {
	if x, y := c.incumbent(a), c.incumbent(b); x != y {
		return x
	}
	return a.CreationTimestamp.Time.Before(b.CreationTimestamp.Time)
}

// incumbent says whether a Channel has its account already: it was accepted, or
// it is about to give its webhook back, which its successor waits for.
func (c *compiler) incumbent(ch *v1alpha1.Channel) bool {
	return c.tombstones[keyOf(ch)] != nil ||
		meta.IsStatusConditionTrue(ch.Status.Conditions, v1alpha1.ConditionAccepted)
}

// placeTombstones finds the Bridge that has to remove the webhook of each
// Channel that is being deleted: the one whose document has it, whatever the
// references say by now.
func (c *compiler) placeTombstones(channels []*v1alpha1.Channel) {
	c.tombstones = map[Key]*bridgeState{}
	for _, ch := range channels {
		if ch.DeletionTimestamp.IsZero() || !slices.Contains(ch.Finalizers, v1alpha1.FinalizerDuties) {
			continue
		}
		if br := c.tombstoneHolder(ch); br != nil {
			c.tombstones[keyOf(ch)] = br
		}
	}
}

// tombstoneHolder looks at the Bridge that the Channel refers to first: only
// when the Channel moved just before its deletion may another one have it.
func (c *compiler) tombstoneHolder(ch *v1alpha1.Channel) *bridgeState {
	named := newTarget("spec.bridgeRef", kindBridge, ch.Namespace, ch.Spec.BridgeRef).key
	if br := c.bridges[named]; br != nil && br.owesRemoval(ch) {
		return br
	}
	var holder *bridgeState
	for key, br := range c.bridges {
		if br.owesRemoval(ch) && (holder == nil || compareKeys(key, holder.key) < 0) {
			holder = br
		}
	}
	return holder
}
