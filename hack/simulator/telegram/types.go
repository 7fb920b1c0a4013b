package telegram

import "encoding/json"

// User is a person or a bot as the Bot API shows it.
type User struct {
	ID           int64  `json:"id"`
	IsBot        bool   `json:"is_bot"`
	FirstName    string `json:"first_name"`
	LastName     string `json:"last_name,omitempty"`
	Username     string `json:"username,omitempty"`
	LanguageCode string `json:"language_code,omitempty"`
}

// Chat is a conversation as the Bot API shows it. Type is "private", "group",
// "supergroup" or "channel".
type Chat struct {
	ID        int64  `json:"id"`
	Type      string `json:"type"`
	Title     string `json:"title,omitempty"`
	Username  string `json:"username,omitempty"`
	FirstName string `json:"first_name,omitempty"`
	LastName  string `json:"last_name,omitempty"`
}

// Entity marks a part of a text; Offset and Length count UTF-16 code units.
type Entity struct {
	Type          string `json:"type"`
	Offset        int    `json:"offset"`
	Length        int    `json:"length"`
	URL           string `json:"url,omitempty"`
	User          *User  `json:"user,omitempty"`
	Language      string `json:"language,omitempty"`
	CustomEmojiID string `json:"custom_emoji_id,omitempty"`
}

// FileRef is what all kinds of files have in common.
type FileRef struct {
	FileID       string `json:"file_id"`
	FileUniqueID string `json:"file_unique_id"`
	FileSize     int64  `json:"file_size,omitempty"`
}

// PhotoSize is one size of a photo.
type PhotoSize struct {
	FileRef
	Width  int `json:"width"`
	Height int `json:"height"`
}

// Media is a document, video, audio, voice message, animation or video note.
// One type serves all: the fields that a kind does not have stay empty.
type Media struct {
	FileRef
	FileName  string     `json:"file_name,omitempty"`
	MimeType  string     `json:"mime_type,omitempty"`
	Duration  *int       `json:"duration,omitempty"` // seconds
	Width     int        `json:"width,omitempty"`
	Height    int        `json:"height,omitempty"`
	Length    int        `json:"length,omitempty"` // diameter of a video note
	Title     string     `json:"title,omitempty"`
	Performer string     `json:"performer,omitempty"`
	Thumbnail *PhotoSize `json:"thumbnail,omitempty"`
}

// Sticker is a sticker; Type is "regular", "mask" or "custom_emoji".
type Sticker struct {
	FileRef
	Type       string `json:"type"`
	Width      int    `json:"width"`
	Height     int    `json:"height"`
	IsAnimated bool   `json:"is_animated"`
	IsVideo    bool   `json:"is_video"`
	Emoji      string `json:"emoji,omitempty"`
	SetName    string `json:"set_name,omitempty"`
}

// Location is a point on the map.
type Location struct {
	Latitude           float64 `json:"latitude"`
	Longitude          float64 `json:"longitude"`
	HorizontalAccuracy float64 `json:"horizontal_accuracy,omitempty"`
	LivePeriod         int     `json:"live_period,omitempty"`
}

// Venue is a named place.
type Venue struct {
	Location Location `json:"location"`
	Title    string   `json:"title"`
	Address  string   `json:"address"`
}

// Contact is a shared phone number.
type Contact struct {
	PhoneNumber string `json:"phone_number"`
	FirstName   string `json:"first_name"`
	LastName    string `json:"last_name,omitempty"`
	UserID      int64  `json:"user_id,omitempty"`
	VCard       string `json:"vcard,omitempty"`
}

// Button is a button of an inline keyboard. Only the kinds that a customer of
// the simulator can use are typed; Raw is the button as the bot sent it.
type Button struct {
	Text         string
	URL          string
	CallbackData string
	Raw          json.RawMessage
}

// MarshalJSON gives the button back as the bot sent it.
func (b Button) MarshalJSON() ([]byte, error) { return b.Raw, nil }

// UnmarshalJSON reads a button and keeps its raw form.
func (b *Button) UnmarshalJSON(raw []byte) error {
	var v struct {
		Text         string `json:"text"`
		URL          string `json:"url"`
		CallbackData string `json:"callback_data"`
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		return err
	}
	b.Text, b.URL, b.CallbackData = v.Text, v.URL, v.CallbackData
	b.Raw = append(json.RawMessage(nil), raw...)
	return nil
}

// InlineKeyboard is the keyboard below a message.
type InlineKeyboard struct {
	InlineKeyboard [][]Button `json:"inline_keyboard"`
}

