package routing

import (
	"fmt"
	"strconv"
)

// Language is what a contact speaks, and how that is known.
type Language struct {
	Code   string         `json:"code,omitempty"` // BCP 47
	Source LanguageSource `json:"source,omitempty"`
}

// LanguageSource is where a language was learnt.
type LanguageSource string

const (
	LanguageSet     LanguageSource = "set"     // an agent, a bot or a webhook said so
	LanguageContact LanguageSource = "contact" // from the contact's profile on the platform
	LanguageChannel LanguageSource = "channel" // the channel's default
)

// ChooseLanguage is what somebody said about this contact, else the language of the
// contact's profile, else the channel's: who spoke with them knows best, and a
// profile is the language of an app, often but not always of its user.
func ChooseLanguage(set, contact, channel string) Language {
	switch {
	case set != "":
		return Language{set, LanguageSet}
	case contact != "":
		return Language{contact, LanguageContact}
	case channel != "":
		return Language{channel, LanguageChannel}
	}
	return Language{}
}

// reason is the language as explanations tell it, with how it is known.
func (l Language) reason() string {
	switch l.Source {
	case LanguageContact:
		return fmt.Sprintf("%q (the contact's profile)", l.Code)
	case LanguageChannel:
		return fmt.Sprintf("%q (the channel's default)", l.Code)
	}
	return strconv.Quote(l.Code)
}

// LanguageMatches reports whether a language range covers a tag, as RFC 4647
// (3.3.1, basic filtering) has it: "fr" covers "fr-CA", "zh-Hant" covers
// "zh-Hant-TW" but not "zh". Case does not count, and _ is taken for -.
func LanguageMatches(languageRange, tag string) bool {
	if len(languageRange) == 0 || len(tag) < len(languageRange) {
		return false
	}
	for i := range len(languageRange) {
		if foldTag(languageRange[i]) != foldTag(tag[i]) {
			return false
		}
	}
	return len(tag) == len(languageRange) || foldTag(tag[len(languageRange)]) == '-'
}

func foldTag(b byte) byte {
	switch {
	case 'A' <= b && b <= 'Z':
		return b + 'a' - 'A'
	case b == '_':
		return '-'
	}
	return b
}

// ChooseText is the key of the text for a language: the longest key that covers
// it, else the default language's, else "" and false.
func ChooseText(texts map[string]string, language, defaultLanguage string) (string, bool) {
	best, found := "", false
	for key := range texts {
		// Two keys that cover one tag differ in length, unless only in case: then
		// the first in the alphabet.
		if LanguageMatches(key, language) && (!found || len(key) > len(best) || len(key) == len(best) && key < best) {
			best, found = key, true
		}
	}
	if found {
		return best, true
	}
	if _, ok := texts[defaultLanguage]; ok {
		return defaultLanguage, true
	}
	if len(texts) == 1 {
		for key := range texts {
			return key, true
		}
	}
	return "", false
}

// MaxLanguageBytes bounds a language tag (RFC 5646, 4.4.1).
const MaxLanguageBytes = 35

// ValidLanguage reports whether a tag has the shape of BCP 47: subtags of 1 to 8 letters and
// digits, the first of 2 to 8 letters.
func ValidLanguage(tag string) bool {
	length, first := 0, true
	for i := 0; i <= len(tag); i++ {
		if i == len(tag) || tag[i] == '-' {
			if length == 0 || length > 8 || first && length < 2 {
				return false
			}
			length, first = 0, false
			continue
		}
		b := foldTag(tag[i])
		if letter := 'a' <= b && b <= 'z'; !letter && (first || b < '0' || b > '9') {
			return false
		}
		length++
	}
	return true
}
