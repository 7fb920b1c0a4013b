package compile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
)

type channelCheck = func(*channelInput) *Finding

// channelChains: of each list the first finding counts.
var channelChains = [][]channelCheck{
	{func(in *channelInput) *Finding { return in.invalid }, checkClaim, checkApp, checkAllowed},
	{checkBridgeRef},
	{func(in *channelInput) *Finding { return in.unusable }, checkAppSecrets},
	{checkStore},
	{checkPublicURL},
}

// specChecks are about the spec alone. Conditions of the schema are repeated
// where breaking them would make a wrong document: the schema of an older
// installation may be in force.
var specChecks = []channelCheck{
	checkPlatform,
	checkReceive,
	func(in *channelInput) *Finding {
		return notNegative("spec.credentials.overlap", in.channel.Spec.Credentials.Overlap)
	},
	func(in *channelInput) *Finding { return notNegative("spec.reopenWindow", in.channel.Spec.ReopenWindow) },
}

// secretChecks say whether the Secret gives usable credentials.
var secretChecks = []channelCheck{checkSecret, checkRequiredKeys, checkValues}

func checkPlatform(in *channelInput) *Finding {
	p := in.channel.Spec.Platform
	if !in.known {
		return invalidSpec("spec.platform", fmt.Sprintf("%q is not a platform that this version knows; upgrade the operator, or correct it", p))
	}
	if typedBlock(in.channel) == nil || in.account == "" {
		return invalidSpec("spec."+string(p), fmt.Sprintf("is required when platform is %s, and must name the account", p))
	}
	return nil
}

func checkReceive(in *channelInput) *Finding {
	if slices.Contains(in.platform.Receive, wireReceive(in.receive)) {
		return nil
	}
	return invalidSpec(receiveField(in), fmt.Sprintf("%s cannot do %s; leave it out, or choose another", in.channel.Spec.Platform, in.receive))
}

func receiveField(in *channelInput) string {
	return "spec." + string(in.channel.Spec.Platform) + ".receive"
}

// checkClaim names nobody: who has the account is not the loser's business.
func checkClaim(in *channelInput) *Finding {
	if !in.taken {
		return nil
	}
	f := wrong(v1alpha1.ConditionAccepted, v1alpha1.ReasonAccountClaimed, accountField(in), fmt.Sprintf(
		"another Channel of this cluster has the %s account %s; delete one of the two, this one takes over by itself when the other is gone",
		in.channel.Spec.Platform, in.account))
	f.Grace = Grace // the other one may be on its way out
	return f
}

func accountField(in *channelInput) string {
	switch p := in.channel.Spec.Platform; p {
	case v1alpha1.PlatformTelegram:
		return "spec.telegram.botID"
	case v1alpha1.PlatformMessenger:
		return "spec.messenger.pageID"
	case v1alpha1.PlatformInstagram:
		return "spec.instagram.accountID"
	case v1alpha1.PlatformEmail:
		return "spec.email.address"
	default:
		return "spec." + string(p)
	}
}

func checkBridgeRef(in *channelInput) *Finding { return in.ref.check(in.createDefaults) }

const secretField = "spec.credentials.secretRef"

func checkSecret(in *channelInput) *Finding {
	if in.secret != nil {
		return nil
	}
	return secretNotUsable(secretField, in.key.Namespace, in.channel.Spec.Credentials.SecretRef.Name)
}

// secretNotUsable is the same for a Secret that is not there and one that lacks
// the label, so that nobody learns by trying which Secrets exist.
func secretNotUsable(field, namespace, name string) *Finding {
	return missing(v1alpha1.ReasonSecretNotUsable, field, fmt.Sprintf(
		"there is no Secret %s with the label %s=true in namespace %s; make it, or add the label with: kubectl -n %s label secret %s %s=true",
		name, v1alpha1.CredentialsLabel, namespace, namespace, name, v1alpha1.CredentialsLabel))
}

