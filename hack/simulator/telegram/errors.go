package telegram

import (
	"fmt"
	"strings"
)

// apiError is a refusal: the body of a Bot API answer with ok=false.
type apiError struct {
	OK          bool                `json:"ok"` // always false; the field must be there
	Code        int                 `json:"error_code"`
	Description string              `json:"description"`
	Parameters  *responseParameters `json:"parameters,omitempty"`
	// raw is the text before the prefix was added, for wrap.
	raw string
}

// responseParameters is what a client needs to recover by itself.
type responseParameters struct {
	RetryAfter      int   `json:"retry_after,omitempty"` // seconds
	MigrateToChatID int64 `json:"migrate_to_chat_id,omitempty"`
}

func (e *apiError) Error() string { return fmt.Sprintf("%d %s", e.Code, e.Description) }

// prefixes are the words that the Bot API server puts before an error text.
var prefixes = map[int]string{400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 409: "Conflict", 500: "Internal Server Error"}

// fail makes a refusal from a text as the library below the Bot API words it.
// The server adds the prefix and lowers the first letter, except in constants
// such as BUTTON_DATA_INVALID (second character upper case or underscore).
func fail(code int, text string) *apiError {
	prefix, raw := prefixes[code], text
	if prefix == "" || strings.HasPrefix(text, prefix) {
		return &apiError{Code: code, Description: text, raw: raw}
	}
	if len(text) >= 2 && text[1] != '_' && (text[1] < 'A' || text[1] > 'Z') {
		text = strings.ToLower(text[:1]) + text[1:]
	}
	return &apiError{Code: code, Description: prefix + ": " + text, raw: raw}
}

// wrap puts words before a refusal's own: "Can't parse BotCommand: ...".
func wrap(words string, err *apiError) *apiError { return fail(err.Code, words+": "+err.raw) }

func badRequest(format string, args ...any) *apiError {
	return fail(400, fmt.Sprintf(format, args...))
}

func forbidden(text string) *apiError { return fail(403, text) }

// tooMany is the refusal of a call above a rate limit; seconds is at least 1.
func tooMany(seconds int) *apiError {
	seconds = max(seconds, 1)
	return &apiError{
		Code:        429,
		Description: fmt.Sprintf("Too Many Requests: retry after %d", seconds),
		Parameters:  &responseParameters{RetryAfter: seconds},
	}
}

// The texts that are long or used from several places.
const (
	textNotModified    = "message is not modified: specified new message content and reply markup are exactly the same as a current content and reply markup of the message"
	textWebhookActive  = "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first"
	textOtherGetUpdate = "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"
	textBySetWebhook   = "Conflict: terminated by setWebhook request"
	textQueryTooOld    = "query is too old and response timeout expired or query ID is invalid"
)
