package messenger

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/platform/conformance"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform/meta/metatest"
)

func suite() conformance.Suite {
	s := metatest.Suite(metatest.Product{
		Platform: New(), Object: "page", Account: metatest.Page, TokenKey: KeyPageAccessToken, OutsideWindow: 2018278,
		Config: `{"pageID":"` + metatest.Page + `","appID":"` + metatest.App + `"}`,
	})
	s.Echoes = []string{"echo", "echo-of-another-app", "echo-template", "echo-buttons", "echo-reaction"}
	s.Probed = conformance.Reply{Body: `{"id":"` + metatest.Page + `","name":"Shop","data":{"app_id":"` + metatest.App + `","is_valid":true,"scopes":["pages_messaging"]}}`}
	s.Stranger = conformance.Reply{Body: `{"id":"7","name":"Other"}`}
	return s
}

func TestConformance(t *testing.T) { conformance.Run(t, suite()) }

func FuzzParse(f *testing.F) { conformance.FuzzParse(f, suite()) }

func FuzzVerify(f *testing.F) { conformance.FuzzVerify(f, suite()) }

func TestCapabilitiesSayThatTheAppHasTheURL(t *testing.T) {
	require.True(t, New().Capabilities().AppWebhook)
}
