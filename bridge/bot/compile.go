package bot

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/bridgekeeper/bridgekeeper/bridge/internal/keyword"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

// Bot is a compiled Spec. It is immutable and safe for concurrent use.
type Bot struct {
	spec      Spec
	menus     []menu
	index     map[string]int // of menus
	answers   []answer
	person    Keywords
	maxTurns  int
	maxMisses int
}

type menu struct {
	spec    *Menu
	options []option
}

type option struct {
	spec     *Option
	titles   []keyword.Phrase
	keywords Keywords
}

type answer struct {
	spec     *Answer
	keywords Keywords
	pattern  *regexp.Regexp
}

// Keywords find any of a list of words. The zero value finds nothing. They are
// immutable and safe for concurrent use.
type Keywords struct{ phrases []keyword.Phrase }

// CompileKeywords folds words; those that hold neither letters nor digits are left
// out, and so are found never.
func CompileKeywords(words Words) Keywords {
	var k Keywords
	for _, list := range words {
		for _, word := range list {
			if phrase, ok := keyword.Parse(word); ok {
				k.phrases = append(k.phrases, phrase)
			}
		}
	}
	return k
}

// In reports whether a text has one of the keywords, as whole words, without regard
// to case and punctuation.
func (k Keywords) In(text string) bool {
	return len(k.phrases) > 0 && k.inFolded(keyword.AppendFold(nil, text))
}

func (k Keywords) inFolded(folded []byte) bool {
	return slices.ContainsFunc(k.phrases, func(p keyword.Phrase) bool { return p.In(folded) })
}

// compiler collects what is found in a spec.
type compiler struct {
	bot   *Bot
	found []routing.Finding
}

func (c *compiler) invalid(field, format string, args ...any) {
	c.found = append(c.found, routing.Finding{Field: field, Reason: routing.ReasonInvalid, Effect: routing.EffectRejected, Message: fmt.Sprintf(format, args...)})
}

// Compile checks a spec and makes it a bot. Every finding rejects it, and the bot is
// then nil. The spec must not be changed afterwards.
func Compile(spec Spec) (*Bot, []routing.Finding) {
	c := &compiler{bot: &Bot{spec: spec, index: map[string]int{}, maxTurns: spec.Handover.MaxTurns, maxMisses: spec.Handover.MaxMisses}}
	if c.bot.maxTurns == 0 {
		c.bot.maxTurns = DefaultMaxTurns
	}
	if c.bot.maxMisses == 0 {
		c.bot.maxMisses = DefaultMaxMisses
	}
	if !routing.ValidLanguage(spec.DefaultLanguage) {
		c.invalid("defaultLanguage", "%q is not a language; write a BCP 47 tag like de or pt-BR", spec.DefaultLanguage)
	}
	c.texts("greeting", spec.Greeting, routing.MaxReplyBytes, false)
	c.texts("fallback", spec.Fallback, routing.MaxReplyBytes, true)
	c.handover(spec.Handover)
	c.menus(spec.Menus)
	c.answers(spec.Answers)
	c.targets()
	if len(spec.Menus) == 0 && len(spec.Answers) == 0 {
		c.invalid("menus", "is empty, and so is answers; a bot without both only hands over")
	}
	if len(c.found) > 0 {
		return nil, c.found
	}
	return c.bot, nil
}

func (c *compiler) handover(h Handover) {
	if len(h.Keywords) == 0 {
		c.invalid("handover.keywords", "is empty; write the words by which contacts ask for a person, e.g. en: [agent, human]")
	}
	c.bot.person = c.keywords("handover.keywords", h.Keywords)
	c.texts("handover.text", h.Text, routing.MaxReplyBytes, false)
	if h.MaxTurns < 0 || h.MaxTurns > 1000 {
		c.invalid("handover.maxTurns", "is %d; write 1 to 1000, or leave it out for %d", h.MaxTurns, DefaultMaxTurns)
	}
	if h.MaxMisses < 0 || h.MaxMisses > 100 {
		c.invalid("handover.maxMisses", "is %d; write 1 to 100, or leave it out for %d", h.MaxMisses, DefaultMaxMisses)
	}
}

func (c *compiler) menus(specs []Menu) {
	if len(specs) > MaxMenus {
		c.invalid("menus", "has %d entries, %d is the limit", len(specs), MaxMenus)
		return
	}
	for i := range specs {
		spec := &specs[i]
		field := fmt.Sprintf("menus[%d]", i)
		c.name(field+".name", spec.Name)
		if other, dup := c.bot.index[spec.Name]; dup {
			c.invalid(field+".name", "%q is also menus[%d]", spec.Name, other)
		}
		c.bot.index[spec.Name] = i
		c.texts(field+".text", spec.Text, routing.MaxReplyBytes, true)
		if n := len(spec.Options); n == 0 || n > MaxOptions {
			c.invalid(field+".options", "has %d entries; write 1 to %d", n, MaxOptions)
		}
		m := menu{spec: spec}
		for j := range spec.Options {
			at := fmt.Sprintf("%s.options[%d]", field, j)
			o := &spec.Options[j]
			c.name(at+".name", o.Name)
			if slices.ContainsFunc(spec.Options[:j], func(other Option) bool { return other.Name == o.Name }) {
				c.invalid(at+".name", "%q is there twice", o.Name)
			}
			c.texts(at+".title", o.Title, MaxTitleBytes, true)
			compiled := option{spec: o, keywords: c.keywords(at+".keywords", o.Keywords)}
			for _, title := range o.Title {
				if phrase, ok := keyword.Parse(title); ok {
					compiled.titles = append(compiled.titles, phrase)
				}
			}
			m.options = append(m.options, compiled)
			c.action(at+".then", o.Then)
		}
		c.bot.menus = append(c.bot.menus, m)
	}
}

