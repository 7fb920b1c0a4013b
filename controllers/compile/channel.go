package compile

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
)

// channelInput is what a Channel's checks look at.
type channelInput struct {
	key     Key
	uid     string
	channel *v1alpha1.Channel
	account string
	app     string // empty on platforms without apps

	platform platform.Capabilities
	known    bool // this version has the platform

	ref            target
	bridge         *bridgeState // nil unless ref is usable
	createDefaults bool
	// taken: another Channel has the account.
	taken bool
	// appElsewhere: another Bridge has the app.
	appElsewhere bool
	// appSecrets are the credentials of the app as another Channel has them.
	appSecrets appSecrets

	receive    v1alpha1.ReceiveMode
	webhookURL string

	secret *corev1.Secret // nil when not usable
	// credentials are the Secret's values under the platform's keys, and no others.
	credentials map[string]string

	// invalid is what is wrong with the spec, unusable with the credentials.
	invalid, unusable *Finding

	// previous is the channel's entry in the Bridge's document, if it is this
	// Channel's and not that of one of the same name before it.
	previous *document.Entry
}

func (c *compiler) channelInput(ch *v1alpha1.Channel) *channelInput {
	in := &channelInput{
		key:            keyOf(ch),
		uid:            string(ch.UID),
		channel:        ch,
		account:        ch.Account(),
		app:            ch.App(),
		createDefaults: c.opts.CreateDefaults,
	}
	in.platform, in.known = c.opts.Platforms(string(ch.Spec.Platform))
	in.ref = c.bridgeTarget(ch)
	if in.ref.usable() {
		in.bridge = c.bridges[in.ref.key]
		in.previous = in.bridge.channelBefore(ch)
	}
	owner, claimed := c.claims[claim{ch.Spec.Platform, in.account}]
	in.taken = claimed && owner != in.key
	if holder, held := c.apps[appOf(ch)]; held && in.app != "" && in.bridge != nil {
		in.appElsewhere = holder.bridge != in.bridge
		in.appSecrets = c.appSecrets[appOf(ch)]
	}
	in.receive = receiveMode(ch, in.platform, in.bridge)
	if in.receive == v1alpha1.ReceiveWebhook && in.bridge != nil && in.bridge.bridge.Spec.PublicURL != "" {
		in.webhookURL = webhookURL(in, in.bridge.bridge.Spec.PublicURL)
	}
	in.secret = c.secrets[Key{Namespace: ch.Namespace, Name: ch.Spec.Credentials.SecretRef.Name}]
	in.credentials = credentialsOf(in.secret, in.platform.Secrets)
	in.invalid, in.unusable = first(in, specChecks), first(in, secretChecks)
	return in
}

// WebhookURL is the URL that a platform sends a channel's messages to, where
// each channel has its own.
func WebhookURL(publicURL string, channel Key) string {
	return strings.TrimSuffix(publicURL, "/") + "/webhooks/" + channel.Namespace + "/" + channel.Name
}

func webhookURL(in *channelInput, publicURL string) string {
	if in.platform.AppWebhook {
		return appWebhookURL(publicURL, appOf(in.channel))
	}
	return WebhookURL(publicURL, in.key)
}

func (c *compiler) bridgeTarget(ch *v1alpha1.Channel) target {
	t := newTarget("spec.bridgeRef", kindBridge, ch.Namespace, ch.Spec.BridgeRef)
	t.allowing, t.referrers = "spec.allowedChannels", "Channels"
	if br := c.bridges[t.key]; br != nil {
		t.exists = true
		t.permitted = c.permits(br.allow, t.from, br.allow.err != nil && br.channelBefore(ch) != nil)
	}
	return t
}

// channelBefore is the entry of this very Channel in the previous document.
func (br *bridgeState) channelBefore(ch *v1alpha1.Channel) *document.Entry {
	e := br.before.get(document.EntryChannel, keyOf(ch).String())
	if e == nil || !bytes.HasPrefix(e.Spec, uidPrefix(string(ch.UID))) {
		return nil
	}
	return e
}

// uidPrefix is how the Spec of a channel with this UID begins: it is the first
// field. Looking there spares decoding ten thousand unchanged entries.
func uidPrefix(uid string) []byte {
	if uid == "" {
		return []byte("{")
	}
	return []byte(`{"uid":"` + uid + `"`)
}

// receiveMode is what the spec chooses, or the only way there is, else Webhook
// where the platform can call the Bridge, else Polling.
func receiveMode(ch *v1alpha1.Channel, facts platform.Capabilities, br *bridgeState) v1alpha1.ReceiveMode {
	switch {
	case ch.Spec.Telegram != nil && ch.Spec.Telegram.Receive != "":
		return ch.Spec.Telegram.Receive
	case len(facts.Receive) > 0 && !slices.Contains(facts.Receive, document.ReceiveWebhook):
		return v1alpha1.ReceivePolling
	case br != nil && br.bridge.Spec.PublicURL != "", !slices.Contains(facts.Receive, document.ReceivePolling):
		return v1alpha1.ReceiveWebhook
	default:
		return v1alpha1.ReceivePolling
	}
}

// typedBlock is the part of the spec that belongs to the platform.
func typedBlock(ch *v1alpha1.Channel) any {
	switch {
	case ch.Spec.Telegram != nil:
		return ch.Spec.Telegram
	case ch.Spec.Messenger != nil:
		return ch.Spec.Messenger
	case ch.Spec.Instagram != nil:
		return ch.Spec.Instagram
	case ch.Spec.Email != nil:
		return ch.Spec.Email
	}
	return nil
}

