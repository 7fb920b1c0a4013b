package compile

import (
	"bytes"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
)

const (
	// defaultOverlap: a platform repeats what was not acknowledged for about a
	// day, signed with the secret of the first attempt.
	defaultOverlap = 24 * time.Hour
	// maxPrevious bounds how many rotated-out credentials a webhook is verified
	// with: verification must stay cheap, and nobody rotates five times a day
	// without wanting the oldest gone.
	maxPrevious = 4
)

// channelEntry is the channel's entry in the Bridge's document. rotated says
// that the credentials are others than before.
func (c *compiler) channelEntry(in *channelInput) (entry document.Entry, rotated bool) {
	spec := channelSpec(in)
	if e := c.unchanged(in, spec); e != nil {
		return *e, false
	}
	before := decodeChannel(in.previous)
	if before != nil {
		rotated = !maps.Equal(before.Credentials, spec.Credentials)
		spec.PreviousCredentials = c.previousCredentials(in, spec, before)
		spec.RotatingUntil = c.rotatingUntil(in, spec, before)
	}
	spec.CredentialsSince = c.credentialsSince(in, spec, before)
	spec.RegisterWebhook = c.mayRegister(in, spec, before)
	spec.Registered = registeredBefore(in.channel, spec) ||
		before != nil && before.WebhookURL == spec.WebhookURL && before.UID == spec.UID && (before.Registered || c.seenRegistered(in, spec))
	spec.FormerWebhookURL = c.formerWebhookURL(in, spec, before)
	return mustEntry(document.EntryChannel, in.key.String(), in.channel.Generation, spec), rotated
}

// channelSpec is all of the entry that does not depend on what was before.
func channelSpec(in *channelInput) document.Channel {
	spec := document.Channel{
		UID:         in.uid,
		Platform:    string(in.channel.Spec.Platform),
		Account:     in.account,
		App:         in.app,
		Suspended:   in.channel.Spec.Suspend,
		Receive:     wireReceive(in.receive),
		WebhookURL:  in.webhookURL,
		Credentials: in.credentials,
		Config:      mustJSON(typedBlock(in.channel)),
	}
	if l := in.channel.Spec.Limits; l != nil {
		spec.Limits = document.Limits{
			InboundPerSecond:  int(l.InboundPerSecond),
			OutboundPerSecond: int(l.OutboundPerSecond),
			MaxMediaBytes:     l.MaxMediaBytes,
		}
	}
	return spec
}

// unchanged returns the previous entry when it is what a settled channel would
// get now: registered if it has a webhook, no rotation going on. That is the
// case of nearly all channels nearly always, and it costs no decoding.
func (c *compiler) unchanged(in *channelInput, spec document.Channel) *document.Entry {
	if in.previous == nil || in.previous.Generation != in.channel.Generation {
		return nil
	}
	spec.RegisterWebhook = spec.WebhookURL != ""
	spec.Registered = registeredBefore(in.channel, spec) || c.seenRegistered(in, spec)
	if !bytes.Equal(in.previous.Spec, mustJSON(spec)) {
		return nil
	}
	return in.previous
}

// registeredBefore says whether the status tells that the platform had this webhook.
func registeredBefore(ch *v1alpha1.Channel, spec document.Channel) bool {
	return spec.WebhookURL != "" && ch.Status.WebhookURL == spec.WebhookURL && Registered(ch)
}

// Registered says whether the status of a Channel tells that the platform had
// the webhook of status.webhookURL at some time.
func Registered(ch *v1alpha1.Channel) bool {
	c := meta.FindStatusCondition(ch.Status.Conditions, v1alpha1.ConditionWebhookRegistered)
	return c != nil && (c.Status == metav1.ConditionTrue || hadWebhook(c.Reason))
}

// seenRegistered says the same of the word of the pod that has the duty, about
// the entry as it was. It comes before the status that repeats it, and the
// status may never say "registered": when somebody takes the account over
// within the moment, "taken over" is all that is ever seen.
func (c *compiler) seenRegistered(in *channelInput, spec document.Channel) bool {
	if spec.WebhookURL == "" || in.previous == nil {
		return false
	}
	row := c.Fleets[in.bridge.key].Row(in.previous.Key(), in.previous.Hash)
	return row != nil && row.Webhook != nil && (row.Webhook.State == document.DutyDone || hadWebhook(row.Webhook.Reason))
}

// hadWebhook says whether a reason for "not registered" means that the webhook
// stood at the platform: somebody changed it, or the platform cannot deliver to it.
func hadWebhook(reason string) bool {
	return reason == v1alpha1.ReasonTakenOver || reason == v1alpha1.ReasonNotDelivered
}

