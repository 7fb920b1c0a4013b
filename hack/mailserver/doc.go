// Package mailserver runs real mail servers for tests: Debian's Dovecot, which
// keeps mailboxes, and Debian's Postfix, which takes mail and delivers it into
// them. Both are children with a configuration of their own in a temporary
// folder, on free ports of 127.0.0.1, and end by pid.
//
//	test ──SMTP (submission, STARTTLS, TLS)──► Postfix ──► Maildir
//	  └────IMAP (STARTTLS, TLS, plain)───────► Dovecot ─────┘  ▲
//	                                             └── passwords, OAuth 2 tokens of both
//
// Postfix runs as root only; so do these servers.
package mailserver
