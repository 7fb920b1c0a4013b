package telegram

import (
	"errors"
	"strconv"
	"strings"
)

// address is where a contact is answered; see the package's documentation.
type address struct {
	chat       int64
	thread     int64  // topic of a group; 0: none
	connection string // of a business account; empty: the bot's own chat
}

// String is the external id of the contact.
func (a address) String() string {
	s := strconv.FormatInt(a.chat, 10)
	if a.thread != 0 {
		s += "/" + strconv.FormatInt(a.thread, 10)
	}
	if a.connection != "" {
		s += "@" + a.connection
	}
	return s
}

// message is the external id of a message in the chat. The topic is no part of
// it: message ids are unique within the chat, and reactions do not name it.
func (a address) message(id int64) string {
	a.thread = 0
	return a.String() + ":" + strconv.FormatInt(id, 10)
}

// group says whether the chat is a group or a channel: their ids are negative.
func (a address) group() bool { return a.chat < 0 }

// The errors do not repeat the id: it is a person's.
var (
	errNoChat    = errors.New("the contact's external id is not one of a Telegram chat")
	errNoMessage = errors.New("the external id is not one of a Telegram message")
)

func parseAddress(s string) (address, error) {
	var a address
	rest, connection, business := strings.Cut(s, "@")
	chat, thread, topic := strings.Cut(rest, "/")
	var err error
	if a.chat, err = strconv.ParseInt(chat, 10, 64); err == nil && topic {
		a.thread, err = strconv.ParseInt(thread, 10, 64)
	}
	a.connection = connection
	if err != nil || a.chat == 0 || (topic && a.thread <= 0) || (business && connection == "") {
		return address{}, errNoChat
	}
	return a, nil
}

func parseMessageID(s string) (address, int64, error) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return address{}, 0, errNoMessage
	}
	a, err := parseAddress(s[:i])
	id, idErr := strconv.ParseInt(s[i+1:], 10, 64)
	if err != nil || idErr != nil || id <= 0 {
		return address{}, 0, errNoMessage
	}
	return a, id, nil
}