// formerWebhookURL is the webhook that the channel registered and that its entry
// does not have any more. Once another may be registered it is of no interest:
// that replaces it.
func (c *compiler) formerWebhookURL(in *channelInput, spec document.Channel, before *document.Channel) string {
	if spec.RegisterWebhook {
		return ""
	}
	if before == nil {
		before = decodeChannel(c.entryElsewhere(in.channel))
	}
	former := ""
	switch {
	case before != nil && before.FormerWebhookURL != "":
		former = before.FormerWebhookURL
	case before != nil && (before.RegisterWebhook || before.Registered):
		former = before.WebhookURL
	case before == nil && Registered(in.channel): // its Bridge is gone, and the document with it
		former = in.channel.Status.WebhookURL
	}
	if former == spec.WebhookURL {
		return ""
	}
	return former
}

// entryElsewhere is the entry of a Channel that moved in the document of the
// Bridge that it came from.
func (c *compiler) entryElsewhere(ch *v1alpha1.Channel) *document.Entry {
	var found *document.Entry
	var holder Key
	for key, br := range c.bridges {
		if e := br.channelBefore(ch); e != nil && (found == nil || compareKeys(key, holder) < 0) {
			found, holder = e, key
		}
	}
	return found
}

// previousCredentials are the rotated-out values that still verify webhooks.
// The newest come first. An overlap that was shortened applies to those that
// are rotated out already, so that 0s after a leak ends all of them at once.
func (c *compiler) previousCredentials(in *channelInput, spec document.Channel, before *document.Channel) []document.PreviousCredentials {
	overlap := overlapOf(in.channel)
	if overlap <= 0 || spec.Receive != document.ReceiveWebhook {
		return nil
	}
	// Round up: the document keeps seconds, and nothing ends early.
	latest := c.now.Add(overlap + time.Second - 1).Truncate(time.Second)
	candidates := before.PreviousCredentials
	if before.Receive == document.ReceiveWebhook {
		candidates = append([]document.PreviousCredentials{{Values: before.Credentials, Until: latest}}, candidates...)
	}
	var kept []document.PreviousCredentials
	for _, p := range candidates {
		if p.Until.After(latest) {
			p.Until = latest
		}
		if len(kept) == maxPrevious || !p.Until.After(c.now) || maps.Equal(p.Values, spec.Credentials) || holds(kept, p.Values) {
			continue
		}
		kept = append(kept, p)
		c.until(p.Until)
	}
	return kept
}

// rotatingUntil is how long the other Channels of an app, each of which has the
// app's secret in a Secret of its own, are waited for once this one has another.
// Their messages are signed with the new one; acknowledged meanwhile they would
// be lost to them. With overlap 0s they are waited for as well: what the former
// secret signs is refused by those who have the new one all the same.
func (c *compiler) rotatingUntil(in *channelInput, spec document.Channel, before *document.Channel) time.Time {
	if in.app == "" || spec.Receive != document.ReceiveWebhook {
		return time.Time{}
	}
	until := before.RotatingUntil
	if before.App == spec.App && before.Credentials[appSecretKey] != spec.Credentials[appSecretKey] {
		until = c.now.Add(max(overlapOf(in.channel), defaultOverlap) + time.Second - 1).Truncate(time.Second)
	}
	if !until.After(c.now) {
		return time.Time{}
	}
	c.until(until)
	return until
}

// accountTokenKey is Instagram's key of the account's token.
const accountTokenKey = "accessToken"

// credentialsSince is when the account's token was first seen, kept where it ends
// 60 days after it was made and nobody tells: with Instagram Login.
func (c *compiler) credentialsSince(in *channelInput, spec document.Channel, before *document.Channel) time.Time {
	block := in.channel.Spec.Instagram
	if block == nil || block.Login != v1alpha1.LoginInstagram {
		return time.Time{}
	}
	if before != nil && !before.CredentialsSince.IsZero() && before.Credentials[accountTokenKey] == spec.Credentials[accountTokenKey] {
		return before.CredentialsSince
	}
	return c.now.UTC().Truncate(time.Second)
}

func holds(kept []document.PreviousCredentials, values map[string]string) bool {
	return slices.ContainsFunc(kept, func(p document.PreviousCredentials) bool { return maps.Equal(p.Values, values) })
}

// mayRegister says whether the webhook may be registered: every serving pod has
// loaded what the registration depends on, and the Channel has the finalizer, so
// that it cannot be gone before somebody has removed the webhook. Once said, it
// stays said until what it depends on changes.
func (c *compiler) mayRegister(in *channelInput, spec document.Channel, before *document.Channel) bool {
	if in.receive != v1alpha1.ReceiveWebhook || spec.WebhookURL == "" {
		return false
	}
	if c.opts.RegisterAtOnce {
		return true
	}
	if before == nil || before.Receive != spec.Receive || before.WebhookURL != spec.WebhookURL || !maps.Equal(before.Credentials, spec.Credentials) {
		return false
	}
	return before.RegisterWebhook || slices.Contains(in.channel.Finalizers, v1alpha1.FinalizerDuties) &&
		c.Fleets[in.bridge.key].Loaded(in.bridge.previous, in.previous.Key())
}
