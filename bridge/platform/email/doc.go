// Package email connects mailboxes: IMAP to read, SMTP to answer.
//
//	mailbox ─IDLE, else NOOP─► SEARCH ─► sizes, structures ─► headers, texts ─► payload
//	payload ─► Parse ─► message | failed receipt | nothing          (pure, no I/O)
//	attachment's handle ─► FETCH of that part, streamed ─► store
//	part ─► one mail, all attachments in it ─► MAIL, RCPT, DATA ─► taken | refused | unknown
//	probe ─► login at both servers
//
// # Reading
//
// The mailbox is opened read-only: nothing in it changes, unless email.imap.markSeen
// asks for \Seen once the store has a mail. Mails are fetched in order and in
// bounded batches, first what describes them, then headers and texts up to a
// limit, never attachments. The raw journal has headers and texts as they came.
//
// The cursor is committed with the messages (cursor.go): UIDVALIDITY, UID, the time
// of the latest mail, and by what the mailbox and the mail with that UID are known
// again. Numbers count only where they mean the same mails:
//
//	no cursor                       unread mail of the last day
//	the same numbers                what is behind the UID
//	numbered anew: another UIDVALIDITY, UIDNEXT not beyond the cursor (restored
//	from a backup), another mail under its UID, another server
//	                                what arrived since the time, less two days, and is
//	                                unread or was written lately
//	another account or folder       unread mail since that time: of the last day at
//	                                least, of a week at most
//
// What is known of it is known by its Message-ID, or by an id derived from its
// content where it has none. A look that is interrupted goes on as it began.
//
// A server that owes an answer and is silent for 30 s (5 min in a search) is left,
// and connected to again (watchdog.go).
//
// # Addresses and ids
//
// A contact is an address in lower case: of Reply-To, else of From; Author names
// who wrote, where that is somebody else. A message's external id is its
// Message-ID without brackets. That of a mail which is sent follows from the
// message (ids.go), so that it is the same when it is sent again.
//
// ReplyTo is a mail of ours: In-Reply-To, else the last of References that is one,
// else that whose token is in the address that the mail came to
// (email.plusAddressing). It is what In-Reply-To or References name otherwise. A
// conversation is with one address: who answers from another one is another
// contact, whose message names the mail that it answers all the same.
//
// # What becomes of a mail
//
//	from a person                   message
//	out of office, newsletter, list, notification
//	                                message with Mail.Automated, standby: nothing
//	                                automatic reacts (automated.go, RFC 3834)
//	bounce of a mail of ours        receipt: failed (bounce.go, RFC 3464); of one
//	                                that is only late: nothing
//	bounce of another mail          message, automated
//	read receipt                    nothing: nobody here asks for one
//	our own, come back              nothing
//	from our address, Reply-To another
//	                                message of that one: a form on the shop's site
//	from no-reply@ or another address that nobody reads, Reply-To a person's
//	                                message of that person: a form of another site
//	from our address otherwise      nothing: a note to oneself, or a forger's
//	whose parts the server describes in a way that nobody can read
//	                                unsupported message: somebody looks into the mailbox
//	that the server does not give   nothing; the raw journal says so
//
// The text is the plain one of alternatives, or the HTML made plain (html.go),
// without the quoted mail and the signature (trim.go), unless nothing would be
// left; Mail.Original has it whole. A mail that has a subject only is that text.
// A text in a charset that nobody here decodes is an attachment, too (charset.go).
//
// # What a mail of ours looks like
//
// text/plain, and attachments. A message has no markup here, so an HTML
// alternative could only say the same once more, in mails of twice the size and
// more: every mail program makes links of addresses in plain text and wraps its
// lines, which are sent as long as they are (quoted-printable).
package email
