package bot

// Bounds of a Spec, and defaults.
const (
	MaxMenus        = 64
	MaxOptions      = 13 // of a menu: the fewest quick replies that a platform shows (Messenger)
	MaxAnswers      = 256
	MaxKeywords     = 64 // of one language
	MaxPatternBytes = 256
	MaxTitleBytes   = 80
	// DefaultMaxTurns: who has written twelve times to a menu wants a person.
	DefaultMaxTurns = 12
	// DefaultMaxMisses: the first miss may be a slip, with the second the bot is the problem.
	DefaultMaxMisses = 2
)

// Texts are the same text in several languages, by BCP 47 tag.
type Texts map[string]string

// Words are keywords by BCP 47 tag. The tag tells people apart, not machines: a
// keyword counts in whatever language the contact writes.
type Words map[string][]string

// Spec is a built-in bot. Its JSON is what a Bot entry of the store document carries.
type Spec struct {
	Name string `json:"name"` // "namespace/name"
	// DefaultLanguage is the language that every text has. Required.
	DefaultLanguage string `json:"defaultLanguage"`
	// Greeting is said once, at the beginning.
	Greeting Texts `json:"greeting,omitempty"`
	// Menus to choose from; the first is shown at the beginning.
	Menus []Menu `json:"menus,omitempty"`
	// Answers to what contacts write, tried in order.
	Answers []Answer `json:"answers,omitempty"`
	// Fallback is said to what is not understood. Required.
	Fallback Texts    `json:"fallback"`
	Handover Handover `json:"handover"`
}

// Menu is a question with options, shown as quick replies.
type Menu struct {
	Name    string   `json:"name"` // a DNS label, unique
	Text    Texts    `json:"text"`
	Options []Option `json:"options"`
}

// Option is one choice of a menu.
type Option struct {
	Name  string `json:"name"` // a DNS label, unique in the menu
	Title Texts  `json:"title"`
	// Keywords choose it as well, while its menu is shown.
	Keywords Words  `json:"keywords,omitempty"`
	Then     Action `json:"then"`
}

// Answer is what is said to a keyword or a pattern, whatever menu is shown.
type Answer struct {
	Name     string `json:"name"` // a DNS label, unique
	Keywords Words  `json:"keywords,omitempty"`
	// Pattern is a regular expression of Go (RE2): its time is linear in the text.
	Pattern string `json:"pattern,omitempty"`
	Then    Action `json:"then"`
}

// Action is what follows a choice or an answer: a text, then a menu, or a person.
type Action struct {
	Text Texts `json:"text,omitempty"`
	// Menu to show next. Empty: the one that is shown stays.
	Menu string `json:"menu,omitempty"`
	// Handover gives the conversation to a person, after Text if there is one, else
	// after the handover's own.
	Handover bool `json:"handover,omitempty"`
	// Topics are given to the conversation, for routing rules.
	Topics []string `json:"topics,omitempty"`
}

// Handover is when the bot gives a conversation up. Every bot does.
type Handover struct {
	// Keywords that ask for a person.
	Keywords Words `json:"keywords"`
	// Text is said then; empty: nothing.
	Text Texts `json:"text,omitempty"`
	// MaxTurns is how many inputs the bot answers. Zero: DefaultMaxTurns.
	MaxTurns int `json:"maxTurns,omitempty"`
	// MaxMisses is how many inputs in a row, not understood, hand over: with 1 the first
	// does. Zero: DefaultMaxMisses.
	MaxMisses int `json:"maxMisses,omitempty"`
}

// Reason is why a conversation is handed over.
type Reason string

const (
	ReasonRequested     Reason = "Requested"     // an option or an answer says so
	ReasonKeyword       Reason = "Keyword"       // the contact asks for a person
	ReasonNotUnderstood Reason = "NotUnderstood" // MaxMisses
	ReasonMaxTurns      Reason = "MaxTurns"
	ReasonFailure       Reason = "Failure" // an external bot did not answer
)
