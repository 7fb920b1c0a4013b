package survey

import (
	"strings"

	"golang.org/x/text/unicode/norm"
)

// politeLines are what may end a score out of politeness, by language, and changes
// nothing: "9です", "9점이요", "9 ครับ". They are compared with the text as it was
// sent, since without its accents Vietnamese "ạ" is the a of "9 a".
var politeLines = map[string]string{
	"ja": "です|でした|ですね|ですよ|だ|でーす|っす|かな",
	"ko": "이요|요|입니다|이에요|예요|이예요|이네요|드려요|드립니다|드릴게요|줄게요",
	"th": "ครับ|คับ|ครับผม|ค่ะ|คะ|ค่า|จ้า|จ้ะ|จ๊ะ|นะคะ|นะครับ|เลย|เลยค่ะ|เลยครับ",
	"vi": "ạ|nha|nhé",
	"zh": "吧|啊|呢|哦|啦|了",
	"hi": "जी", "mr": "जी", "ur": "جی", "bn": "জি",
	"tl": "po",
}

// politeBare are those that may follow a number word in one run of letters without
// a unit between.
var politeBare = map[string]bool{"です": true, "입니다": true, "ครับ": true, "ค่ะ": true, "คะ": true}

// politeEnds are the polite ends of a score by language, alone and behind a unit.
var politeEnds = makePoliteEnds()

func makePoliteEnds() map[string]map[string]bool {
	ends := make(map[string]map[string]bool, len(politeLines))
	for language, line := range politeLines {
		set := map[string]bool{}
		for end := range strings.SplitSeq(line, "|") {
			set[norm.NFC.String(end)] = true
			if !unspaced[language] {
				continue
			}
			for unit := range strings.SplitSeq(unitLines[language], "|") {
				set[norm.NFC.String(unit+end)] = true
			}
		}
		ends[language] = set
	}
	return ends
}

// polite passes over a polite end of a score.
func (r *reader) polite(tokens []token) []token {
	if len(tokens) == 0 || tokens[0].kind != tokenWord {
		return tokens
	}
	t := tokens[0]
	said := norm.NFC.String(strings.ToLower(strings.TrimSpace(r.text[t.start:t.end])))
	if politeEnds[r.language][said] && (t.spaced || unspaced[r.language]) {
		return tokens[1:]
	}
	return tokens
}

// politeRun reads a number word with a polite end in one run: 九分吧, เก้าค่ะ.
func (r *reader) politeRun(t token) (numberWord, bool) {
	said := norm.NFC.String(strings.TrimSpace(r.text[t.start:t.end]))
	for end := range politeEnds[r.language] {
		head, found := strings.CutSuffix(said, end)
		if !found || politeWordEnds[r.language][end] && !politeBare[end] {
			continue
		}
		if w, known := numberWords[r.language][foldString(head)]; known {
			w.weak = w.weak && politeBare[end]
			return w, true
		}
	}
	return numberWord{}, false
}

// politeWordEnds are the polite ends without a unit, by language.
var politeWordEnds = makePoliteWordEnds()

func makePoliteWordEnds() map[string]map[string]bool {
	ends := make(map[string]map[string]bool, len(politeLines))
	for language, line := range politeLines {
		ends[language] = map[string]bool{}
		for end := range strings.SplitSeq(line, "|") {
			ends[language][norm.NFC.String(end)] = true
		}
	}
	return ends
}

// highestFirst are the words between the highest score and the one given in
// languages that say them in this order: "10 üzerinden 9", 10点満点中9点.
var highestFirst = map[string]map[string]bool{
	"tr": wordSet("üzerinden|üstünden"),
	"ja": wordSet("点中|点満点中|点満点で|点満点|段階中"),
	"ko": wordSet("점 만점에|점만점에|점 중|점중|점 중에|점중에"),
}

// afterHighest passes over the highest score where it is said first.
func (r *reader) afterHighest() {
	t := r.tokens
	between := highestFirst[r.language]
	if between == nil || len(t) < 3 || t[0].kind != tokenNumber || t[0].value != r.scale.Max {
		return
	}
	for words := 1; words <= 2 && words+1 < len(t) && t[words].kind == tokenWord; words++ {
		if between[phrase(t[1:words+1])] && t[words+1].kind == tokenNumber {
			r.tokens = t[words+1:]
			return
		}
	}
}
