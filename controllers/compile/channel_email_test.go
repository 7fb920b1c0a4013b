package compile

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	corev1 "k8s.io/api/core/v1"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform/email"
)

const mailAddress = "support@shop.example"

// mailWorld has a mailbox in place of the bot.
func mailWorld(t *testing.T, secret map[string]string) *world {
	w := newWorld(t)
	w.opts.Platforms = func(name string) (platform.Capabilities, bool) {
		return email.New().Capabilities(), name == email.Name
	}
	ch := w.Channels[0]
	ch.Spec.Platform, ch.Spec.Telegram = v1alpha1.PlatformEmail, nil
	ch.Spec.Email = &v1alpha1.EmailChannel{Address: mailAddress, IMAP: v1alpha1.EmailIMAP{Host: "imap.shop.example"}, SMTP: v1alpha1.EmailSMTP{Host: "smtp.shop.example"}}
	w.Secrets[0].Data = map[string][]byte{}
	for k, v := range secret {
		w.Secrets[0].Data[k] = []byte(v)
	}
	return w
}

// TestEmailIsPolled: nothing calls a mailbox, whatever URL the Bridge has.
func TestEmailIsPolled(t *testing.T) {
	w := mailWorld(t, map[string]string{"password": "secret\n", "token": "of another platform"})
	r := w.compile()
	c := r.Channels[shopBot]
	require.Empty(t, c.Findings)
	require.Equal(t, v1alpha1.ReceivePolling, c.Receive)
	require.Empty(t, c.WebhookURL)
	got := entry(t, r, shopBot)
	require.Equal(t, document.ReceivePolling, got.Receive)
	require.Equal(t, mailAddress, got.Account)
	require.Equal(t, map[string]string{"password": "secret"}, got.Credentials)
	_, err := email.New().Load(t.Context(), platform.LoadSpec{Name: "shop/bot", Spec: got})
	require.NoError(t, err)
}

func TestEmailCredentialsFollowFromAuth(t *testing.T) {
	oauth := &v1alpha1.EmailOAuth2{TokenURL: "https://login.example/token", ClientID: "1"}
	for name, tt := range map[string]struct {
		auth   *v1alpha1.EmailAuth
		secret map[string]string
		ok     bool
	}{
		"password":                  {nil, map[string]string{"password": "a"}, true},
		"no password":               {nil, map[string]string{"accessToken": "a"}, false},
		"token":                     {&v1alpha1.EmailAuth{Type: v1alpha1.EmailAuthOAuth2}, map[string]string{"accessToken": "a"}, true},
		"no token":                  {&v1alpha1.EmailAuth{Type: v1alpha1.EmailAuthOAuth2}, map[string]string{"password": "a"}, false},
		"refresh token":             {&v1alpha1.EmailAuth{Type: v1alpha1.EmailAuthOAuth2, OAuth2: oauth}, map[string]string{"refreshToken": "a"}, true},
		"client credentials":        {&v1alpha1.EmailAuth{Type: v1alpha1.EmailAuthOAuth2, OAuth2: oauth}, map[string]string{"clientSecret": "a"}, true},
		"nothing to get a token by": {&v1alpha1.EmailAuth{Type: v1alpha1.EmailAuthOAuth2, OAuth2: oauth}, map[string]string{"accessToken": "a"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := mailWorld(t, tt.secret)
			w.Channels[0].Spec.Email.Auth = tt.auth
			c := w.compile().Channels[shopBot]
			if tt.ok {
				require.Empty(t, c.Findings)
				return
			}
			require.Equal(t, []string{v1alpha1.ConditionCredentialsValid + "/" + v1alpha1.ReasonSecretKeyMissing}, reasons(c.Findings))
		})
	}
}

func TestOneMailboxIsOneChannels(t *testing.T) {
	w := mailWorld(t, map[string]string{"password": "a"})
	other := w.Channels[0].DeepCopy()
	other.ObjectMeta = objectMeta("shop", "late")
	w.Channels = append(w.Channels, other)
	c := w.compile().Channels[key("shop", "late")]
	require.Contains(t, reasons(c.Findings), v1alpha1.ConditionAccepted+"/"+v1alpha1.ReasonAccountClaimed)
	require.Equal(t, "spec.email.address", c.Findings[0].Field)
}

// TestEmailSample: what people copy compiles, and the data plane loads it.
func TestEmailSample(t *testing.T) {
	read := func(name string, into any) {
		raw, err := os.ReadFile(filepath.Join("..", "..", "config", "samples", "email", name))
		require.NoError(t, err)
		require.NoError(t, yaml.UnmarshalStrict(raw, into))
	}
	w := mailWorld(t, nil)
	w.Channels = []*v1alpha1.Channel{{}}
	w.Secrets = []*corev1.Secret{{}}
	read("channel.yaml", w.Channels[0])
	read("secret.yaml", w.Secrets[0])
	w.Channels[0].Namespace, w.Channels[0].UID, w.Secrets[0].Namespace = "shop", "1", "shop"
	w.Secrets[0].Data = map[string][]byte{}
	for k, v := range w.Secrets[0].StringData {
		w.Secrets[0].Data[k] = []byte(v)
	}
	r := w.compile()
	c := r.Channels[key("shop", "mail-support")]
	require.Empty(t, c.Findings)
	var spec document.Channel
	require.NoError(t, json.Unmarshal(c.Entry.Spec, &spec))
	_, err := email.New().Load(t.Context(), platform.LoadSpec{Name: "shop/mail-support", Spec: spec})
	require.NoError(t, err)
}
