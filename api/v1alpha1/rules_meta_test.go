package v1alpha1_test

import (
	"fmt"
	"strings"
)

const (
	unionMessenger   = "spec.messenger is required when platform is messenger, and forbidden otherwise"
	unionInstagram   = "spec.instagram is required when platform is instagram, and forbidden otherwise"
	samePage         = "messenger.pageID is immutable: make a new Channel for another account"
	sameMessengerApp = "messenger.appID is immutable: delete the Channel and make it again with the same name; its conversations stay"
	sameInstagram    = "instagram.accountID is immutable: make a new Channel for another account"
	sameInstagramApp = "instagram.appID is immutable: delete the Channel and make it again with the same name; its conversations stay"
	pageOfLogin      = "pageID is required when login is FacebookLogin, and forbidden otherwise"
	menuNeedsButton  = "persistentMenu needs getStarted with a payload: Messenger shows no menu without the button"
	itemOfType       = "an item of type Postback has a payload, one of type WebURL a url, and neither has the other"
	menuURL          = "url must be like https://shop.example.com"
	domainURL        = "must be like https://shop.example.com"
)

func defaultLocale(list string) string {
	return list + " needs an element with locale default: it is for everybody whose language is not listed"
}

// messenger is a Channel on Messenger, as the rows of its block need it.
var messenger = fields{
	"spec.platform": "messenger", "spec.telegram": nil,
	"spec.messenger": fields{"pageID": "1234567890", "appID": "987654321"},
}

var instagram = fields{
	"spec.platform": "instagram", "spec.telegram": nil,
	"spec.instagram": fields{"accountID": "17841400000000000", "appID": "987654321", "login": "InstagramLogin"},
}

// but is a copy of what stands in with, with some fields more.
func but(with, changed fields) fields {
	all := fields{}
	for k, v := range with {
		all[k] = v
	}
	for k, v := range changed {
		all[k] = v
	}
	return all
}

// numberRules are those of a platform's number.
func numberRules(with fields, block, field string) []rule {
	path := block + "." + field
	return []rule{
		{covers: path + " pattern", field: path, with: with, bad: "0", good: "10", want: pattern},
		{covers: path + " pattern", field: path, with: with, bad: "my_shop", good: "1", want: pattern},
		{covers: path + " maxLength", field: path, with: with, bad: strings.Repeat("1", 21), good: strings.Repeat("1", 20), want: "Too long"},
	}
}

func versionRules(with fields, block string) []rule {
	path := block + ".graphVersion"
	return []rule{
		{covers: path + " pattern", field: path, with: with, bad: "25.0", good: "v25.0", want: pattern},
		{covers: path + " maxLength", field: path, with: with, bad: "v1000.0", good: "v100.0", want: "Too long"},
	}
}

// element is a usable element of a list with some fields replaced; nil removes one.
func element(base, changed fields) fields {
	e := but(base, changed)
	for k, v := range e {
		if v == nil {
			delete(e, k)
		}
	}
	return e
}

var (
	greetingElement = fields{"locale": "default", "text": "Hello"}
	breakerElement  = fields{"locale": "default", "questions": list{fields{"question": "Where?", "payload": "WHERE"}}}
	menuElement     = fields{"locale": "default", "items": list{fields{"type": "Postback", "title": "Track", "payload": "TRACK"}}}
)

// locales are n elements, the first one of locale default.
func locales(base fields, n int) list {
	l := list{base}
	for i := 1; i < n; i++ {
		l = append(l, element(base, fields{"locale": fmt.Sprintf("%c%c_DE", 'a'+i/26, 'a'+i%26)}))
	}
	return l
}

// localeRules are those of a list with an element per language.
func localeRules(with fields, field, name string, base fields) []rule {
	row := func(constraint string, bad, good list, want string) rule {
		return rule{covers: field + constraint, field: field, with: with, bad: bad, good: good, want: want}
	}
	other := element(base, fields{"locale": "de_DE"})
	return []rule{
		row(" maxItems", locales(base, 33), locales(base, 32), tooMany),
		row(" list", list{base, base}, list{}, duplicate),
		row(" rule: "+defaultLocale(name), list{other}, list{other, base}, defaultLocale(name)),
		row("[] required locale", list{element(base, fields{"locale": nil})}, nil, required),
		row("[].locale pattern", list{base, element(base, fields{"locale": "german"})}, locales(base, 2), pattern),
		row("[].locale maxLength", list{base, element(base, fields{"locale": "defaults"})}, nil, "Too long"),
	}
}

