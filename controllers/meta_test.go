package controllers

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform/all"
)

// applySample creates the objects of a folder of config/samples in a namespace.
func applySample(t *testing.T, sample, ns string) {
	t.Helper()
	for _, name := range []string{"bridge.yaml", "channels.yaml", "secrets.yaml"} {
		raw, err := os.ReadFile(filepath.Join("..", "config", "samples", sample, name))
		require.NoError(t, err)
		decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(raw), 4096)
		for {
			u := &unstructured.Unstructured{}
			err := decoder.Decode(&u.Object)
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err, name)
			u.SetNamespace(ns)
			create(t, u)
		}
	}
}

// TestMetaSample: what people copy comes up, and the data plane can load what
// the control plane makes of it.
func TestMetaSample(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t)
	applySample(t, "messenger", ns)
	for name, url := range map[string]string{
		"messenger-main": "https://hooks.example.com/webhooks/apps/messenger/987654321",
		"instagram-main": "https://hooks.example.com/webhooks/apps/instagram/987654321",
	} {
		ch := &v1alpha1.Channel{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}}
		wait(t, ch, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
		require.Equal(t, url, ch.Status.WebhookURL)
		require.Equal(t, ch.Account(), ch.Status.Account)
		spec := channelSpec(t, ns, "default", ns+"/"+name)
		require.NotNil(t, spec)
		require.Equal(t, url, spec.WebhookURL)
		p := all.ByName()[spec.Platform]
		_, err := p.Load(t.Context(), platform.LoadSpec{Name: ns + "/" + name, Spec: *spec, Client: http.DefaultClient})
		require.NoError(t, err)
	}
}

func page(ns, name, app string) (*corev1.Secret, *v1alpha1.Channel) {
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name, Labels: map[string]string{v1alpha1.CredentialsLabel: "true"}},
		StringData: map[string]string{"appSecret": "0123456789abcdef0123456789abcdef", "verifyToken": "5d1f0a6c2b9e4837", "pageAccessToken": "EAAGm0PX4ZCps" + name},
	}
	return secret, &v1alpha1.Channel{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name},
		Spec: v1alpha1.ChannelSpec{
			Platform:    v1alpha1.PlatformMessenger,
			Messenger:   &v1alpha1.MessengerChannel{PageID: newAccount(), AppID: app},
			Credentials: v1alpha1.Credentials{SecretRef: v1alpha1.SecretReference{Name: name}},
		},
	}
}

// An app has one webhook URL, so another Bridge waits until the last Channel of
// it, and its subscription, are gone.
func TestAppOnOtherBridge(t *testing.T) {
	t.Parallel()
	ns, app := newNamespace(t), newAccount()
	other := webhookBridge(ns)
	other.Name = "other"
	secretA, a := page(ns, "a", app)
	secretB, b := page(ns, "b", app)
	b.Spec.BridgeRef = &v1alpha1.ObjectReference{Name: "other"}
	create(t, webhookBridge(ns), other, secretA, secretB, a)
	wait(t, a, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
	create(t, b)
	c := wait(t, b, v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonAppOnOtherBridge)
	require.NotContains(t, c.Message, ns+"/default")
	require.NoError(t, k8s.Delete(t.Context(), a))
	wait(t, b, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
	require.Contains(t, b.Status.WebhookURL, "/webhooks/apps/messenger/"+app)

	// A second Page of the app, with other secrets of the app's.
	secretC, third := page(ns, "c", app)
	third.Spec.BridgeRef = b.Spec.BridgeRef
	secretC.StringData["verifyToken"] = "another"
	create(t, secretC, third)
	c = wait(t, third, v1alpha1.ConditionResolvedRefs, metav1.ConditionFalse, v1alpha1.ReasonSecretValueInvalid)
	require.Contains(t, c.Message, `"verifyToken"`)
	update(t, secretC, func(s *corev1.Secret) { s.Data["verifyToken"] = secretB.Data["verifyToken"] })
	wait(t, third, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
	require.NoError(t, k8s.Get(t.Context(), client.ObjectKeyFromObject(b), b))
}
