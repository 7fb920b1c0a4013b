package survey

// Classes of a Reading.
const (
	// ClassScore: the text is a score and nothing else.
	ClassScore = "Score"
	// ClassScoreWithComment: a score, a separator, and words about an experience.
	ClassScoreWithComment = "ScoreWithComment"
	// ClassOptOut: the text asks, as a whole, not to be asked again.
	ClassOptOut = "OptOut"
	// ClassAmbiguous: meant as an answer, but it names no single score of the
	// scale: "7 or 8", "7.5", "15", "👍"; one that is taken back ("9, not really");
	// or a number and words that may be about it or not ("5, Oak", "9, best price").
	// Worth one question back. Whatever has other content is NonScore.
	ClassAmbiguous = "Ambiguous"
	// ClassNonScore: anything else. It goes where a message goes without a
	// survey, and the survey stays open.
	ClassNonScore = "NonScore"
)

// Scale is the range of scores, both ends included: 0 to 10 for NPS, 1 to 5 or
// 1 to 7 for CSAT, 1 to 7 for CES.
type Scale struct {
	Min int `json:"min"`
	Max int `json:"max"`
}

// Contains says whether a score is on the scale.
func (s Scale) Contains(score int) bool { return score >= s.Min && score <= s.Max }

// Len is how many scores there are.
func (s Scale) Len() int { return s.Max - s.Min + 1 }

// Reading is what a reply means. Score is within the scale for Score and
// ScoreWithComment and 0 for all others. Comment is part of the text as it was sent.
type Reading struct {
	Class   string `json:"class"`
	Score   int    `json:"score"`
	Comment string `json:"comment,omitempty"`
}

// IsScore says that the reply has a score.
func (r Reading) IsScore() bool { return r.Class == ClassScore || r.Class == ClassScoreWithComment }

// maxReply is the longest text, in bytes, in which a score is looked for: 4096
// UTF-16 units, the longest message of any chat platform, are at most three
// bytes each. What is longer is for people.
const maxReply = 3 * 4096

// ReadScore reads a reply to a question about a score. language (BCP 47) is that
// of the question: it decides which number words and units are known, and an
// unknown or empty one is read as English. Digits are read in every script.
//
// A score is taken only if the text says it and nothing against it: the whole
// text is the number, or the number "of" the highest one, or a number word, or
// (on scales from 1) so many stars, with a polite end or without; with a comment
// only behind a separator (or praise right behind "9/10"), only without another
// number in it, and only if its words are about an experience (see reader.comment):
// "9, great service" and "0, my package is lost" are, "9, Uhr" and "2, please" are
// not. Times, prices, order numbers, dates, quantities, decimals, ranges,
// percentages and negative numbers never are scores. What may honestly be either is
// asked back about: a wrong score is worse than a question back, and refusing
// complaints because they name goods or times would lose the low scores.
//
// It is pure, safe for concurrent use, and takes time linear in a text of at
// most maxReply bytes.
func ReadScore(text, language string, scale Scale) Reading {
	if len(text) > maxReply || scale.Min < 0 || scale.Max < scale.Min {
		return Reading{Class: ClassNonScore}
	}
	r := reader{text: text, language: baseLanguage(language), scale: scale, tokens: tokenise(text)}
	if r.optOut() {
		return Reading{Class: ClassOptOut}
	}
	all := r.tokens
	r.trim()
	r.afterHighest()
	if reading, ok := r.stars(); ok {
		return reading
	}
	if reading, ok := r.score(); ok {
		return reading
	}
	r.tokens = all
	if r.hesitates() {
		return Reading{Class: ClassAmbiguous}
	}
	return Reading{Class: ClassNonScore}
}
