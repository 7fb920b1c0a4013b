package survey

import "strings"

// For is the offered language in which a contact of a language is asked: the
// same tag, one that the tag begins with (en for en-GB), one of the same
// language (pt-BR for pt), or the fallback. False: there is none, the contact
// is not asked.
func (l Languages) For(language string) (string, bool) {
	for tag := language; tag != ""; tag = parentTag(tag) {
		for _, offered := range l.Offered {
			if strings.EqualFold(offered, tag) {
				return offered, true
			}
		}
	}
	for _, offered := range l.Offered {
		if language != "" && strings.EqualFold(primaryTag(offered), primaryTag(language)) {
			return offered, true
		}
	}
	return l.Fallback, l.Fallback != ""
}

// parentTag cuts the last subtag off: zh-Hant-TW, zh-Hant, zh, nothing.
func parentTag(tag string) string {
	i := strings.LastIndexAny(tag, "-_")
	return tag[:max(i, 0)]
}

// primaryTag is the language of a tag.
func primaryTag(tag string) string {
	if i := strings.IndexAny(tag, "-_"); i >= 0 {
		return tag[:i]
	}
	return tag
}