func breakerRules(with fields, profile string) []rule {
	field := profile + ".iceBreakers"
	questions := func(l list) list { return list{element(breakerElement, fields{"questions": l})} }
	question := func(changed fields) list {
		return questions(list{element(fields{"question": "Where?", "payload": "WHERE"}, changed)})
	}
	row := func(constraint string, bad, good list, want string) rule {
		return rule{covers: field + "[]" + constraint, field: field, with: with, bad: bad, good: good, want: want}
	}
	asked := func(int) any { return fields{"question": "Where?", "payload": "WHERE"} }
	return append(localeRules(with, field, "iceBreakers", breakerElement),
		row(" required questions", list{element(breakerElement, fields{"questions": nil})}, nil, required),
		row(".questions minItems", questions(list{}), nil, tooFew),
		row(".questions maxItems", questions(many(5, asked)), questions(many(4, asked)), tooMany),
		row(".questions[] required question", question(fields{"question": nil}), nil, required),
		row(".questions[] required payload", question(fields{"payload": nil}), nil, required),
		row(".questions[].question minLength", question(fields{"question": ""}), nil, tooShort),
		row(".questions[].question maxLength", question(fields{"question": letters(81)}), question(fields{"question": letters(80)}), "Too long"),
		row(".questions[].payload minLength", question(fields{"payload": ""}), nil, tooShort),
		row(".questions[].payload maxLength", question(fields{"payload": letters(1001)}), question(fields{"payload": letters(1000)}), "Too long"),
	)
}

func menuRules(with fields, profile string) []rule {
	field := profile + ".persistentMenu"
	items := func(l list) list { return list{element(menuElement, fields{"items": l})} }
	item := func(changed fields) list {
		return items(list{element(fields{"type": "Postback", "title": "Track", "payload": "TRACK"}, changed)})
	}
	link := func(url any) list { return item(fields{"type": "WebURL", "payload": nil, "url": url}) }
	row := func(constraint string, bad, good list, want string) rule {
		return rule{covers: field + "[]" + constraint, field: field, with: with, bad: bad, good: good, want: want}
	}
	listed := func(int) any { return fields{"type": "Postback", "title": "Track", "payload": "TRACK"} }
	return append(localeRules(with, field, "persistentMenu", menuElement),
		row(" required items", list{element(menuElement, fields{"items": nil})}, nil, required),
		row(".items minItems", items(list{}), nil, tooFew),
		row(".items maxItems", items(many(21, listed)), items(many(20, listed)), tooMany),
		row(".items[] required type", item(fields{"type": nil}), nil, required),
		row(".items[] required title", item(fields{"title": nil}), nil, required),
		row(".items[].type enum", item(fields{"type": "Nested"}), nil, enum),
		row(".items[].title minLength", item(fields{"title": ""}), nil, tooShort),
		row(".items[].title maxLength", item(fields{"title": letters(31)}), item(fields{"title": letters(30)}), "Too long"),
		row(".items[].payload minLength", item(fields{"payload": ""}), nil, tooShort),
		row(".items[].payload maxLength", item(fields{"payload": letters(1001)}), item(fields{"payload": letters(1000)}), "Too long"),
		row(".items[].url maxLength", link("https://a.example/"+letters(1007)), link("https://a.example/"+letters(1006)), "Too long"),
		row(".items[].url rule: "+menuURL, link("shop.example.com"), link("https://shop.example.com/track"), menuURL),
		row(".items[] rule: "+itemOfType, item(fields{"payload": nil}), link("https://shop.example.com"), itemOfType),
		row(".items[] rule: "+itemOfType, item(fields{"url": "https://shop.example.com"}), item(nil), itemOfType),
		row(".items[] rule: "+itemOfType, link(nil), nil, itemOfType),
	)
}

const messengerProfile = "spec.messenger.profile"

// withButton is what a menu on Messenger needs.
var withButton = but(messenger, fields{"spec.messenger": fields{
	"pageID": "1234567890", "appID": "987654321", "profile": fields{"getStarted": fields{"payload": "START"}},
}})

func domain(i int) any { return fmt.Sprintf("https://s%d.example.com", i) }

