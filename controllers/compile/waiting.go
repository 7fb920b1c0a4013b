package compile

import (
	"fmt"
	"time"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
)

// awayFor is how long platforms are asked to repeat what is for a Channel that
// waits: they do so for about a day, and some end a subscription that fails for
// longer, with which the other Channels of the app would suffer.
const awayFor = 24 * time.Hour

// waitsIn is the store that goes on with a Channel that is there but leads into
// no store now: its Bridge is gone or does not let it in, has no store, or may
// not have its app. A Channel that the store's document does not name is deleted
// to the store, and all that is queued for it is cancelled, for good; what a
// person will put right must not do that. nil: no store knows this very Channel
// with this account, or another Channel has the account now.
func (c *compiler) waitsIn(ch *v1alpha1.Channel) (*storeState, *document.StoreChannel) {
	if !ch.DeletionTimestamp.IsZero() || c.claims[claim{ch.Spec.Platform, ch.Account()}] != keyOf(ch) {
		return nil, nil
	}
	var holder *storeState
	var before document.StoreChannel
	for key, st := range c.stores {
		e := st.before.get(document.EntryChannel, keyOf(ch).String())
		if e == nil || holder != nil && compareKeys(holder.key, key) < 0 {
			continue
		}
		spec := decodeSpec[document.StoreChannel](e)
		if spec.UID == string(ch.UID) && spec.Platform == string(ch.Spec.Platform) && spec.Account == ch.Account() {
			holder, before = st, spec
		}
	}
	if holder == nil {
		return nil, nil
	}
	return holder, &before
}

// await keeps a Channel that is not served in the document of the store that it
// had, suspended: what is queued stays queued.
func (c *compiler) await(in *channelInput, result *ChannelResult) {
	c.confirmNothing(in.key)
	st, spec := c.waitsIn(in.channel)
	if st == nil {
		return
	}
	result.Waits = st.key
	if spec.AwayUntil.IsZero() {
		spec.AwayUntil = c.now.Add(awayFor)
	}
	spec.Suspended, spec.Policies = true, nil
	if c.routing.storeOf[in.key] == st {
		spec.Policies = c.policiesOf(in.key)
	}
	st.result.Channels++
	st.add(document.EntryChannel, in.key.String(), st.before.get(document.EntryChannel, in.key.String()).Generation, spec)
	if f := firstBlocking(result.Findings); f != nil {
		f.Message += fmt.Sprintf("; meanwhile nothing is sent, and what is queued waits in ConversationStore %s", st.key)
	}
}
