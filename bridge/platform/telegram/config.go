package telegram

import (
	"fmt"
	"regexp"

	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
)

// Config is the telegram block of a Channel, as it stands in the document.
type Config struct {
	BotID          string   `json:"botID"`
	MaxConnections int      `json:"maxConnections,omitempty"` // 0: Telegram's default
	Profile        *Profile `json:"profile,omitempty"`
}

// Profile is what people see of a bot. What is nil is left alone.
type Profile struct {
	Texts
	Localized []LocalizedTexts `json:"localized,omitempty"`
}

// LocalizedTexts are the texts for people with one language.
type LocalizedTexts struct {
	LanguageCode string `json:"languageCode"`
	Texts
}

// Texts of a bot. An empty text or list removes what stands.
type Texts struct {
	Name             *string   `json:"name,omitempty"`
	Description      *string   `json:"description,omitempty"`
	ShortDescription *string   `json:"shortDescription,omitempty"`
	Commands         []Command `json:"commands,omitempty"`
}

// Command is one entry of a bot's menu.
type Command struct {
	Command     string `json:"command"`
	Description string `json:"description"`
}

var (
	commandForm  = regexp.MustCompile(`^[a-z0-9_]{1,32}$`)
	languageForm = regexp.MustCompile(`^[a-z]{2}$`)
)

// check repeats the schema's rules that Telegram would answer with an error
// that names no field: documents are also made from files, without a schema.
func (c Config) check(account string) error {
	if c.BotID != "" && c.BotID != account {
		return &platform.FieldError{Field: "telegram.botID", Message: fmt.Sprintf("is %s, the channel's account is %s", c.BotID, account)}
	}
	if c.MaxConnections < 0 || c.MaxConnections > 100 {
		return &platform.FieldError{Field: "telegram.maxConnections", Message: "must be between 1 and 100"}
	}
	if c.Profile == nil {
		return nil
	}
	if err := c.Profile.Texts.check("telegram.profile"); err != nil {
		return err
	}
	for i, l := range c.Profile.Localized {
		field := fmt.Sprintf("telegram.profile.localized[%d]", i)
		if !languageForm.MatchString(l.LanguageCode) {
			return &platform.FieldError{Field: field + ".languageCode", Message: "must be two letters of ISO 639-1, like de"}
		}
		if err := l.Texts.check(field); err != nil {
			return err
		}
	}
	return nil
}

// Limits of setMyName, setMyDescription, setMyShortDescription, setMyCommands.
const (
	maxName               = 64
	maxDescription        = 512
	maxShortDescription   = 120
	maxCommands           = 100
	maxCommandDescription = 256
)

func (t Texts) check(field string) error {
	for _, text := range []struct {
		name  string
		value *string
		max   int
	}{{"name", t.Name, maxName}, {"description", t.Description, maxDescription}, {"shortDescription", t.ShortDescription, maxShortDescription}} {
		if text.value != nil && platform.UnitRunes.Len(*text.value) > text.max {
			return &platform.FieldError{Field: field + "." + text.name, Message: fmt.Sprintf("has more than %d characters", text.max)}
		}
	}
	if len(t.Commands) > maxCommands {
		return &platform.FieldError{Field: field + ".commands", Message: fmt.Sprintf("has more than %d entries", maxCommands)}
	}
	for i, c := range t.Commands {
		if !commandForm.MatchString(c.Command) {
			return &platform.FieldError{Field: fmt.Sprintf("%s.commands[%d].command", field, i), Message: "must be 1 to 32 of a-z 0-9 _, without the slash"}
		}
		if n := platform.UnitRunes.Len(c.Description); n == 0 || n > maxCommandDescription {
			return &platform.FieldError{Field: fmt.Sprintf("%s.commands[%d].description", field, i), Message: fmt.Sprintf("must have 1 to %d characters", maxCommandDescription)}
		}
	}
	return nil
}
