package conditions

import (
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/controllers/compile"
	"github.com/bridgekeeper/bridgekeeper/controllers/fleet"
)

// FirstProbe is how long Ready waits, once the channel is loaded, for the
// platform's first word on the credentials. A probe is one request; platforms
// answer within a second, and the bridge gives up on one after ten.
const FirstProbe = 15 * time.Second

// maxPolicies is how many policies stand in a Channel's status.
const maxPolicies = 32

// ChannelInput is what a Channel's status is made of.
type ChannelInput struct {
	Channel *v1alpha1.Channel
	Result  *compile.ChannelResult
	// Document of its Bridge as it is written; nil when there is none. It may be
	// behind Result: then the Channel is not loaded.
	Document *document.Document
	// Fleet is the Bridge's serving pods.
	Fleet *fleet.Fleet
	// StoreDocument and StoreFleet are the same of its ConversationStore, which
	// has an entry of its own for the Channel.
	StoreDocument *document.Document
	StoreFleet    *fleet.Fleet
	// BridgeTrouble is why the Bridge takes in nothing new: suspended, or its
	// document does not fit. Empty: nothing.
	BridgeTrouble string
	Now           time.Time
}

// Channel makes a Channel's status. recheck is after what time it changes by
// itself; 0: never.
func Channel(in ChannelInput) (status v1alpha1.ChannelStatus, recheck time.Duration) {
	ch := in.Channel
	status = *ch.Status.DeepCopy()
	c := newChannelView(in)
	status.ObservedGeneration = ch.Generation
	status.Account, status.Receive = in.Result.Account, in.Result.Receive
	status.Bridge, status.Store = name(in.Result.Bridge), name(in.Result.Store)
	status.WebhookURL = in.Result.WebhookURL
	status.Policies = slices.Clone(in.Result.Policies[:min(len(in.Result.Policies), maxPolicies)])
	if in.Result.Effective != nil {
		status.Effective = in.Result.Effective.DeepCopy()
	}
	if c.row != nil && c.row.DisplayName != "" {
		status.DisplayName = c.row.DisplayName
	}
	if !ch.DeletionTimestamp.IsZero() {
		c.deleting(v1alpha1.ReasonDeleting, c.removalMessage())
		status.Conditions = c.list()
		return status, c.recheck
	}
	c.findings(in.Result.Findings)
	c.credentialsValid()
	c.webhookRegistered()
	c.profileSynced()
	c.storeReachable(in.Fleet)
	c.delivering()
	c.conclude("every serving pod has loaded the channel",
		c.blocking(in.Result.Findings), c.refused(), c.refusedByStore(), c.notLoaded(), c.probeFailed(), c.probePending())
	status.Conditions = c.list()
	return status, c.recheck
}

func name(k compile.Key) string {
	if k.Name == "" {
		return ""
	}
	return k.String()
}

// channelView is a Channel's conditions in the making with what they look at.
type channelView struct {
	*set
	in     ChannelInput
	loaded bool
	row    *document.ChannelStatus // of the lease's holder, for the entry as compiled; or nil
}

func newChannelView(in ChannelInput) *channelView {
	c := &channelView{
		set: newSet(in.Channel.Status.Conditions, in.Channel.Generation, in.Now),
		in:  in,
	}
	e := in.Result.Entry
	if e == nil {
		return c
	}
	c.row = in.Fleet.Row(e.Key(), e.Hash)
	written, ok := in.Document.Find(e.Kind, e.Name)
	c.loaded = ok && written.Hash == e.Hash && in.Fleet.Loaded(in.Document, e.Key())
	return c
}

func (c *channelView) refused() *verdict {
	e := c.in.Result.Entry
	if e == nil {
		return nil
	}
	x := c.in.Fleet.Refusal(c.in.Document, e.Key())
	if x == nil || x.Hash != e.Hash {
		return nil
	}
	return refusal("the pods of the Bridge refuse it: ", x)
}

func (c *channelView) refusedByStore() *verdict {
	if e := c.in.Result.Entry; e != nil {
		if x := c.in.StoreFleet.Refusal(c.in.StoreDocument, e.Key()); x != nil {
			return refusal("the pods of the ConversationStore refuse it: ", x)
		}
	}
	return nil
}

func refusal(message string, x *document.Exception) *verdict {
	if x.Field != "" {
		message += "spec." + x.Field + ": "
	}
	message += x.Message
	if x.RunningHash != "" {
		message += "; its last good version goes on"
	}
	return stalled(v1alpha1.ReasonLoadFailed, message)
}

func (c *channelView) notLoaded() *verdict {
	if c.loaded {
		if !c.in.StoreFleet.Loaded(c.in.StoreDocument, c.in.Result.Entry.Key()) {
			return waiting(v1alpha1.ReasonStoreNotReady, fmt.Sprintf("waits until ConversationStore %s has loaded it", c.in.Result.Store))
		}
		return nil
	}
	switch {
	case c.in.BridgeTrouble != "":
		return waiting(v1alpha1.ReasonBridgeNotReady, fmt.Sprintf("Bridge %s takes in nothing new: %s", c.in.Result.Bridge, c.in.BridgeTrouble))
	case c.in.Fleet.Size() == 0:
		return waiting(v1alpha1.ReasonBridgeNotReady, fmt.Sprintf("no pod of Bridge %s serves yet", c.in.Result.Bridge))
	default:
		return waiting(v1alpha1.ReasonNotLoaded, fmt.Sprintf("waits until all %d serving pods of Bridge %s have loaded it", c.in.Fleet.Size(), c.in.Result.Bridge))
	}
}

// probeFailed is a definitive refusal of the credentials. It breaks the latch
// only if the platform never had its word before: then Ready was on credit.
func (c *channelView) probeFailed() *verdict {
	d := c.probe()
	if !c.loaded || d == nil || d.State != document.DutyFailed {
		return nil
	}
	before := c.wasStatus(v1alpha1.ConditionCredentialsValid)
	if c.latched() && (before == metav1.ConditionTrue || before == metav1.ConditionFalse) {
		return nil
	}
	return stalled(d.Reason, "the platform refuses the credentials: "+d.Message+"; correct the Secret, the Channel goes on by itself then")
}

// probePending holds Ready back for the first answer, for a while.
func (c *channelView) probePending() *verdict {
	valid := c.after[v1alpha1.ConditionCredentialsValid]
	if !c.loaded || c.in.Channel.Spec.Suspend || valid.Status != metav1.ConditionUnknown || valid.Reason != v1alpha1.ReasonNotAttempted {
		return nil
	}
	left := FirstProbe - c.age(v1alpha1.ConditionCredentialsValid)
	if left <= 0 {
		return nil
	}
	c.lookAgain(left)
	return waiting(v1alpha1.ReasonNotAttempted, "is loaded, and waits for the platform's first answer to its credentials")
}

func (c *channelView) probe() *document.Duty {
	if c.row == nil {
		return nil
	}
	return c.row.Credentials
}

// removalMessage says how far the removal of the webhook is.
func (c *channelView) removalMessage() string {
	if !c.in.Result.Tombstone() {
		return "is being deleted"
	}
	message := "waits until a bridge pod has removed its webhook at the platform; after 5 minutes it is let go all the same"
	if c.row != nil && c.row.Webhook != nil && c.row.Webhook.Message != "" {
		message += ": " + c.row.Webhook.Message
	}
	return message
}
