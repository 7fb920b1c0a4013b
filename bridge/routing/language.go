package routing

// Language is what a contact speaks, and how that is known.
type Language struct {
	Code   string         `json:"code,omitempty"` // BCP 47
	Source LanguageSource `json:"source,omitempty"`
}

// LanguageSource is where a language was learnt.
type LanguageSource string

const (
	LanguageDetected LanguageSource = "detected" // from what the contact writes
	LanguageContact  LanguageSource = "contact"  // from the contact's profile
	LanguageChannel  LanguageSource = "channel"  // the channel's default
)

// Detection is what a detector says of a text.
type Detection struct {
	Code       string
	Confidence int // percent
	Characters int // that were looked at
}

// What a detection must have to count: a shorter text ("10", "ok") or a less
// certain one tells nothing.
const (
	MinDetectionCharacters = 20
	MinDetectionConfidence = 80
)

// ChooseLanguage is the detected language if it is sure, else that of the
// contact's profile, else the channel's. The caller keeps a detected language:
// the next short message does not undo it.
func ChooseLanguage(detected Detection, contact, channel string) Language {
	switch {
	case detected.Code != "" && detected.Characters >= MinDetectionCharacters && detected.Confidence >= MinDetectionConfidence:
		return Language{detected.Code, LanguageDetected}
	case contact != "":
		return Language{contact, LanguageContact}
	case channel != "":
		return Language{channel, LanguageChannel}
	}
	return Language{}
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