func (c *compiler) answers(specs []Answer) {
	if len(specs) > MaxAnswers {
		c.invalid("answers", "has %d entries, %d is the limit", len(specs), MaxAnswers)
		return
	}
	seen := map[string]int{}
	for i := range specs {
		spec := &specs[i]
		field := fmt.Sprintf("answers[%d]", i)
		c.name(field+".name", spec.Name)
		if other, dup := seen[spec.Name]; dup {
			c.invalid(field+".name", "%q is also answers[%d]", spec.Name, other)
		}
		seen[spec.Name] = i
		if len(spec.Keywords) == 0 && spec.Pattern == "" {
			c.invalid(field+".keywords", "is empty, and so is pattern; write one of them")
		}
		c.action(field+".then", spec.Then)
		c.bot.answers = append(c.bot.answers, answer{spec, c.keywords(field+".keywords", spec.Keywords), c.pattern(field+".pattern", spec.Pattern)})
	}
}

func (c *compiler) pattern(field, pattern string) *regexp.Regexp {
	if pattern == "" {
		return nil
	}
	if len(pattern) > MaxPatternBytes {
		c.invalid(field, "is %d bytes long, %d is the limit", len(pattern), MaxPatternBytes)
		return nil
	}
	compiled, err := regexp.Compile(pattern)
	if err != nil {
		c.invalid(field, "is not a regular expression: %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
		return nil
	}
	if compiled.MatchString("") {
		c.invalid(field, "matches everything, also an empty text; anchor it, or use fallback")
	}
	return compiled
}

func (c *compiler) action(field string, a Action) {
	c.texts(field+".text", a.Text, routing.MaxReplyBytes, false)
	if len(a.Text) == 0 && a.Menu == "" && !a.Handover {
		c.invalid(field, "is empty; write a text, a menu or handover")
	}
	if a.Menu != "" && a.Handover {
		c.invalid(field+".menu", "follows a handover, after which the bot is silent; remove one of the two")
	}
	if len(a.Topics) > routing.MaxValues {
		c.invalid(field+".topics", "has %d entries, %d is the limit", len(a.Topics), routing.MaxValues)
	}
}

// targets checks that menus which actions name are there.
func (c *compiler) targets() {
	check := func(field, name string) {
		if _, ok := c.bot.index[name]; name != "" && !ok {
			c.invalid(field+".then.menu", "no menu is named %q", name)
		}
	}
	for i, m := range c.bot.menus {
		for j, o := range m.options {
			check(fmt.Sprintf("menus[%d].options[%d]", i, j), o.spec.Then.Menu)
		}
	}
	for i, a := range c.bot.answers {
		check(fmt.Sprintf("answers[%d]", i), a.spec.Then.Menu)
	}
}

func (c *compiler) texts(field string, texts Texts, limit int, required bool) {
	if len(texts) == 0 {
		if required {
			c.invalid(field, "is empty; write it at least in %s", c.bot.spec.DefaultLanguage)
		}
		return
	}
	if _, ok := texts[c.bot.spec.DefaultLanguage]; !ok {
		c.invalid(field, "is not there in defaultLanguage %q, for contacts who speak none of the others", c.bot.spec.DefaultLanguage)
	}
	for language, text := range texts {
		at := fmt.Sprintf("%s[%s]", field, language)
		if !routing.ValidLanguage(language) {
			c.invalid(at, "%q is not a language; write a BCP 47 tag like de or pt-BR", language)
		}
		if strings.TrimSpace(text) == "" || len(text) > limit {
			c.invalid(at, "is %d bytes long; write 1 to %d, not only spaces", len(text), limit)
		}
	}
}

func (c *compiler) keywords(field string, words Words) Keywords {
	for language, list := range words {
		at := fmt.Sprintf("%s[%s]", field, language)
		if !routing.ValidLanguage(language) {
			c.invalid(at, "%q is not a language; write a BCP 47 tag like de or pt-BR", language)
		}
		if n := len(list); n == 0 || n > MaxKeywords {
			c.invalid(at, "has %d entries; write 1 to %d", n, MaxKeywords)
		}
		for i, word := range list {
			if _, ok := keyword.Parse(word); !ok || len(word) > routing.MaxValueBytes {
				c.invalid(fmt.Sprintf("%s[%d]", at, i), "%q is not a keyword; write letters or digits, at most %d bytes", word, routing.MaxValueBytes)
			}
		}
	}
	return CompileKeywords(words)
}

// name checks a DNS label: payloads of buttons and metrics hold it.
func (c *compiler) name(field, name string) {
	if !labelPattern.MatchString(name) {
		c.invalid(field, "%q is not a name; write 1 to 63 lower-case letters, digits and hyphens, neither first nor last a hyphen", name)
	}
}

var labelPattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
