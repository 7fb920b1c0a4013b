package telegram

import "encoding/json"

// The parts of the Bot API's objects that are read here, named as there.

type user struct {
	ID           int64  `json:"id"`
	IsBot        bool   `json:"is_bot"`
	FirstName    string `json:"first_name"`
	LastName     string `json:"last_name"`
	Username     string `json:"username"`
	LanguageCode string `json:"language_code"`
}

type chat struct {
	ID        int64  `json:"id"`
	Type      string `json:"type"` // private, group, supergroup, channel
	Title     string `json:"title"`
	FirstName string `json:"first_name"`
	LastName  string `json:"last_name"`
	Username  string `json:"username"`
}

// tgMessage is Message. Kinds that are not listed show as keys of the raw object.
type tgMessage struct {
	MessageID            int64      `json:"message_id"`
	ThreadID             int64      `json:"message_thread_id"`
	IsTopicMessage       bool       `json:"is_topic_message"`
	From                 *user      `json:"from"`
	SenderChat           *chat      `json:"sender_chat"`
	AuthorSignature      string     `json:"author_signature"`
	SenderBusinessBot    *user      `json:"sender_business_bot"`
	BusinessConnectionID string     `json:"business_connection_id"`
	Chat                 chat       `json:"chat"`
	Date                 int64      `json:"date"`
	EditDate             int64      `json:"edit_date"`
	ReplyTo              *tgMessage `json:"reply_to_message"`
	MediaGroupID         string     `json:"media_group_id"`

	Text            string   `json:"text"`
	Entities        []entity `json:"entities"`
	Caption         string   `json:"caption"`
	CaptionEntities []entity `json:"caption_entities"`

	Photo     []photoSize `json:"photo"`
	Video     *file       `json:"video"`
	VideoNote *file       `json:"video_note"`
	Animation *file       `json:"animation"`
	Voice     *file       `json:"voice"`
	Audio     *file       `json:"audio"`
	Document  *file       `json:"document"`
	Sticker   *file       `json:"sticker"`
	Location  *location   `json:"location"`
	Venue     *venue      `json:"venue"`
	Contact   *contact    `json:"contact"`
	Dice      *struct {
		Emoji string `json:"emoji"`
		Value int    `json:"value"`
	} `json:"dice"`
	Poll *struct {
		Question string `json:"question"`
		Options  []struct {
			Text string `json:"text"`
		} `json:"options"`
	} `json:"poll"`
	WebAppData *struct {
		Data       string `json:"data"`
		ButtonText string `json:"button_text"`
	} `json:"web_app_data"`
	ReplyMarkup *struct {
		InlineKeyboard [][]inlineButton `json:"inline_keyboard"`
	} `json:"reply_markup"`

	MigrateToChatID   int64 `json:"migrate_to_chat_id"`
	MigrateFromChatID int64 `json:"migrate_from_chat_id"`
}

// file is any of Video, VideoNote, Animation, Voice, Audio, Document, Sticker.
type file struct {
	FileID       string `json:"file_id"`
	FileUniqueID string `json:"file_unique_id"`
	FileSize     int64  `json:"file_size"`
	FileName     string `json:"file_name"`
	MimeType     string `json:"mime_type"`
	Performer    string `json:"performer"`
	Title        string `json:"title"`
	Emoji        string `json:"emoji"`
	IsAnimated   bool   `json:"is_animated"`
	IsVideo      bool   `json:"is_video"`
}

type photoSize struct {
	file
	Width  int64 `json:"width"`
	Height int64 `json:"height"`
}

type location struct {
	Latitude  float64 `json:"latitude"`
	Longitude float64 `json:"longitude"`
}

type venue struct {
	Location location `json:"location"`
	Title    string   `json:"title"`
	Address  string   `json:"address"`
}

type contact struct {
	PhoneNumber string `json:"phone_number"`
	FirstName   string `json:"first_name"`
	LastName    string `json:"last_name"`
	UserID      int64  `json:"user_id"`
}

type inlineButton struct {
	Text         string `json:"text"`
	CallbackData string `json:"callback_data,omitempty"`
	URL          string `json:"url,omitempty"`
}

type callbackQuery struct {
	ID            string     `json:"id"`
	From          user       `json:"from"`
	Message       *tgMessage `json:"message"` // or an InaccessibleMessage: chat and message_id only
	Data          string     `json:"data"`
	GameShortName string     `json:"game_short_name"`
}

type reactionType struct {
	Type          string `json:"type"` // emoji, custom_emoji, paid
	Emoji         string `json:"emoji,omitempty"`
	CustomEmojiID string `json:"custom_emoji_id,omitempty"`
}

type messageReaction struct {
	Chat      chat           `json:"chat"`
	MessageID int64          `json:"message_id"`
	User      *user          `json:"user"`
	ActorChat *chat          `json:"actor_chat"`
	Date      int64          `json:"date"`
	Old       []reactionType `json:"old_reaction"`
	New       []reactionType `json:"new_reaction"`
}

type chatMemberUpdated struct {
	Chat      chat  `json:"chat"`
	From      user  `json:"from"`
	Date      int64 `json:"date"`
	NewMember struct {
		Status   string `json:"status"`
		IsMember *bool  `json:"is_member"` // of a restricted member
	} `json:"new_chat_member"`
}

type businessConnection struct {
	ID         string `json:"id"`
	User       user   `json:"user"`
	UserChatID int64  `json:"user_chat_id"`
	IsEnabled  bool   `json:"is_enabled"`
	Rights     struct {
		CanReply bool `json:"can_reply"`
	} `json:"rights"`
	CanReply bool `json:"can_reply"` // of servers before Bot API 9.0, instead of rights
}

type chatJoinRequest struct {
	Chat       chat  `json:"chat"`
	From       user  `json:"from"`
	UserChatID int64 `json:"user_chat_id"`
	Date       int64 `json:"date"`
}

type businessMessagesDeleted struct {
	BusinessConnectionID string  `json:"business_connection_id"`
	Chat                 chat    `json:"chat"`
	MessageIDs           []int64 `json:"message_ids"`
}

type webhookInfo struct {
	URL                string   `json:"url"`
	PendingUpdateCount int      `json:"pending_update_count"`
	LastErrorDate      int64    `json:"last_error_date"`
	LastErrorMessage   string   `json:"last_error_message"`
	MaxConnections     int      `json:"max_connections"`
	AllowedUpdates     []string `json:"allowed_updates"`
}

// response is what every method answers.
type response struct {
	OK          bool            `json:"ok"`
	Result      json.RawMessage `json:"result"`
	ErrorCode   int             `json:"error_code"`
	Description string          `json:"description"`
	Parameters  struct {
		RetryAfter      int64 `json:"retry_after"`
		MigrateToChatID int64 `json:"migrate_to_chat_id"`
	} `json:"parameters"`
}
