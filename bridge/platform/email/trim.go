package email

import (
	"regexp"
	"strings"
)

// trimReply is what somebody wrote, without the mail that they answered and
// without their signature:
//
//	Yes, please.                        kept
//	--                                  signature: cut from here on
//	On Friday Bob wrote:                attribution: cut with
//	> Shall we send it again?           the quotes below it, if nothing follows
//	-----Original Message-----          separator, Outlook's header block: cut
//
// Answers between quoted lines keep the quotes: without them they mean nothing.
// Quotes that stand before the whole answer are cut. A mail of which nothing
// would be left stays as it is; so does what is forwarded, which is the message.
func trimReply(text string) string {
	r := readReply(text)
	end := r.withoutTail(r.ownEnd())
	trimmed := normalise(strings.Join(r.lines[r.leadingQuote(end):end], "\n"))
	if strings.TrimSpace(trimmed) == "" {
		return text
	}
	return trimmed
}

// lineKind is what a line of a mail is.
type lineKind int8

const (
	lineOwn lineKind = iota
	lineBlank
	lineQuoted
	lineAttribution // "On Friday Bob wrote:", or a part of it
)

// reply is a mail's text by lines. Everything is found in one pass: what one is
// sent may be long and made to hurt.
type reply struct {
	lines []string
	kinds []lineKind
	// nextQuoted is the first quoted line from here on; len(lines): none.
	nextQuoted []int
	lastOwn    int // -1: none
}

func readReply(text string) *reply {
	lines := strings.Split(text, "\n")
	r := &reply{lines: lines, kinds: make([]lineKind, len(lines)), nextQuoted: make([]int, len(lines)+1), lastOwn: -1}
	for i := 0; i < len(lines); i++ {
		switch {
		case isBlank(lines[i]):
			r.kinds[i] = lineBlank
		case isQuoted(lines[i]):
			r.kinds[i] = lineQuoted
		default:
			n := attribution(lines, i)
			for range n {
				r.kinds[i] = lineAttribution
				i++
			}
			if n > 0 {
				i--
				continue
			}
			r.lastOwn = i
		}
	}
	r.nextQuoted[len(lines)] = len(lines)
	for i := len(lines) - 1; i >= 0; i-- {
		if r.nextQuoted[i] = r.nextQuoted[i+1]; r.kinds[i] == lineQuoted {
			r.nextQuoted[i] = i
		}
	}
	return r
}

// ownEnd is the line at which a signature or the answered mail begins.
func (r *reply) ownEnd() int {
	for i, line := range r.lines {
		// A "signature" below which others are answered is none.
		if i > 0 && isSignature(line) && r.nextQuoted[i] >= r.lastOwn {
			return i
		}
		if r.startsAnswered(i) {
			return i
		}
	}
	return len(r.lines)
}

func isSignature(line string) bool { return line == "-- " || line == "--" }

func isQuoted(line string) bool { return strings.HasPrefix(strings.TrimLeft(line, " \t"), ">") }

func isBlank(line string) bool { return strings.TrimSpace(line) == "" }

// startsAnswered says whether a line is followed by the answered mail to the
// end, as some programs quote it without marking its lines.
func (r *reply) startsAnswered(i int) bool {
	line := strings.TrimSpace(r.lines[i])
	switch r.kinds[i] {
	case lineBlank, lineQuoted:
		return false
	case lineAttribution:
		// Without marks below it must name a time or an address: people write
		// "my colleague wrote:", too.
		return (i == 0 || r.kinds[i-1] != lineAttribution) && r.nextQuoted[i] == len(r.lines) && strings.ContainsAny(line, "0123456789@")
	}
	switch {
	case line[0] == '-' && separator.MatchString(line):
		return true
	case strings.Contains(line, "above this line") && replyMarker.MatchString(line):
		return true
	case (line[0] == '_' || line[0] == '-') && rule10.MatchString(line): // Outlook on the web draws a line above its header
		for next := i + 1; next < min(i+3, len(r.lines)); next++ {
			if isHeaderBlock(r.lines, next) {
				return true
			}
		}
		return false
	}
	return isHeaderBlock(r.lines, i)
}

// withoutTail drops trailing quotes with their attribution, and what telephones
// sign with.
func (r *reply) withoutTail(end int) int {
	quoted := end < len(r.lines)
	for end > 0 {
		switch kind := r.kinds[end-1]; {
		case kind == lineOwn && !mobileSignature.MatchString(strings.TrimSpace(r.lines[end-1])), kind == lineAttribution && !quoted:
			return end
		case kind == lineQuoted:
			quoted = true
		}
		end--
	}
	return end
}

// leadingQuote is how many lines of quotes and their attribution stand before an
// answer that has no further quotes in it.
func (r *reply) leadingQuote(end int) int {
	i, quoted := 0, false
	for i < end && r.kinds[i] != lineOwn && (!quoted || r.kinds[i] != lineAttribution) {
		quoted = quoted || r.kinds[i] == lineQuoted
		i++
	}
	if !quoted || r.nextQuoted[i] < end {
		return 0
	}
	return i
}

// maxAttribution lines: programs break long ones twice.
const maxAttribution = 3

