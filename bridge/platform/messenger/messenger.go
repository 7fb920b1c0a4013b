// Package messenger connects Facebook pages by the Messenger Platform. What it
// shares with Instagram (signatures, webhooks, calls, duties) is in package
// meta; here is what is Messenger's alone.
package messenger

import (
	"encoding/json"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform/meta"
)

// Name of the platform, as in Channel.spec.platform.
const Name = "messenger"

// KeyPageAccessToken of the credentials Secret; the other keys are meta's.
const KeyPageAccessToken = "pageAccessToken"

// fields are what the app and the page are subscribed to. Comments (feed) are
// left to another product.
var fields = []string{
	"messages", "message_deliveries", "message_echoes", "message_edits", "message_reactions", "message_reads",
	"messaging_account_linking", "messaging_handovers", "messaging_optins", "messaging_policy_enforcement",
	"messaging_postbacks", "messaging_referrals", "standby",
}

// config is the messenger block of a Channel, as it stands in the document.
type config struct {
	PageID       string        `json:"pageID"`
	AppID        string        `json:"appID"`
	GraphVersion string        `json:"graphVersion"`
	Profile      *meta.Profile `json:"profile"`
}

// New makes the platform.
func New() *meta.Platform {
	return meta.New(meta.Product{
		Name: Name, Object: "page", TokenKey: KeyPageAccessToken, Capabilities: capabilities(),
		Account: account, MessagingType: true,
	})
}

func account(raw json.RawMessage, _ string) (meta.Account, error) {
	c, err := platform.ConfigOf[config](raw)
	if err != nil {
		return meta.Account{}, &platform.FieldError{Field: Name, Message: "is not what this version reads: " + err.Error()}
	}
	return meta.Account{
		ID: c.PageID, App: c.AppID, Version: c.GraphVersion, Host: meta.FacebookHost, Page: c.PageID,
		Fields: fields, AppFields: fields, Scopes: []string{"pages_messaging"}, WhoAmI: "id,name", Profile: c.Profile,
	}, nil
}

// capabilities: a text has 2000 characters, that of a template 640 (reference of
// the Send API).
func capabilities() platform.Capabilities {
	c := meta.Capabilities()
	c.Text = platform.TextLimit{Max: 2000, Unit: platform.UnitUTF16}
	c.ButtonText = platform.TextLimit{Max: 640, Unit: platform.UnitUTF16}
	c.Receipts = []message.Status{message.StatusDelivered, message.StatusRead}
	c.Secrets = meta.Secrets(KeyPageAccessToken, "the page's access token, with pages_messaging and pages_manage_metadata")
	return c
}
