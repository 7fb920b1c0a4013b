package meta

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// fieldsOf are the fields that an object's webhooks have; others are refused.
var fieldsOf = map[string][]string{
	"page": {
		"feed", "messages", "message_deliveries", "message_echoes", "message_edits", "message_reactions", "message_reads",
		"messaging_account_linking", "messaging_handovers", "messaging_optins", "messaging_policy_enforcement",
		"messaging_postbacks", "messaging_referrals", "standby", "name", "mention",
	},
	"instagram": {
		"comments", "live_comments", "mentions", "messages", "message_echoes", "message_edits", "message_reactions", "messaging_handover",
		"messaging_optins", "messaging_postbacks", "messaging_referral", "messaging_seen", "standby", "story_insights",
	},
}

func listOf(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}

// subscriptions is /{app}/subscriptions.
func (c *call) subscriptions(id string) (any, *graphError) {
	if c.account != nil || c.app.ID != id {
		return nil, refuse(15, 0, "This method must be called with an app access_token.")
	}
	switch c.method {
	case http.MethodGet:
		return c.listSubscriptions(), nil
	case http.MethodDelete:
		return c.deleteSubscription()
	case http.MethodPost:
		return c.subscribe()
	}
	return nil, invalid("Unsupported %s request.", strings.ToLower(c.method))
}

func (c *call) listSubscriptions() any {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	data := []map[string]any{}
	for object, sub := range c.app.subscriptions {
		fields := []map[string]any{}
		for _, f := range sub.Fields {
			fields = append(fields, map[string]any{"name": f, "version": "v25.0"})
		}
		data = append(data, map[string]any{"object": object, "callback_url": sub.CallbackURL, "active": true, "fields": fields})
	}
	return map[string]any{"data": data}
}

func (c *call) deleteSubscription() (any, *graphError) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	object := c.text("object")
	switch {
	case object == "":
		clear(c.app.subscriptions)
	case c.app.subscriptions[object] == nil:
		return nil, invalid("The app has no subscription for the object %s", object)
	default:
		delete(c.app.subscriptions, object)
	}
	c.s.notify()
	return success, nil
}

var success = map[string]bool{"success": true}

// subscribe calls the callback URL back before anything is set.
func (c *call) subscribe() (any, *graphError) {
	object, callback, fields := c.text("object"), c.text("callback_url"), listOf(c.text("fields"))
	known, ok := fieldsOf[object]
	u, err := url.Parse(callback)
	secure := err == nil && (u.Scheme == "https" || c.s.opt.AllowHTTP && u.Scheme == "http")
	switch {
	case !ok:
		return nil, invalid("Param object must be one of {PAGE, INSTAGRAM}")
	case !secure || u.Host == "":
		return nil, invalid("Param callback_url must be a valid https URL")
	case c.text("verify_token") == "":
		return nil, invalid("The parameter verify_token is required")
	case len(fields) == 0:
		return nil, invalid("The parameter fields is required")
	}
	for _, f := range fields {
		if !slices.Contains(known, f) {
			return nil, invalid("Param fields[0] must be one of the object's fields; %s is not", f)
		}
	}
	if err := c.s.challenge(u, c.text("verify_token")); err != nil {
		return nil, refuse(2200, 0, "Callback verification failed with the following errors: %v", err)
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.app.subscriptions[object] = &subscription{CallbackURL: callback, Fields: fields, verifyToken: c.text("verify_token")}
	c.s.notify()
	return success, nil
}

// challenge is the handshake.
func (s *Server) challenge(u *url.URL, verifyToken string) error {
	n, err := rand.Int(rand.Reader, big.NewInt(1<<31))
	if err != nil {
		return err
	}
	q := u.Query()
	q.Set("hub.mode", "subscribe")
	q.Set("hub.challenge", n.String())
	q.Set("hub.verify_token", verifyToken)
	target := *u
	target.RawQuery = q.Encode()
	ctx, cancel := context.WithTimeout(s.done, s.opt.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return err
	}
	resp, err := s.opt.Client.Do(req)
	if err != nil {
		return fmt.Errorf("the URL couldn't be validated: %w", ctxless(err))
	}
	defer func() { _ = resp.Body.Close() }() // reading is done
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<12))
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("HTTP Status Code = %d; HTTP Message = %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	if string(body) != n.String() {
		return fmt.Errorf("the response does not match the challenge")
	}
	return nil
}

