package telegram

import (
	"context"
	"slices"
	"strings"

	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
)

// SyncProfile implements platform.Profiler. Each field stands for itself: one
// that cannot be set (names may be changed a few times a day only) does not
// hold back the others. The first error is returned after all were tried.
func (p *Platform) SyncProfile(ctx context.Context, ch platform.Channel) (changed []string, err error) {
	c := self(ch)
	if c.config.Profile == nil {
		return nil, nil
	}
	var errs []error
	for _, f := range profileFields(*c.config.Profile) {
		repaired, err := f.sync(ctx, c)
		if repaired {
			changed = append(changed, f.name)
		}
		if err != nil {
			errs = append(errs, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	if len(errs) > 0 {
		return changed, errs[0]
	}
	return changed, nil
}

// profileField is one text, or the menu, in one language.
type profileField struct {
	name string // "description", "localized.de.commands"
	sync func(ctx context.Context, c *channel) (repaired bool, err error)
}

func profileFields(profile Profile) []profileField {
	fields := profile.Texts.fields("", "")
	for _, l := range profile.Localized {
		fields = append(fields, l.Texts.fields("localized."+l.LanguageCode+".", l.LanguageCode)...)
	}
	return fields
}

func (t Texts) fields(prefix, language string) []profileField {
	var fields []profileField
	text := func(name, suffix, key string, want *string) {
		if want != nil {
			fields = append(fields, profileField{name: prefix + name, sync: func(ctx context.Context, c *channel) (bool, error) {
				return c.syncText(ctx, suffix, key, language, *want)
			}})
		}
	}
	if t.Commands != nil {
		fields = append(fields, profileField{name: prefix + "commands", sync: func(ctx context.Context, c *channel) (bool, error) {
			return c.syncCommands(ctx, language, t.Commands)
		}})
	}
	text("description", "Description", "description", t.Description)
	text("shortDescription", "ShortDescription", "short_description", t.ShortDescription)
	text("name", "Name", "name", t.Name)
	return fields
}

// syncText compares with getMy… and repairs with setMy…. Telegram trims texts,
// so white space at the ends is no difference.
func (c *channel) syncText(ctx context.Context, suffix, key, language, want string) (bool, error) {
	var stands map[string]string
	if err := c.call(ctx, "getMy"+suffix, inLanguage(language), &stands); err != nil {
		return false, err
	}
	if strings.TrimSpace(stands[key]) == strings.TrimSpace(want) {
		return false, nil
	}
	if language != "" && want == "" {
		// Removed, and what shows is everybody's? Whether getMy… falls back to it
		// is not documented; without this look it would be removed each time.
		var everybody map[string]string
		if err := c.call(ctx, "getMy"+suffix, inLanguage(""), &everybody); err != nil || everybody[key] == stands[key] {
			return false, err
		}
	}
	fields := inLanguage(language)
	fields[key] = want
	err := c.call(ctx, "setMy"+suffix, fields, nil)
	return err == nil, err
}

func (c *channel) syncCommands(ctx context.Context, language string, want []Command) (bool, error) {
	var stands []Command
	if err := c.call(ctx, "getMyCommands", inLanguage(language), &stands); err != nil {
		return false, err
	}
	same := slices.EqualFunc(stands, want, func(a, b Command) bool {
		return a.Command == b.Command && strings.TrimSpace(a.Description) == strings.TrimSpace(b.Description)
	})
	if same {
		return false, nil
	}
	if len(want) == 0 {
		err := c.call(ctx, "deleteMyCommands", inLanguage(language), nil)
		return err == nil, err
	}
	fields := inLanguage(language)
	fields["commands"] = want
	err := c.call(ctx, "setMyCommands", fields, nil)
	return err == nil, err
}

func inLanguage(language string) params {
	if language == "" {
		return params{}
	}
	return params{"language_code": language}
}