// credentialsOf are the values under the platform's keys. Space around them is
// dropped: files and pipes leave line ends, and no platform's secret has any.
func credentialsOf(secret *corev1.Secret, keys []platform.SecretKey) map[string]string {
	if secret == nil {
		return nil
	}
	values := make(map[string]string, len(keys))
	for _, k := range keys {
		if v := strings.TrimSpace(string(secret.Data[k.Name])); v != "" {
			values[k.Name] = v
		}
	}
	return values
}

// channel decides about one Channel and puts its entries into the documents.
func (c *compiler) channel(ch *v1alpha1.Channel) *ChannelResult {
	if !ch.DeletionTimestamp.IsZero() {
		return c.deleting(ch)
	}
	in := c.channelInput(ch)
	result := &ChannelResult{
		Findings:   collect(in, channelChains),
		Account:    in.account,
		Receive:    in.receive,
		WebhookURL: in.webhookURL,
	}
	if in.invalid == nil {
		result.Effective = effectiveChannel(in)
	}
	if in.bridge == nil {
		if in.ref.defaulted && !in.ref.exists && !in.taken {
			c.wantDefault(kindBridge, ch.Namespace)
		}
		c.await(in, result)
		return result
	}
	result.Bridge = in.bridge.key
	if in.bridge.store != nil {
		result.Store = in.bridge.store.key
	}
	if !in.taken && !in.appElsewhere {
		c.serve(in, result)
	}
	if result.Entry == nil || in.bridge.store == nil {
		c.await(in, result)
	}
	return result
}

// serve puts the channel into the documents, if necessary as it was before.
func (c *compiler) serve(in *channelInput, result *ChannelResult) {
	var entry document.Entry
	switch {
	case in.invalid != nil:
		if in.previous == nil {
			return
		}
		entry, result.LastGood = *in.previous, true
	case in.unusable != nil:
		before := decodeChannel(in.previous)
		if before == nil {
			return
		}
		in.credentials, result.LastGood = before.Credentials, true
		entry, _ = c.channelEntry(in)
	default:
		entry, result.Rotated = c.channelEntry(in)
	}
	in.bridge.entries = append(in.bridge.entries, entry)
	in.bridge.result.Channels++
	if in.app != "" {
		c.served[servedApp{in.bridge.key, appOf(in.channel)}] = true
	}
	result.Entry = &entry
	result.FormerWebhookURL = formerOf(&entry)
	if st := in.bridge.store; st != nil {
		result.Policies = c.policiesOf(in.key)
		st.serve(in, result.Policies)
		c.confirmChannel(in.key, *st.last())
	}
}

// serve puts the channel into the store's document; with an invalid spec as it
// was before, so that both documents speak of the same channel.
func (st *storeState) serve(in *channelInput, policies []string) {
	st.result.Channels++
	spec, generation := storeChannel(in, in.bridge.key), in.channel.Generation
	if in.invalid != nil && servedBefore(st, in) {
		before := st.before.get(document.EntryChannel, in.key.String())
		spec, generation = decodeSpec[document.StoreChannel](before), before.Generation
		if !spec.AwayUntil.IsZero() { // it waited until now
			spec.AwayUntil, spec.Suspended = time.Time{}, in.channel.Spec.Suspend
		}
	}
	spec.Policies = policies
	st.add(document.EntryChannel, in.key.String(), generation, spec)
}

// storeChannel is the channel as the store sees it.
func storeChannel(in *channelInput, bridge Key) document.StoreChannel {
	s := document.StoreChannel{
		UID:           in.uid,
		Platform:      string(in.channel.Spec.Platform),
		Account:       in.account,
		App:           in.app,
		AgentWindow:   in.channel.HumanAgent(),
		Bridge:        bridge.String(),
		Receive:       wireReceive(in.receive),
		Suspended:     in.channel.Spec.Suspend,
		ResendUnknown: in.channel.Spec.ResendUnknown,

		DefaultLanguage: in.channel.Spec.DefaultLanguage,
	}
	if w := in.channel.Spec.ReopenWindow; w != nil && w.Duration >= 0 {
		d := document.Duration(w.Duration)
		s.ReopenWindow = &d
	}
	if l := in.channel.Spec.Limits; l != nil {
		s.OutboundPerSecond = int(l.OutboundPerSecond)
	}
	return s
}

func wireReceive(m v1alpha1.ReceiveMode) document.Receive {
	if m == v1alpha1.ReceiveWebhook {
		return document.ReceiveWebhook
	}
	return document.ReceivePolling
}

// formerOf is the FormerWebhookURL of an entry. Nearly all have none, and looking
// for the name spares decoding them.
func formerOf(e *document.Entry) string {
	if !bytes.Contains(e.Spec, []byte(`"formerWebhookURL"`)) {
		return ""
	}
	if ch := decodeChannel(e); ch != nil {
		return ch.FormerWebhookURL
	}
	return ""
}

func decodeChannel(e *document.Entry) *document.Channel {
	if e == nil {
		return nil
	}
	var ch document.Channel
	if err := json.Unmarshal(e.Spec, &ch); err != nil {
		return nil // damaged by hand: as if it had not been there
	}
	return &ch
}
