// Package messenger connects Facebook pages by the Messenger Platform. What it
// shares with Instagram (signatures, webhooks, calls, duties) is in package
// meta; here is what is Messenger's alone.
package messenger

import (
	"encoding/json"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
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

// capabilities: sizes are those of the Send API's reference (text 2000
// characters, template text 640, titles 20, payloads 1000, 13 quick replies, 3
// buttons, 10 cards, 25 MB). Meta allows 300 texts a second for a page, but
// from 40 on the page's inbox suffers. It waits about 5 s for an answer to a
// webhook; one may hold 1000 updates, which are 4 MiB at 4 KiB each. People can
// send videos of up to 100 MB; what is beyond 64 MiB is left at Meta.
func capabilities() platform.Capabilities {
	return platform.Capabilities{
		Maintenance:   platform.Maintained,
		Receive:       []document.Receive{document.ReceiveWebhook},
		AppWebhook:    true,
		Text:          platform.TextLimit{Max: 2000, Unit: platform.UnitUTF16},
		Attachments:   []message.Type{message.TypeImage, message.TypeAudio, message.TypeVideo, message.TypeFile},
		MaxUpload:     25 << 20,
		Buttons:       3,
		QuickReplies:  13,
		Cards:         10,
		ButtonText:    platform.TextLimit{Max: 640, Unit: platform.UnitUTF16},
		ButtonTitle:   platform.TextLimit{Max: 20, Unit: platform.UnitUTF16},
		ButtonPayload: platform.TextLimit{Max: 1000, Unit: platform.UnitUTF16},
		ReplyTo:       true,
		Receipts:      []message.Status{message.StatusDelivered, message.StatusRead},
		Window:        24 * time.Hour,
		AgentWindow:   7 * 24 * time.Hour,
		Retries:       true,
		Patience:      5 * time.Second,
		RatePerSec:    40,
		MaxBody:       4 << 20,
		MaxMedia:      64 << 20,
		Secrets:       meta.Secrets(KeyPageAccessToken, "the page's access token, with pages_messaging and pages_manage_metadata"),
	}
}
