package meta

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// profileFields are those that an account can have.
var (
	pageProfile   = []string{"get_started", "greeting", "ice_breakers", "persistent_menu", "whitelisted_domains", "account_linking_url"}
	directProfile = []string{"ice_breakers", "persistent_menu"}
)

// messengerProfile is /{account}/messenger_profile.
func (c *call) messengerProfile(a *account) (any, *graphError) {
	known := pageProfile
	if c.text("platform") == "instagram" && a.linked != "" {
		a = c.s.accounts[a.linked]
	}
	if a.Instagram {
		known = directProfile
	}
	delete(c.params, "platform")
	switch c.method {
	case http.MethodGet:
		return c.readProfile(a, known)
	case http.MethodPost:
		return c.writeProfile(a, known)
	case http.MethodDelete:
		return c.deleteProfile(a, known)
	}
	return nil, invalid("Unsupported %s request.", strings.ToLower(c.method))
}

func (c *call) readProfile(a *account, known []string) (any, *graphError) {
	out := map[string]json.RawMessage{}
	for _, f := range listOf(c.text("fields")) {
		if !slices.Contains(known, f) {
			return nil, invalid("Param fields must be one of %v", known)
		}
		if v := a.profile[f]; v != nil {
			out[f] = v
		}
	}
	if len(out) == 0 {
		return map[string]any{"data": []any{}}, nil
	}
	return map[string]any{"data": []any{out}}, nil
}

func (c *call) writeProfile(a *account, known []string) (any, *graphError) {
	next := map[string]json.RawMessage{}
	for f, v := range a.profile {
		next[f] = v
	}
	for f, v := range c.params {
		if f == "appsecret_proof" || f == "access_token" {
			continue
		}
		if !slices.Contains(known, f) {
			return nil, invalid("Param %s is not a field of the profile", f)
		}
		if err := checkProfileField(f, v); err != nil {
			return nil, err
		}
		next[f] = normaliseProfile(f, v)
	}
	if err := consistentProfile(a, next); err != nil {
		return nil, err
	}
	a.profile = next
	return map[string]string{"result": "success"}, nil
}

func (c *call) deleteProfile(a *account, known []string) (any, *graphError) {
	var fields []string
	if json.Unmarshal(c.params["fields"], &fields) != nil || len(fields) == 0 {
		return nil, invalid("Param fields must be a list of fields")
	}
	next := map[string]json.RawMessage{}
	for f, v := range a.profile {
		if !slices.Contains(fields, f) {
			next[f] = v
		}
	}
	for _, f := range fields {
		if !slices.Contains(known, f) {
			return nil, invalid("Param fields must be one of %v", known)
		}
	}
	if err := consistentProfile(a, next); err != nil {
		return nil, err
	}
	a.profile = next
	return map[string]string{"result": "success"}, nil
}

// consistentProfile: a page's menu wants its button.
func consistentProfile(a *account, profile map[string]json.RawMessage) *graphError {
	if !a.Instagram && profile["persistent_menu"] != nil && profile["get_started"] == nil {
		return refuse(100, 2018145, "You must set a Get Started button if you also wish to use persistent menu")
	}
	return nil
}

func checkProfileField(name string, raw json.RawMessage) *graphError {
	switch name {
	case "get_started":
		var v struct {
			Payload string `json:"payload"`
		}
		if json.Unmarshal(raw, &v) != nil || outside(v.Payload, maxPayload) {
			return invalid("Param get_started[payload] must have 1 to %d characters", maxPayload)
		}
		return nil
	case "whitelisted_domains":
		var v []string
		if json.Unmarshal(raw, &v) != nil || len(v) == 0 || len(v) > 50 || slices.ContainsFunc(v, func(d string) bool { return !strings.HasPrefix(d, "https://") }) {
			return invalid("Param whitelisted_domains must be 1 to 50 https URLs")
		}
		return nil
	case "account_linking_url":
		return nil
	}
	return checkLocalized(name, raw)
}

// localized is one entry of a field that has one for each locale.
type localized struct {
	Locale        string `json:"locale"`
	Text          string `json:"text"`
	CallToActions []struct {
		Question string `json:"question"`
		Type     string `json:"type"`
		Title    string `json:"title"`
		Payload  string `json:"payload"`
		URL      string `json:"url"`
	} `json:"call_to_actions"`
}

func checkLocalized(name string, raw json.RawMessage) *graphError {
	var list []localized
	if json.Unmarshal(raw, &list) != nil || len(list) == 0 {
		return invalid("Param %s must be a non-empty list", name)
	}
	if !slices.ContainsFunc(list, func(l localized) bool { return l.Locale == "default" }) {
		return invalid("Param %s must have an entry for the locale default", name)
	}
	for _, l := range list {
		switch name {
		case "greeting":
			if outside(l.Text, 160) {
				return invalid("Param greeting[text] must have 1 to 160 characters")
			}
		case "ice_breakers":
			if n := len(l.CallToActions); n == 0 || n > 4 {
				return invalid("Param ice_breakers[call_to_actions] must have 1 to 4 elements")
			}
		case "persistent_menu":
			if n := len(l.CallToActions); n == 0 || n > 20 {
				return invalid("Param persistent_menu[call_to_actions] must have 1 to 20 elements")
			}
		}
		for _, a := range l.CallToActions {
			question := name == "ice_breakers" && (outside(a.Question, 80) || outside(a.Payload, maxPayload))
			leads := a.Type == "postback" && a.Payload != "" || a.Type == "web_url" && webURL(a.URL)
			item := name == "persistent_menu" && (outside(a.Title, 30) || !leads)
			if question || item {
				return invalid("Param %s[call_to_actions] has an invalid element", name)
			}
		}
	}
	return nil
}

// normaliseProfile answers later as Meta does: domains end with a slash, items
// of a menu say how high their page is.
func normaliseProfile(name string, raw json.RawMessage) json.RawMessage {
	switch name {
	case "whitelisted_domains":
		var v []string
		_ = json.Unmarshal(raw, &v) // it was checked
		for i := range v {
			v[i] = strings.TrimRight(v[i], "/") + "/"
		}
		slices.Reverse(v)
		raw, _ = json.Marshal(v)
	case "persistent_menu":
		var v []map[string]any
		_ = json.Unmarshal(raw, &v)
		for _, menu := range v {
			items, _ := menu["call_to_actions"].([]any)
			for _, item := range items {
				if m, ok := item.(map[string]any); ok && m["type"] == "web_url" {
					m["webview_height_ratio"] = "full"
				}
			}
		}
		raw, _ = json.Marshal(v)
	}
	return raw
}

// Profile is one field of an account's profile; nil: it is not set.
func (s *Server) Profile(accountID, field string) json.RawMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.accounts[accountID]; a != nil {
		return a.profile[field]
	}
	return nil
}

// SetProfile changes a field behind everybody's back; nil removes it.
func (s *Server) SetProfile(accountID, field string, value json.RawMessage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.accounts[accountID]; a != nil {
		if a.profile[field] = value; value == nil {
			delete(a.profile, field)
		}
	}
}
