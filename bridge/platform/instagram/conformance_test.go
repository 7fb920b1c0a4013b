package instagram

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/platform/conformance"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform/meta/metatest"
)

const testAccount = "17841405822304914"

func suite() conformance.Suite {
	s := metatest.Suite(metatest.Product{
		Platform: New(), Object: "instagram", Account: testAccount, TokenKey: KeyAccessToken, OutsideWindow: 2534022,
		Config: `{"accountID":"` + testAccount + `","appID":"` + metatest.App + `","login":"FacebookLogin","pageID":"` + metatest.Page + `"}`,
	})
	s.Echoes = []string{"echo", "echo-of-another-app", "echo-template", "echo-buttons", "echo-reaction", "echo-generic"}
	s.Probed = conformance.Reply{Body: `{"id":"` + metatest.Page + `","name":"Shop","instagram_business_account":{"id":"` + testAccount + `","username":"shop"},"data":{"app_id":"` + metatest.App + `","is_valid":true,"scopes":["instagram_manage_messages"]}}`}
	s.Stranger = conformance.Reply{Body: `{"id":"` + metatest.Page + `","name":"Shop","instagram_business_account":{"id":"7"}}`}
	return s
}

func TestConformance(t *testing.T) { conformance.Run(t, suite()) }

func FuzzParse(f *testing.F) { conformance.FuzzParse(f, suite()) }

func FuzzVerify(f *testing.F) { conformance.FuzzVerify(f, suite()) }

func TestCapabilitiesSayThatTheAppHasTheURL(t *testing.T) {
	require.True(t, New().Capabilities().AppWebhook)
}