// attribution is how many lines from i on say who wrote what follows; 0: none do.
func attribution(lines []string, i int) int {
	joined := ""
	for n := 1; n <= maxAttribution && i+n <= len(lines); n++ {
		line := strings.TrimSpace(lines[i+n-1])
		if line == "" || isQuoted(line) {
			return 0
		}
		if joined = strings.TrimSpace(joined + " " + line); len(joined) > maxAttributionBytes {
			return 0
		}
		if !strings.HasSuffix(joined, ":") && !strings.HasSuffix(joined, "：") {
			continue // nearly always: the forms below cost more
		}
		for _, form := range attributions {
			if form.MatchString(joined) {
				return n
			}
		}
	}
	return 0
}

const maxAttributionBytes = 400

// attributions in the languages that mail programs speak, and what nearly all
// have in common: a date, an address, a colon at the end.
var attributions = compiled(
	`^On\s.{4,}\swrote:$`, `^.{4,}\swrote:$`,
	`^(Am|Op)\s.{4,}\s(schrieb|schreef).*:$`, `^.{4,}\sschrieb\sam\s.*:$`,
	`^Le\s.{4,}\sa\sécrit\s?:$`,
	`^El\s.{4,}\sescribió:$`,
	`^Il\s(giorno\s)?.{4,}\sha\sscritto:$`,
	`^(Em|A)\s.{4,}\sescreveu:$`,
	`^(Den|På|Fre|Tor|Ons|Tis|Tir|Mån|Man|Lör|Sön)\S*\s.{4,}\s(skrev|skrev följande).*:$`,
	`^.{4,}\s(kirjoitti|napsal|napsala|napsal\(a\)|írta|yazdı|napisał|napisała|napisał\(a\)|написал|написала|написал\(а\)|пишет|пише|a scris):$`,
	`^.{4,}(のメール|写道|寫道|님이 작성)\s?[:：]$`,
	`^.*[0-9]{1,2}[:.][0-9]{2}.*<?\S+@\S+>?.*[:：]$`,
)

// separator is the line above an answered mail; of a forwarded one it is not.
var separator = regexp.MustCompile(`(?i)^-{2,}\s*(original message|ursprüngliche (nachricht|e-mail)|originalnachricht|message d'origine|message original|mensaje original|messaggio originale|mensagem original|oorspronkelijk bericht|oprindelig meddelelse|opprinnelig melding|ursprungligt meddelande|alkuperäinen viesti|původní zpráva|wiadomość oryginalna|исходное сообщение|orijinal mesaj|原始邮件|元のメッセージ|원본 메시지)\s*-{2,}$`)

// replyMarker is what help desks put above their mails.
var replyMarker = regexp.MustCompile(`(?i)^[#\-= ]*.{0,40}(reply|write|antwort|respond)\S* above this line.*$`)

var rule10 = regexp.MustCompile(`^[_\-]{10,}$`)

// mobileSignature is what telephones and their programs add.
var mobileSignature = regexp.MustCompile(`(?i)^(sent from my (iphone|ipad|phone|mobile|android|galaxy|samsung|blackberry|huawei|xiaomi|windows phone).*|sent from (outlook|mail|yahoo mail|gmail|proton ?mail).*|get outlook for (ios|android).*|von meinem (iphone|ipad|mobiltelefon|handy|samsung|galaxy|android).* gesendet.*|(diese nachricht wurde )?von meinem .{1,40} gesendet\.?|gesendet (mit|von) .{1,60}|envoyé de(puis)? mon .{1,40}|enviado (desde|do) (mi|meu) .{1,40}|inviato da(l mio)? .{1,40}|verstuurd vanaf mijn .{1,40}|wysłane z .{1,40}|отправлено (с|из) .{1,40}|skickat från min .{1,40}|sendt fra min .{1,40})$`)

// headerNames are the first and one of the next lines of the header block with
// which Outlook quotes.
var (
	fromLine = regexp.MustCompile(`(?i)^\*?(from|von|de|da|van|från|fra|lähettäjä|od|от|kimden|发件人|差出人|보낸 사람)\s?[:：]\*?\s?\S`)
	sentLine = regexp.MustCompile(`(?i)^\*?(sent|date|gesendet|datum|envoyé|enviado( el)?|fecha|inviato|data|verzonden|skickat|sendt|dato|lähetetty|wysłano|odesláno|отправлено|дата|gönderildi|发送时间|日期|送信日時|보낸 날짜)\s?[:：]\*?\s?\S`)
)

// headerBlock is how many lines after From the date follows.
const headerBlock = 3

func isHeaderBlock(lines []string, i int) bool {
	if line := strings.TrimSpace(lines[i]); !strings.ContainsAny(line, ":：") || !fromLine.MatchString(line) {
		return false
	}
	// A forwarded mail has such a block, too, below a line that says so.
	for back := i - 1; back >= 0 && back >= i-2; back-- {
		if forwarded.MatchString(strings.TrimSpace(lines[back])) {
			return false
		}
	}
	for next := i + 1; next <= min(i+headerBlock, len(lines)-1); next++ {
		if sentLine.MatchString(strings.TrimSpace(lines[next])) {
			return true
		}
	}
	return false
}

var forwarded = regexp.MustCompile(`(?i)^[->* ]*(begin )?(forwarded message|weitergeleitete nachricht|message transféré|mensaje reenviado|messaggio inoltrato|mensagem encaminhada|doorgestuurd bericht|anfang der weitergeleiteten nachricht).*$`)

func compiled(forms ...string) []*regexp.Regexp {
	out := make([]*regexp.Regexp, len(forms))
	for i, f := range forms {
		out[i] = regexp.MustCompile(`(?i)` + f)
	}
	return out
}
