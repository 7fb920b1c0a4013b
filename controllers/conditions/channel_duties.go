package conditions

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
)

// credentialsValid: a broken Secret, else what the probe says.
func (c *channelView) credentialsValid() {
	const typ = v1alpha1.ConditionCredentialsValid
	if about := of(c.in.Result.Findings, typ); len(about) > 0 {
		c.put(typ, metav1.ConditionFalse, about[0].Reason, join(about))
		return
	}
	d := c.probe()
	switch {
	case d != nil && d.State == document.DutyDone:
		c.put(typ, metav1.ConditionTrue, v1alpha1.ReasonDone, "the platform accepts the credentials")
	case d != nil && d.State == document.DutyFailed:
		c.put(typ, metav1.ConditionFalse, d.Reason, d.Message)
	case c.probedBefore():
		c.keep(typ)
	case d != nil && d.State == document.DutyRetrying:
		c.put(typ, metav1.ConditionUnknown, d.Reason, d.Message)
	case c.loaded && c.in.Channel.Spec.Suspend:
		c.put(typ, metav1.ConditionUnknown, v1alpha1.ReasonSuspended, "the Channel is suspended, so nothing is tried")
	case c.loaded:
		// Since when it is Unknown says how long Ready waits: not before it is loaded.
		c.put(typ, metav1.ConditionUnknown, v1alpha1.ReasonNotAttempted, "not tried yet")
	}
}

// probedBefore says whether the condition holds the platform's word, which
// stands until there is a newer one; what was said about the Secret does not.
func (c *channelView) probedBefore() bool {
	old := c.was(v1alpha1.ConditionCredentialsValid)
	if old == nil || old.Status == metav1.ConditionUnknown {
		return false
	}
	return old.Reason != v1alpha1.ReasonSecretKeyMissing && old.Reason != v1alpha1.ReasonSecretValueInvalid
}

func (c *channelView) webhookRegistered() {
	const typ = v1alpha1.ConditionWebhookRegistered
	if c.in.Result.Receive == v1alpha1.ReceivePolling {
		if old := c.was(typ); c.row == nil && old != nil && old.Reason == v1alpha1.ReasonPolling && !c.in.Fleet.Heard() {
			c.keep(typ) // whether anything was fetched since the webhook of before, nobody has said yet
			return
		}
		c.put(typ, metav1.ConditionFalse, v1alpha1.ReasonPolling, c.pollingMessage())
		return
	}
	if about := of(c.in.Result.Findings, typ); len(about) > 0 {
		c.put(typ, metav1.ConditionFalse, about[0].Reason, join(about))
		return
	}
	var d *document.Duty
	if c.row != nil {
		d = c.row.Webhook
	}
	c.duty(typ, d, "the platform sends to status.webhookURL", v1alpha1.ReasonPolling, v1alpha1.ReasonNoPublicURL)
}

// pollingMessage tells of the webhook of before for as long as nothing has been
// fetched: while one stands, platforms let nobody fetch. A suspended channel's
// word may be of the time before that webhook.
func (c *channelView) pollingMessage() string {
	fetched := c.row != nil && c.row.Receiving != nil && c.row.Receiving.State == document.DutyDone && !c.in.Channel.Spec.Suspend
	if c.in.Result.FormerWebhookURL == "" || fetched {
		return "messages are fetched; no webhook is needed"
	}
	return fmt.Sprintf("messages are fetched; the webhook %s that this Channel had before is removed first, if it still stands", c.in.Result.FormerWebhookURL)
}

func (c *channelView) profileSynced() {
	const typ = v1alpha1.ConditionProfileSynced
	if !wantsProfile(c.in.Channel) {
		c.put(typ, metav1.ConditionTrue, v1alpha1.ReasonNoProfile, "the spec asks for no profile; the platform's is left alone")
		return
	}
	var d *document.Duty
	if c.row != nil {
		d = c.row.Profile
	}
	c.duty(typ, d, "the public profile is as in the spec", v1alpha1.ReasonNoProfile)
}

