package meta

import (
	"fmt"
	"slices"

	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
)

// Profile is what people see of an account before they write, as it stands in
// the document. A list that is nil is left alone; an empty one removes what
// stands. Instagram has IceBreakers and PersistentMenu only.
type Profile struct {
	Greeting           []Greeting    `json:"greeting"`
	GetStarted         *GetStarted   `json:"getStarted"`
	IceBreakers        []IceBreakers `json:"iceBreakers"`
	PersistentMenu     []Menu        `json:"persistentMenu"`
	WhitelistedDomains []string      `json:"whitelistedDomains"`
}

// Greeting is the text of an empty thread in one locale.
type Greeting struct {
	Locale string `json:"locale"`
	Text   string `json:"text"`
}

// GetStarted is the button of an empty thread. Without a payload it is removed.
type GetStarted struct {
	Payload string `json:"payload"`
}

// IceBreakers are questions to begin with, in one locale.
type IceBreakers struct {
	Locale    string     `json:"locale"`
	Questions []Question `json:"questions"`
}

// Question is one ice breaker; its payload comes back as a postback.
type Question struct {
	Question string `json:"question"`
	Payload  string `json:"payload"`
}

// Menu is the menu beside the composer, in one locale.
type Menu struct {
	Locale                string     `json:"locale"`
	ComposerInputDisabled bool       `json:"composerInputDisabled"`
	Items                 []MenuItem `json:"items"`
}

// MenuItem is one entry of a Menu.
type MenuItem struct {
	Type    string `json:"type"` // Postback, WebURL
	Title   string `json:"title"`
	Payload string `json:"payload,omitempty"`
	URL     string `json:"url,omitempty"`
}

// Types of a MenuItem.
const (
	MenuPostback = "Postback"
	MenuWebURL   = "WebURL"
)

// defaultLocale is the one that Meta falls back to, and asks for in every list.
const defaultLocale = "default"

// check repeats the schema's rules that Meta would answer with an error that
// names no field.
func (p *Profile) check(field string) error {
	var locales []string
	for _, g := range p.Greeting {
		locales = append(locales, g.Locale)
	}
	if err := checkLocales(field+".greeting", locales); err != nil {
		return err
	}
	locales = nil
	for _, b := range p.IceBreakers {
		locales = append(locales, b.Locale)
	}
	if err := checkLocales(field+".iceBreakers", locales); err != nil {
		return err
	}
	locales = nil
	for i, m := range p.PersistentMenu {
		locales = append(locales, m.Locale)
		for j, item := range m.Items {
			wrong := item.Type != MenuPostback && item.Type != MenuWebURL || item.Type == MenuPostback && item.Payload == "" || item.Type == MenuWebURL && item.URL == ""
			if wrong {
				return &platform.FieldError{Field: fmt.Sprintf("%s.persistentMenu[%d].items[%d]", field, i, j), Message: "must be a Postback with a payload or a WebURL with a url"}
			}
		}
	}
	return checkLocales(field+".persistentMenu", locales)
}

func checkLocales(field string, locales []string) error {
	if len(locales) > 0 && !slices.Contains(locales, defaultLocale) {
		return &platform.FieldError{Field: field, Message: `has no entry for the locale "default", which everybody else sees`}
	}
	unique := slices.Compact(slices.Sorted(slices.Values(locales)))
	if len(unique) != len(locales) {
		return &platform.FieldError{Field: field, Message: "has two entries for one locale"}
	}
	return nil
}
