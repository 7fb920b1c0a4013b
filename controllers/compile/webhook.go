package compile

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
)

const (
	// signingKey is the key of a webhook's Secret.
	signingKey = "secret"
	// secretPrefix, minSigningBytes, maxSigningBytes: as Standard Webhooks wants
	// signing secrets.
	secretPrefix    = "whsec_"
	minSigningBytes = 24
	maxSigningBytes = 64
	// signingOverlap is how long requests are signed with the former secret as
	// well. It costs nothing: who has leaked it gains no more than the right to
	// send what the receiver would have taken before.
	signingOverlap = 24 * time.Hour
)

// webhook is an endpoint with its secret. With a finding it is as it was before,
// or nil.
func (c *compiler) webhook(namespace, field string, endpoint v1alpha1.WebhookEndpoint, before *document.Webhook) (*document.Webhook, *Finding) {
	value, f := c.signingSecret(namespace, field, endpoint.SecretRef.Name)
	if f != nil {
		return before, f
	}
	hook := &document.Webhook{URL: endpoint.URL, Secret: value, Timeout: duration(endpoint.Timeout, 0)}
	if before == nil {
		return hook, nil
	}
	previous := before.PreviousSecret
	if before.Secret != value {
		previous = &document.PreviousSecret{Value: before.Secret, Until: c.now.Add(signingOverlap)}
	}
	if previous != nil && previous.Value != value && previous.Until.After(c.now) {
		hook.PreviousSecret = previous
		c.until(previous.Until)
	}
	return hook, nil
}

func (c *compiler) signingSecret(namespace, field, name string) (string, *Finding) {
	secret := c.secrets[Key{Namespace: namespace, Name: name}]
	if secret == nil {
		return "", secretNotUsable(field, namespace, name)
	}
	value := strings.TrimSpace(string(secret.Data[signingKey]))
	if value == "" {
		return "", wrong(v1alpha1.ConditionResolvedRefs, v1alpha1.ReasonSecretKeyMissing, field,
			fmt.Sprintf("Secret %s has no value under the key %q; put the signing secret there", name, signingKey))
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(value, secretPrefix))
	if !strings.HasPrefix(value, secretPrefix) || err != nil || len(raw) < minSigningBytes || len(raw) > maxSigningBytes {
		return "", wrong(v1alpha1.ConditionResolvedRefs, v1alpha1.ReasonSecretValueInvalid, field, fmt.Sprintf(
			"the value of key %q in Secret %s is not %s and %d to %d bytes in base64; draw one, e.g. with: echo %s$(openssl rand -base64 32)",
			signingKey, name, secretPrefix, minSigningBytes, maxSigningBytes, secretPrefix))
	}
	return value, nil
}

// egressAllowed: a store's pods call nobody unless its owner says so.
func egressAllowed(field string, st *storeState) *Finding {
	if st == nil || st.store.Spec.Egress != nil {
		return nil
	}
	return missing(v1alpha1.ReasonEgressNotAllowed, field, fmt.Sprintf(
		"ConversationStore %s does not let its pods call webhooks; ask its owner to set spec.egress on it ({} opens public addresses, allowPrivateHosts those of the cluster)", st.key))
}