// wantsProfile says whether the spec asks for anything in the profile, in the
// block of any platform. An empty list asks for something: that there be none.
func wantsProfile(ch *v1alpha1.Channel) bool {
	switch {
	case ch.Spec.Telegram != nil && ch.Spec.Telegram.Profile != nil:
		p := ch.Spec.Telegram.Profile
		return p.Name != nil || p.Description != nil || p.ShortDescription != nil || p.Commands != nil || len(p.Localized) > 0
	case ch.Spec.Messenger != nil && ch.Spec.Messenger.Profile != nil:
		p := ch.Spec.Messenger.Profile
		return p.Greeting != nil || p.GetStarted != nil || p.IceBreakers != nil || p.PersistentMenu != nil || p.WhitelistedDomains != nil
	case ch.Spec.Instagram != nil && ch.Spec.Instagram.Profile != nil:
		p := ch.Spec.Instagram.Profile
		return p.IceBreakers != nil || p.PersistentMenu != nil
	}
	return false
}

// duty puts a condition about an obligation towards the platform. What was
// known stays while the duty is pending, or while the platform cannot be asked
// whether it still holds; unless it was said for one of the reasons notWord,
// which are ours and no word of the platform.
func (c *channelView) duty(typ string, d *document.Duty, done string, notWord ...string) {
	old := c.was(typ)
	known := old != nil && old.Status != metav1.ConditionUnknown
	for _, reason := range notWord {
		known = known && old.Reason != reason
	}
	switch {
	case d != nil && d.State == document.DutyDone:
		c.put(typ, metav1.ConditionTrue, v1alpha1.ReasonDone, done)
	case d != nil && d.State == document.DutyFailed:
		c.put(typ, metav1.ConditionFalse, d.Reason, d.Message)
	case d != nil && d.State == document.DutyRetrying && (!known || old.Status == metav1.ConditionFalse || !passing(d)):
		c.put(typ, metav1.ConditionFalse, d.Reason, d.Message)
	case known:
		c.keep(typ)
	case c.in.Channel.Spec.Suspend:
		c.put(typ, metav1.ConditionUnknown, v1alpha1.ReasonSuspended, "the Channel is suspended, so nothing is tried")
	default:
		c.put(typ, metav1.ConditionUnknown, v1alpha1.ReasonNotAttempted, "not tried yet")
	}
}

// passing says whether a duty could not be checked, which says nothing about
// how it stands at the platform. NotDelivered is not among the reasons: there
// the platform has answered.
func passing(d *document.Duty) bool {
	return d.Reason == v1alpha1.ReasonUnreachable || d.Reason == v1alpha1.ReasonRateLimited
}

func (c *channelView) delivering() {
	const typ = v1alpha1.ConditionDelivering
	switch trouble := c.sendingTrouble(); {
	case c.in.Channel.Spec.Suspend:
		c.put(typ, metav1.ConditionFalse, v1alpha1.ReasonSuspended, "the Channel is suspended: what is to be sent waits")
	case trouble != nil:
		c.put(typ, metav1.ConditionFalse, trouble.Reason, trouble.Message)
	case c.row != nil && c.in.Fleet.Heard(): // every replica sends
		c.put(typ, metav1.ConditionTrue, v1alpha1.ReasonDone, "nothing stands in the way of messages")
	case c.wasStatus(typ) != "" && c.was(typ).Reason != v1alpha1.ReasonSuspended:
		c.keep(typ)
	default:
		c.put(typ, metav1.ConditionUnknown, v1alpha1.ReasonNotAttempted, "no pod has the channel in hand yet")
	}
}

// sendingTrouble is trouble with sending on any replica, or with fetching on
// the one that does it.
func (c *channelView) sendingTrouble() *document.Duty {
	e := c.in.Result.Entry
	if e == nil {
		return nil
	}
	if d := c.in.Fleet.Trouble(e.Key()); d != nil {
		return d
	}
	if c.row != nil && c.row.Receiving != nil {
		if s := c.row.Receiving.State; s == document.DutyFailed || s == document.DutyRetrying {
			return c.row.Receiving
		}
	}
	return nil
}
