package v1alpha1_test

import "strings"

const (
	unionEmail   = "spec.email is required when platform is email, and forbidden otherwise"
	sameAddress  = "email.address is immutable: make a new Channel for another account"
	oauthOfType  = "oauth2 belongs to type OAuth2"
	noEmailURL   = "email has no base URL: its Channels name their servers in email.imap and email.smtp"
	emailAddress = "support@shop.example"
)

// email is a Channel for a mailbox, as the rows of its block need it.
var email = fields{
	"spec.platform": "email", "spec.telegram": nil,
	"spec.email": fields{"address": emailAddress, "imap": fields{"host": "imap.shop.example"}, "smtp": fields{"host": "smtp.shop.example"}},
}

// host is a name of n characters.
func host(n int) string { return strings.Repeat("a", n) }

func addressRules(field string) []rule {
	long := strings.Repeat("d", 254-len("a@")) // and so a@ddd… has 254
	return []rule{
		{covers: field + " pattern", field: field, with: email, bad: "Support@shop.example", good: "o'neil+x@shop.example", want: pattern},
		{covers: field + " pattern", field: field, with: email, bad: "support", good: "a@b", want: pattern},
		{covers: field + " maxLength", field: field, with: email, bad: "a@" + long + "d", good: "a@" + long, want: "Too long"},
	}
}

func mailServerRules(block string) []rule {
	return []rule{
		{covers: block + " required host", field: block, with: email, bad: fields{"port": 25}, good: fields{"host": "a"}, want: "host: " + required},
		{covers: block + ".host pattern", field: block + ".host", with: email, bad: "mail.shop.example:993", good: "10.0.0.7", want: pattern},
		{covers: block + ".host maxLength", field: block + ".host", with: email, bad: host(254), good: host(253), want: "Too long"},
		{covers: block + ".port minimum", field: block + ".port", with: email, bad: -1, good: 1, want: atLeast},
		{covers: block + ".port maximum", field: block + ".port", with: email, bad: 65536, good: 65535, want: atMost},
		{covers: block + ".tls enum", field: block + ".tls", with: email, bad: "Maybe", good: "StartTLS", want: enum},
	}
}

func emailLength(field string, maximum int) rule {
	return rule{covers: field + " maxLength", field: field, with: email, bad: letters(maximum + 1), good: letters(maximum), want: "Too long"}
}

func oauth(changed fields) fields {
	return fields{"type": "OAuth2", "oauth2": but(fields{"tokenURL": "https://a.example/token", "clientID": "1"}, changed)}
}

func without(with fields, name string) fields {
	all := but(with, nil)
	delete(all, name)
	return all
}

func oauthRule(constraint string, bad, good fields, want string) rule {
	const field = "spec.email.auth"
	return rule{covers: field + ".oauth2" + constraint, field: field, with: email, bad: bad, good: good, want: want}
}

var oauthDefault = fields{"tokenURL": "https://a.example/token", "clientID": "1"}

var emailRules = concat(addressRules("spec.email.address"), addressRules("spec.email.replyAddress"),
	mailServerRules("spec.email.imap"), mailServerRules("spec.email.smtp"),
	[]rule{
		{covers: "spec rule: " + unionEmail, field: "spec.email", with: without(email, "spec.email"), bad: nil, good: email["spec.email"], want: unionEmail},
		{covers: "spec rule: " + sameAddress, field: "spec.email.address", with: email, old: emailAddress, bad: "sales@shop.example", good: emailAddress, want: sameAddress},
		{covers: "spec.email required address", field: "spec.email.address", with: email, bad: nil, good: emailAddress, want: "address: " + required},
		{covers: "spec.email required imap", field: "spec.email.imap", with: email, bad: nil, good: fields{"host": "a"}, want: "imap: " + required},
		{covers: "spec.email required smtp", field: "spec.email.smtp", with: email, bad: nil, good: fields{"host": "a"}, want: "smtp: " + required},
		emailLength("spec.email.displayName", 128), emailLength("spec.email.subject", 200), emailLength("spec.email.caBundle", 16384),
		emailLength("spec.email.imap.mailbox", 255), emailLength("spec.email.auth.username", 254),
		{covers: "spec.email.auth.type enum", field: "spec.email.auth.type", with: email, bad: "Kerberos", good: "Password", want: enum},
		{covers: "spec.email.auth rule: " + oauthOfType, field: "spec.email.auth", with: email, bad: fields{"oauth2": oauthDefault}, good: oauth(nil), want: oauthOfType},
		oauthRule(" required tokenURL", fields{"type": "OAuth2", "oauth2": fields{"clientID": "1"}}, oauth(nil), "tokenURL: "+required),
		oauthRule(" required clientID", fields{"type": "OAuth2", "oauth2": fields{"tokenURL": "https://a.example"}}, oauth(nil), "clientID: "+required),
		oauthRule(".tokenURL pattern", oauth(fields{"tokenURL": "http://a.example"}), oauth(nil), pattern),
		oauthRule(".tokenURL maxLength", oauth(fields{"tokenURL": "https://" + letters(1017)}), oauth(fields{"tokenURL": "https://" + letters(1016)}), "Too long"),
		oauthRule(".clientID minLength", oauth(fields{"clientID": ""}), oauth(nil), tooShort),
		oauthRule(".clientID maxLength", oauth(fields{"clientID": letters(257)}), oauth(fields{"clientID": letters(256)}), "Too long"),
		oauthRule(".scopes maxItems", oauth(fields{"scopes": many(17, numbered)}), oauth(fields{"scopes": many(16, numbered)}), tooMany),
		oauthRule(".scopes list", oauth(fields{"scopes": list{"a", "a"}}), oauth(fields{"scopes": list{"a", "b"}}), duplicate),
		oauthRule(".scopes[] maxLength", oauth(fields{"scopes": list{letters(257)}}), oauth(fields{"scopes": list{letters(256)}}), "Too long"),
	})
