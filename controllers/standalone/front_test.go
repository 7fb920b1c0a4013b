package standalone

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/controllers/compile"
)

func TestWebhooksReachTheBridgeThatHasTheirChannelOrApp(t *testing.T) {
	named := func(name string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, name) })
	}
	f := newFront()
	ask := func(path string) (int, string) {
		w := httptest.NewRecorder()
		f.ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, http.NoBody))
		return w.Code, w.Body.String()
	}
	code, _ := ask("/webhooks/shop/bot")
	require.Equal(t, http.StatusNotFound, code, "no bridge runs")
	f.routes.Store(&routes{
		any:      named("the first"),
		webhooks: map[compile.Key]http.Handler{theBot: named("of the channel"), {Namespace: "apps", Name: "messenger"}: named("of namespace apps")},
		apps:     map[app]http.Handler{{"messenger", "1234"}: named("of the app")},
	})
	for path, want := range map[string]string{
		"/webhooks/shop/bot":                "of the channel",
		"/webhooks/shop/bot/more":           "the first",
		"/webhooks/shop/other":              "the first",
		"/webhooks/apps/messenger/1234":     "of the app",
		"/webhooks/apps/messenger/5678":     "the first",
		"/webhooks/apps/messenger/1234/etc": "the first",
		"/webhooks/apps/messenger":          "of namespace apps",
		"/webhooks/":                        "the first",
	} {
		_, got := ask(path)
		require.Equal(t, want, got, path)
	}
}