var messengerRules = concat(
	numberRules(messenger, "spec.messenger", "pageID"), numberRules(messenger, "spec.messenger", "appID"), versionRules(messenger, "spec.messenger"),
	localeRules(messenger, messengerProfile+".greeting", "greeting", greetingElement),
	breakerRules(messenger, messengerProfile), menuRules(withButton, messengerProfile),
	[]rule{
		{covers: "spec rule: " + samePlatform, field: "spec", old: fields{"platform": "telegram", "telegram": fields{"botID": "1"}, "credentials": fields{"secretRef": fields{"name": "a"}}},
			bad:  fields{"platform": "messenger", "messenger": fields{"pageID": "1", "appID": "2"}, "credentials": fields{"secretRef": fields{"name": "a"}}},
			good: fields{"platform": "telegram", "telegram": fields{"botID": "1"}, "credentials": fields{"secretRef": fields{"name": "b"}}}, want: samePlatform},
		{covers: "spec rule: " + unionMessenger, field: "spec.messenger", with: messenger, bad: nil, good: fields{"pageID": "1", "appID": "2"}, want: unionMessenger},
		{covers: "spec rule: " + unionMessenger, field: "spec.messenger", bad: fields{"pageID": "1", "appID": "2"}, want: unionMessenger},
		{covers: "spec rule: " + samePage, field: "spec.messenger.pageID", with: messenger, old: "1", bad: "2", good: "1", want: samePage},
		{covers: "spec rule: " + sameMessengerApp, field: "spec.messenger.appID", with: messenger, old: "1", bad: "2", good: "1", want: sameMessengerApp},
		{covers: "spec.messenger required pageID", field: "spec.messenger", with: messenger, bad: fields{"appID": "1"}, want: "pageID: " + required},
		{covers: "spec.messenger required appID", field: "spec.messenger", with: messenger, bad: fields{"pageID": "1"}, want: "appID: " + required},
		{covers: messengerProfile + " rule: " + menuNeedsButton, field: messengerProfile, with: messenger,
			bad: fields{"persistentMenu": list{menuElement}}, good: fields{"persistentMenu": list{menuElement}, "getStarted": fields{"payload": "START"}}, want: menuNeedsButton},
		{covers: messengerProfile + " rule: " + menuNeedsButton, field: messengerProfile, with: messenger,
			bad: fields{"persistentMenu": list{menuElement}, "getStarted": fields{}}, good: fields{"persistentMenu": list{}, "getStarted": fields{}}, want: menuNeedsButton},
		{covers: messengerProfile + ".greeting[] required text", field: messengerProfile + ".greeting", with: messenger, bad: list{fields{"locale": "default"}}, want: required},
		{covers: messengerProfile + ".greeting[].text minLength", field: messengerProfile + ".greeting", with: messenger, bad: list{fields{"locale": "default", "text": ""}}, want: tooShort},
		{covers: messengerProfile + ".greeting[].text maxLength", field: messengerProfile + ".greeting", with: messenger,
			bad: list{fields{"locale": "default", "text": letters(161)}}, good: list{fields{"locale": "default", "text": letters(160)}}, want: "Too long"},
		{covers: messengerProfile + ".getStarted.payload minLength", field: messengerProfile + ".getStarted", with: messenger, bad: fields{"payload": ""}, good: fields{}, want: tooShort},
		{covers: messengerProfile + ".getStarted.payload maxLength", field: messengerProfile + ".getStarted", with: messenger,
			bad: fields{"payload": letters(1001)}, good: fields{"payload": letters(1000)}, want: "Too long"},
		{covers: messengerProfile + ".whitelistedDomains maxItems", field: messengerProfile + ".whitelistedDomains", with: messenger, bad: many(51, domain), good: many(50, domain), want: tooMany},
		{covers: messengerProfile + ".whitelistedDomains list", field: messengerProfile + ".whitelistedDomains", with: messenger, bad: list{domain(1), domain(1)}, good: list{}, want: duplicate},
		{covers: messengerProfile + ".whitelistedDomains[] maxLength", field: messengerProfile + ".whitelistedDomains", with: messenger,
			bad: list{"https://a.example/" + letters(1007)}, good: list{"https://a.example/" + letters(1006)}, want: "Too long"},
		{covers: messengerProfile + ".whitelistedDomains[] rule: " + domainURL, field: messengerProfile + ".whitelistedDomains", with: messenger,
			bad: list{"http://shop.example.com"}, good: list{"https://shop.example.com"}, want: domainURL},
	})

var instagramRules = concat(
	numberRules(instagram, "spec.instagram", "accountID"), numberRules(instagram, "spec.instagram", "appID"), versionRules(instagram, "spec.instagram"),
	numberRules(but(instagram, fields{"spec.instagram": fields{"accountID": "1", "appID": "2", "login": "FacebookLogin", "pageID": "3"}}), "spec.instagram", "pageID"),
	breakerRules(instagram, "spec.instagram.profile"), menuRules(instagram, "spec.instagram.profile"),
	[]rule{
		{covers: "spec rule: " + unionInstagram, field: "spec.instagram", with: instagram, bad: nil, good: fields{"accountID": "1", "appID": "2", "login": "InstagramLogin"}, want: unionInstagram},
		{covers: "spec rule: " + sameInstagram, field: "spec.instagram.accountID", with: instagram, old: "1", bad: "2", good: "1", want: sameInstagram},
		{covers: "spec rule: " + sameInstagramApp, field: "spec.instagram.appID", with: instagram, old: "1", bad: "2", good: "1", want: sameInstagramApp},
		{covers: "spec.instagram required accountID", field: "spec.instagram.accountID", with: instagram, bad: nil, good: "1", want: "accountID: " + required},
		{covers: "spec.instagram required appID", field: "spec.instagram.appID", with: instagram, bad: nil, good: "1", want: "appID: " + required},
		{covers: "spec.instagram required login", field: "spec.instagram.login", with: instagram, bad: nil, good: "InstagramLogin", want: "login: " + required},
		{covers: "spec.instagram.login enum", field: "spec.instagram.login", with: instagram, bad: "AppleLogin", good: "InstagramLogin", want: enum},
		{covers: "spec.instagram rule: " + pageOfLogin, field: "spec.instagram.login", with: instagram, bad: "FacebookLogin", good: "InstagramLogin", want: pageOfLogin},
		{covers: "spec.instagram rule: " + pageOfLogin, field: "spec.instagram.pageID", with: instagram, bad: "3", want: pageOfLogin},
	})
