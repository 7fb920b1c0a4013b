// Package instagram connects professional Instagram accounts by Instagram
// messaging. What it shares with Messenger is in package meta; here is what is
// Instagram's alone: two ways to log in, bytes instead of characters, reactions,
// read receipts by message and no others, no greeting.
//
//	FacebookLogin    graph.facebook.com    token of the linked page
//	                 the page is subscribed to the app, the app to the account
//	InstagramLogin   graph.instagram.com   token of the account, which ends after
//	                 60 days; the app's webhook is set on its dashboard
//
// A token of InstagramLogin must be replaced in the Secret before it ends: nothing
// here writes to Secrets, and a new token that nobody keeps would be lost with the
// pod that asked for it. No API tells when it ends, so that it is reckoned from when
// the Secret had it first: from two weeks before, CredentialsValid says so.
package instagram

import (
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform/meta"
)

// Name of the platform, as in Channel.spec.platform.
const Name = "instagram"

// KeyAccessToken of the credentials Secret; the other keys are meta's.
const KeyAccessToken = "accessToken"

// Ways to log in, as in Channel.spec.instagram.login.
const (
	FacebookLogin  = "FacebookLogin"
	InstagramLogin = "InstagramLogin"
)

// tokenLife is that of a long-lived token of InstagramLogin, from when it was made.
const tokenLife = 60 * 24 * time.Hour

// appFields are what the app is subscribed to for the object instagram.
var appFields = []string{
	"messages", "message_edits", "message_reactions", "messaging_handover", "messaging_optins", "messaging_postbacks",
	"messaging_referral", "messaging_seen", "standby",
}

// pageFields subscribe the linked page to the app, without which its account's
// webhooks do not come. Which field does not matter; this one is not among
// Messenger's, so that a Messenger Channel of the same page keeps its own.
var pageFields = []string{"feed"}

// accountFields are what an account with InstagramLogin is subscribed to;
// echoes have a field of their own there.
var accountFields = append([]string{"message_echoes"}, appFields...)

// config is the instagram block of a Channel, as it stands in the document.
type config struct {
	AccountID    string        `json:"accountID"`
	AppID        string        `json:"appID"`
	Login        string        `json:"login"`
	PageID       string        `json:"pageID"`
	GraphVersion string        `json:"graphVersion"`
	Profile      *meta.Profile `json:"profile"`
}

// New makes the platform.
func New() *meta.Platform {
	return meta.New(meta.Product{
		Name: Name, Object: "instagram", TokenKey: KeyAccessToken, Capabilities: capabilities(),
		Account: account, Reactions: true,
	})
}

func account(raw json.RawMessage, token string) (meta.Account, error) {
	c, err := platform.ConfigOf[config](raw)
	if err != nil {
		return meta.Account{}, &platform.FieldError{Field: Name, Message: "is not what this version reads: " + err.Error()}
	}
	if len(raw) == 0 { // a Channel that is gone: tokens of accounts begin with IG, those of pages with EA
		c.Login, c.PageID = FacebookLogin, meta.Myself
		if strings.HasPrefix(token, "IG") {
			c.Login, c.PageID = InstagramLogin, ""
		}
	}
	a := meta.Account{ID: c.AccountID, App: c.AppID, Version: c.GraphVersion}
	if p := c.Profile; p != nil {
		a.Profile = &meta.Profile{IceBreakers: p.IceBreakers, PersistentMenu: p.PersistentMenu}
	}
	switch c.Login {
	case FacebookLogin:
		if c.PageID == "" {
			return a, &platform.FieldError{Field: "instagram.pageID", Message: "is required with FacebookLogin: the page that the account is linked to"}
		}
		a.Host, a.Page = meta.FacebookHost, c.PageID
		a.Fields, a.AppFields, a.Scopes = pageFields, appFields, []string{"instagram_manage_messages"}
		a.WhoAmI, a.LinkedID = "id,name,instagram_business_account{id,username}", meta.LinkedInstagram
		a.PageQuery = url.Values{"platform": {"instagram"}}
	case InstagramLogin:
		a.Host, a.Fields, a.WhoAmI, a.TokenLife = meta.InstagramHost, accountFields, "user_id,username", tokenLife
	default:
		return a, &platform.FieldError{Field: "instagram.login", Message: "must be FacebookLogin or InstagramLogin"}
	}
	return a, nil
}

// capabilities: a text has 1000 bytes of UTF-8, that of a template 640; Instagram
// tells what was read and not what was delivered.
func capabilities() platform.Capabilities {
	c := meta.Capabilities()
	c.Text = platform.TextLimit{Max: 1000, Unit: platform.UnitBytes}
	c.ButtonText = platform.TextLimit{Max: 640, Unit: platform.UnitBytes}
	c.React = true
	c.Receipts = []message.Status{message.StatusRead}
	c.Secrets = meta.Secrets(KeyAccessToken, "the linked page's access token (FacebookLogin) or the account's (InstagramLogin)")
	return c
}