// ctxless leaves the URL, which holds the verify token, out of an error.
func ctxless(err error) error {
	var u *url.Error
	for ok := true; ok; {
		if u, ok = err.(*url.Error); ok { //nolint:errorlint // the outermost is meant
			err = u.Err
		}
	}
	return err
}

// subscribedApps is /{account}/subscribed_apps.
func (c *call) subscribedApps(a *account) (any, *graphError) {
	object := "page"
	if a.Instagram {
		object = "instagram"
	}
	switch c.method {
	case http.MethodGet:
		data := []map[string]any{}
		for _, id := range sortedKeys(a.subscribed) {
			data = append(data, map[string]any{"id": id, "name": "app " + id, "subscribed_fields": a.subscribed[id]})
		}
		return map[string]any{"data": data}, nil
	case http.MethodDelete:
		delete(a.subscribed, c.app.ID)
		return success, nil
	case http.MethodPost:
		fields := listOf(c.text("subscribed_fields"))
		if len(fields) == 0 {
			return nil, invalid("The parameter subscribed_fields is required.")
		}
		for _, f := range fields {
			if !slices.Contains(fieldsOf[object], f) {
				return nil, invalid("Param subscribed_fields[0] must be one of the object's fields; %s is not", f)
			}
		}
		if !slices.Contains(c.scopes, "pages_manage_metadata") && !a.Instagram {
			return nil, refuse(200, 0, "To subscribe to the field, one of these permissions is needed: pages_manage_metadata")
		}
		a.subscribed[c.app.ID] = fields
		return success, nil
	}
	return nil, invalid("Unsupported %s request.", strings.ToLower(c.method))
}

// TakeOver points an app's webhook elsewhere, as somebody with the app's
// dashboard would; no handshake is made. An empty url removes it.
func (s *Server) TakeOver(appID, object, callback string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.apps[appID]
	if a == nil || fieldsOf[object] == nil {
		return fmt.Errorf("app %s or object %q: not found", appID, object)
	}
	defer s.notify()
	if callback == "" {
		delete(a.subscriptions, object)
		return nil
	}
	sub := a.subscriptions[object]
	if sub == nil {
		sub = &subscription{Fields: []string{"messages"}}
	}
	a.subscriptions[object] = &subscription{CallbackURL: callback, Fields: sub.Fields}
	return nil
}

// Subscription is what an app is subscribed to, as the control API shows it.
type Subscription struct {
	CallbackURL string   `json:"callbackURL"`
	Fields      []string `json:"fields"`
}

// Subscription of an app for an object; false: there is none.
func (s *Server) Subscription(appID, object string) (Subscription, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.apps[appID]
	if a == nil || a.subscriptions[object] == nil {
		return Subscription{}, false
	}
	sub := a.subscriptions[object]
	return Subscription{sub.CallbackURL, slices.Clone(sub.Fields)}, true
}

// SetSubscribed subscribes an account to fields of an app behind everybody's back.
func (s *Server) SetSubscribed(accountID, appID string, fields ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.accounts[accountID]
	if a == nil {
		return fmt.Errorf("account %s: not found", accountID)
	}
	if a.subscribed[appID] = fields; len(fields) == 0 {
		delete(a.subscribed, appID)
	}
	return nil
}

// Subscribed are the fields that an account is subscribed to for an app.
func (s *Server) Subscribed(accountID, appID string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.accounts[accountID]; a != nil {
		return slices.Clone(a.subscribed[appID])
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
