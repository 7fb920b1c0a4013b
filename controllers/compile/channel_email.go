package compile

import (
	"fmt"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform/email"
)

// checkEmailValues looks at the credentials of a mailbox: which keys it takes
// follows from spec.email.auth, so that no single one is required of all.
func checkEmailValues(in *channelInput) *Finding {
	config, err := platform.ConfigOf[email.Config](mustJSON(in.channel.Spec.Email))
	if err != nil {
		return nil // the bridge says what it cannot read
	}
	problem := email.CheckCredentials(config, in.credentials)
	if problem == "" {
		return nil
	}
	return wrong(v1alpha1.ConditionCredentialsValid, v1alpha1.ReasonSecretKeyMissing, secretField,
		fmt.Sprintf("leads to Secret %s: %s", in.channel.Spec.Credentials.SecretRef.Name, problem))
}