// checkStore: the Bridge's own conditions say what is wrong with its store.
func checkStore(in *channelInput) *Finding {
	if in.bridge == nil || in.bridge.store != nil {
		return nil
	}
	return passing(v1alpha1.ConditionReady, v1alpha1.ReasonBridgeNotReady, "spec.bridgeRef",
		fmt.Sprintf("Bridge %s has no ConversationStore that it may use yet; see its conditions", in.bridge.key))
}

func checkPublicURL(in *channelInput) *Finding {
	if in.receive != v1alpha1.ReceiveWebhook || in.bridge == nil || in.bridge.bridge.Spec.PublicURL != "" {
		return nil
	}
	const condition, reason = v1alpha1.ConditionWebhookRegistered, v1alpha1.ReasonNoPublicURL
	if !slices.Contains(in.platform.Receive, document.ReceivePolling) {
		return wrong(condition, reason, "spec.bridgeRef", fmt.Sprintf(
			"leads to Bridge %s, which has no spec.publicURL that the platform could call; set it there", in.bridge.key))
	}
	return wrong(condition, reason, receiveField(in), fmt.Sprintf(
		"is Webhook, but Bridge %s has no spec.publicURL that the platform could call; set it, or choose Polling", in.bridge.key))
}

func checkRequiredKeys(in *channelInput) *Finding {
	for _, k := range in.platform.Secrets {
		if k.Required && in.credentials[k.Name] == "" {
			return wrong(v1alpha1.ConditionCredentialsValid, v1alpha1.ReasonSecretKeyMissing, secretField, fmt.Sprintf(
				"Secret %s has no value under the key %q (%s); put it there",
				in.channel.Spec.Credentials.SecretRef.Name, k.Name, k.Description))
		}
	}
	return nil
}

// valueChecks look at credentials without asking the platform. They return the
// key and what is wrong with its value, and never the value.
var valueChecks = map[v1alpha1.Platform]func(account string, values map[string]string) (key, problem string){
	v1alpha1.PlatformTelegram:  telegramValues,
	v1alpha1.PlatformMessenger: metaValues("pageAccessToken"),
	v1alpha1.PlatformInstagram: metaValues("accessToken"),
}

func checkValues(in *channelInput) *Finding {
	if in.channel.Spec.Email != nil {
		return checkEmailValues(in)
	}
	check := valueChecks[in.channel.Spec.Platform]
	if check == nil || in.account == "" {
		return nil
	}
	key, problem := check(in.account, in.credentials)
	if problem == "" {
		return nil
	}
	return wrong(v1alpha1.ConditionCredentialsValid, v1alpha1.ReasonSecretValueInvalid, secretField, fmt.Sprintf(
		"the value of key %q in Secret %s %s", key, in.channel.Spec.Credentials.SecretRef.Name, problem))
}

// minTokenSecret is lenient: the secret part of real tokens has 35 characters,
// that of local Bot API servers and test doubles may have others.
const minTokenSecret = 10

// maxTelegramSecret is what setWebhook accepts as secret_token.
const maxTelegramSecret = 256

// plainValue says whether a value has only the characters of Telegram's tokens.
func plainValue(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

func telegramValues(account string, values map[string]string) (key, problem string) {
	bot, secret, _ := strings.Cut(values["token"], ":")
	switch {
	case !digits(bot) || len(secret) < minTokenSecret || !plainValue(secret):
		return "token", "does not look like a bot token (number, colon, letters and digits); copy it from BotFather as it is"
	case bot != account:
		return "token", "belongs to another bot than spec.telegram.botID: the number before its colon must be the botID; put the right token there, or correct the botID"
	}
	if s := values["webhookSecret"]; len(s) > maxTelegramSecret || !plainValue(s) {
		return "webhookSecret", "has characters that Telegram does not take; use 1 to 256 letters, digits, _ and -, or leave the key out"
	}
	return "", ""
}
