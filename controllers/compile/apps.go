package compile

import (
	"fmt"
	"strings"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
)

// app is an app of a platform that sends everything of an app to one URL.
type app struct {
	platform v1alpha1.Platform
	id       string
}

func appOf(ch *v1alpha1.Channel) app { return app{ch.Spec.Platform, ch.App()} }

// appHolder is the Bridge that has an app, for the sake of which Channel.
type appHolder struct {
	bridge    *bridgeState
	channel   *v1alpha1.Channel
	incumbent bool
}

// precedes: who is served already, or owes the removal of the webhook, goes
// before who is not; then the older one.
func (a appHolder) precedes(b appHolder) bool {
	if a.incumbent != b.incumbent {
		return a.incumbent
	}
	return a.channel.CreationTimestamp.Time.Before(b.channel.CreationTimestamp.Time)
}

// decideApps gives every app to one Bridge. channels are sorted by name, which
// decides when nothing else does.
func (c *compiler) decideApps(channels []*v1alpha1.Channel) {
	c.apps = map[app]appHolder{}
	for _, ch := range channels {
		if ch.App() == "" || !c.claiming(ch) || c.claims[claim{ch.Spec.Platform, ch.Account()}] != keyOf(ch) {
			continue
		}
		h := appHolder{channel: ch, bridge: c.tombstones[keyOf(ch)], incumbent: true}
		if h.bridge == nil {
			ref := c.bridgeTarget(ch)
			if !ref.usable() {
				continue
			}
			h.bridge = c.bridges[ref.key]
			h.incumbent = h.bridge.channelBefore(ch) != nil
		}
		if best, taken := c.apps[appOf(ch)]; !taken || h.precedes(best) {
			c.apps[appOf(ch)] = h
		}
	}
}

// checkApp names nobody: who has the app is not the loser's business.
func checkApp(in *channelInput) *Finding {
	if !in.appElsewhere {
		return nil
	}
	f := wrong(v1alpha1.ConditionAccepted, v1alpha1.ReasonAppOnOtherBridge, appField(in), fmt.Sprintf(
		"Channels of another Bridge have the %s app %s, and an app has one webhook URL; attach this Channel to the same Bridge with spec.bridgeRef, or use another app; this one takes over by itself when the others are gone",
		in.channel.Spec.Platform, in.app))
	f.Grace = Grace // the others may be on their way out
	return f
}

func appField(in *channelInput) string { return "spec." + string(in.channel.Spec.Platform) + ".appID" }

// appSecretKeys are the credentials that belong to the app, not to the account.
var appSecretKeys = []string{appSecretKey, "verifyToken"}

// appSecretKey is the one that signs the app's webhooks.
const appSecretKey = "appSecret"

// appSecrets is whose word counts for an app: the oldest Channel's with usable values.
type appSecrets struct {
	channel *v1alpha1.Channel
	values  map[string]string
}

// decideAppSecrets finds the credentials of every app. Channels of an app that
// are served share its Bridge, so the app is enough to tell them by.
func (c *compiler) decideAppSecrets(channels []*v1alpha1.Channel) {
	c.appSecrets = map[app]appSecrets{}
	for _, ch := range channels {
		if ch.App() == "" || !ch.DeletionTimestamp.IsZero() {
			continue
		}
		in := c.channelInput(ch)
		if in.bridge == nil || in.taken || in.appElsewhere || in.invalid != nil || in.unusable != nil {
			continue
		}
		before, known := c.appSecrets[appOf(ch)]
		if !known || ch.CreationTimestamp.Time.Before(before.channel.CreationTimestamp.Time) {
			c.appSecrets[appOf(ch)] = appSecrets{ch, in.credentials}
		}
	}
}

// checkAppSecrets: a webhook of the app is verified before it is known whom it
// is for, and the handshake names no account at all. The Channel is served all
// the same: while a secret is rotated in one Secret after the other, both hold.
func checkAppSecrets(in *channelInput) *Finding {
	if in.app == "" || in.unusable != nil || in.bridge == nil || in.appSecrets.channel == nil || in.appSecrets.channel == in.channel {
		return nil
	}
	var differing []string
	for _, k := range appSecretKeys {
		if in.credentials[k] != in.appSecrets.values[k] {
			differing = append(differing, fmt.Sprintf("%q", k))
		}
	}
	if len(differing) == 0 {
		return nil
	}
	f := wrong(v1alpha1.ConditionResolvedRefs, v1alpha1.ReasonSecretValueInvalid, secretField, fmt.Sprintf(
		"Secret %s has another value under %s than the oldest Channel of %s app %s on this Bridge; an app has one of each, put the same into the Secrets of all its Channels",
		in.channel.Spec.Credentials.SecretRef.Name, strings.Join(differing, " and "), in.channel.Spec.Platform, in.app))
	f.Grace = Grace
	return f
}

// servedApp is an app that has a Channel in a Bridge's document.
type servedApp struct {
	bridge Key
	app    app
}

// appWebhookURL is the URL that a platform sends to for all accounts of an app.
func appWebhookURL(publicURL string, a app) string {
	return strings.TrimSuffix(publicURL, "/") + "/webhooks/apps/" + string(a.platform) + "/" + a.id
}

// metaValues looks at the credentials of Messenger and Instagram, whose token
// has the name token. Their form is Meta's own business; what a person mistakes
// is a copy with something beside it.
func metaValues(token string) func(string, map[string]string) (key, problem string) {
	return func(_ string, values map[string]string) (key, problem string) {
		for _, k := range []string{"appSecret", "verifyToken", token} {
			if strings.ContainsAny(values[k], " \t\r\n\"'") {
				return k, "has spaces, quotes or line ends in it; copy it as it is, alone"
			}
		}
		if values["appSecret"] == values[token] {
			return token, "is that of \"appSecret\"; put the access token there"
		}
		return "", ""
	}
}