// Message is a message as the Bot API shows it.
type Message struct {
	MessageID            int64           `json:"message_id"`
	MessageThreadID      int64           `json:"message_thread_id,omitempty"`
	BusinessConnectionID string          `json:"business_connection_id,omitempty"`
	From                 *User           `json:"from,omitempty"`
	SenderBusinessBot    *User           `json:"sender_business_bot,omitempty"`
	Date                 int64           `json:"date"` // Unix seconds
	Chat                 Chat            `json:"chat"`
	ReplyToMessage       *Message        `json:"reply_to_message,omitempty"`
	EditDate             int64           `json:"edit_date,omitempty"`
	HasProtectedContent  bool            `json:"has_protected_content,omitempty"`
	MediaGroupID         string          `json:"media_group_id,omitempty"`
	Text                 string          `json:"text,omitempty"`
	Entities             []Entity        `json:"entities,omitempty"`
	LinkPreviewOptions   json.RawMessage `json:"link_preview_options,omitempty"`
	Animation            *Media          `json:"animation,omitempty"`
	Audio                *Media          `json:"audio,omitempty"`
	Document             *Media          `json:"document,omitempty"`
	Photo                []PhotoSize     `json:"photo,omitempty"`
	Sticker              *Sticker        `json:"sticker,omitempty"`
	Video                *Media          `json:"video,omitempty"`
	VideoNote            *Media          `json:"video_note,omitempty"`
	Voice                *Media          `json:"voice,omitempty"`
	Caption              string          `json:"caption,omitempty"`
	CaptionEntities      []Entity        `json:"caption_entities,omitempty"`
	Contact              *Contact        `json:"contact,omitempty"`
	Location             *Location       `json:"location,omitempty"`
	Venue                *Venue          `json:"venue,omitempty"`
	Poll                 *Poll           `json:"poll,omitempty"`
	NewChatMembers       []User          `json:"new_chat_members,omitempty"`
	LeftChatMember       *User           `json:"left_chat_member,omitempty"`
	MigrateToChatID      int64           `json:"migrate_to_chat_id,omitempty"`
	MigrateFromChatID    int64           `json:"migrate_from_chat_id,omitempty"`
	ReplyMarkup          *InlineKeyboard `json:"reply_markup,omitempty"`
}

// hasMedia says whether a message carries a file and so may have a caption.
func (m *Message) hasMedia() bool {
	return m.Animation != nil || m.Audio != nil || m.Document != nil || len(m.Photo) > 0 ||
		m.Video != nil || m.Voice != nil
}

// ReactionType is one reaction; Type is "emoji" or "custom_emoji".
type ReactionType struct {
	Type          string `json:"type"`
	Emoji         string `json:"emoji,omitempty"`
	CustomEmojiID string `json:"custom_emoji_id,omitempty"`
}

// messageReaction is the update of a changed reaction.
type messageReaction struct {
	Chat        Chat           `json:"chat"`
	MessageID   int64          `json:"message_id"`
	User        *User          `json:"user,omitempty"`
	Date        int64          `json:"date"`
	OldReaction []ReactionType `json:"old_reaction"`
	NewReaction []ReactionType `json:"new_reaction"`
}

// callbackQuery is the update of a pressed button.
type callbackQuery struct {
	ID           string   `json:"id"`
	From         User     `json:"from"`
	Message      *Message `json:"message,omitempty"`
	ChatInstance string   `json:"chat_instance"`
	Data         string   `json:"data,omitempty"`
}

// ChatMember is a user's standing in a chat. Status is "creator",
// "administrator", "member", "left" or "kicked".
type ChatMember struct {
	Status    string `json:"status"`
	User      User   `json:"user"`
	UntilDate *int64 `json:"until_date,omitempty"`
}

// chatMemberUpdated is the update of a changed standing.
type chatMemberUpdated struct {
	Chat          Chat       `json:"chat"`
	From          User       `json:"from"`
	Date          int64      `json:"date"`
	OldChatMember ChatMember `json:"old_chat_member"`
	NewChatMember ChatMember `json:"new_chat_member"`
}

// BusinessRights is what a business account lets the bot do.
type BusinessRights struct {
	CanReply                 bool `json:"can_reply,omitempty"`
	CanReadMessages          bool `json:"can_read_messages,omitempty"`
	CanDeleteSentMessages    bool `json:"can_delete_sent_messages,omitempty"`
	CanDeleteAllMessages     bool `json:"can_delete_all_messages,omitempty"`
	CanEditName              bool `json:"can_edit_name,omitempty"`
	CanEditBio               bool `json:"can_edit_bio,omitempty"`
	CanEditUsername          bool `json:"can_edit_username,omitempty"`
	CanEditProfilePhoto      bool `json:"can_edit_profile_photo,omitempty"`
	CanManageStories         bool `json:"can_manage_stories,omitempty"`
	CanChangeGiftSettings    bool `json:"can_change_gift_settings,omitempty"`
	CanViewGiftsAndStars     bool `json:"can_view_gifts_and_stars,omitempty"`
	CanConvertGiftsToStars   bool `json:"can_convert_gifts_to_stars,omitempty"`
	CanTransferAndUpgrade    bool `json:"can_transfer_and_upgrade_gifts,omitempty"`
	CanTransferBusinessStars bool `json:"can_transfer_stars,omitempty"`
}

// BusinessConnection ties a bot to a business account.
type BusinessConnection struct {
	ID         string         `json:"id"`
	User       User           `json:"user"`
	UserChatID int64          `json:"user_chat_id"`
	Date       int64          `json:"date"`
	Rights     BusinessRights `json:"rights"`
	IsEnabled  bool           `json:"is_enabled"`
}

// businessMessagesDeleted is the update of messages deleted in a business chat.
type businessMessagesDeleted struct {
	BusinessConnectionID string  `json:"business_connection_id"`
	Chat                 Chat    `json:"chat"`
	MessageIDs           []int64 `json:"message_ids"`
}

// BotCommand is one entry of a bot's menu.
type BotCommand struct {
	Command     string `json:"command"`
	Description string `json:"description"`
}

// WebhookInfo is the answer of getWebhookInfo.
type WebhookInfo struct {
	URL                  string   `json:"url"`
	HasCustomCertificate bool     `json:"has_custom_certificate"`
	PendingUpdateCount   int      `json:"pending_update_count"`
	IPAddress            string   `json:"ip_address,omitempty"`
	LastErrorDate        int64    `json:"last_error_date,omitempty"`
	LastErrorMessage     string   `json:"last_error_message,omitempty"`
	MaxConnections       int      `json:"max_connections,omitempty"`
	AllowedUpdates       []string `json:"allowed_updates,omitempty"`
}
