package telegram

import (
	"fmt"
	"maps"
	"regexp"
	"strings"
	"unicode/utf8"
)

// profile is what customers see of a bot. The maps go by language code; "" is
// the default.
type profile struct {
	name, description, short map[string]string
	commands                 map[string][]BotCommand // by scope and language
	menu                     map[int64]object        // by chat; 0: the default
	rights                   map[string]object       // "groups", "channels"
}

func newProfile(name string) profile {
	return profile{
		name: map[string]string{"": name}, description: map[string]string{}, short: map[string]string{},
		commands: map[string][]BotCommand{}, menu: map[int64]object{}, rights: map[string]object{},
	}
}

var commandPattern = regexp.MustCompile(`^[a-z0-9_]+$`)

// language reads language_code.
func (c *call) language() (string, *apiError) {
	code := c.arg("language_code")
	if code == "" {
		return "", nil
	}
	if len(code) != 2 || code[0] < 'a' || code[0] > 'z' || code[1] < 'a' || code[1] > 'z' {
		return "", badRequest("Invalid language code specified")
	}
	return code, nil
}

// scope reads the scope of commands and returns a key for it.
func (c *call) scope() (string, *apiError) {
	text := c.arg("scope")
	if text == "" {
		return "default", nil
	}
	o, ok, err := parseObject(text)
	if err != nil {
		return "", badRequest("Can't parse BotCommandScope JSON object")
	}
	if !ok {
		return "", badRequest("Can't parse BotCommandScope: BotCommandScope must be an Object")
	}
	key, chat, bad := scopeKey(o)
	if bad != nil {
		return "", wrap("Can't parse BotCommandScope", bad)
	}
	if chat != "" {
		in := *c
		in.args = []arg{{"chat_id", chat}}
		if _, bad := in.resolveChat(toRead); bad != nil {
			return "", bad
		}
	}
	return key, nil
}

func scopeKey(o object) (key, chat string, bad *apiError) {
	kind, bad := o.text("type", true)
	if bad != nil {
		return "", "", bad
	}
	switch kind {
	case "default", "all_private_chats", "all_group_chats", "all_chat_administrators":
		return kind, "", nil
	case "chat", "chat_administrators", "chat_member":
	default:
		return "", "", badRequest("Unsupported type specified")
	}
	if chat, bad = o.text("chat_id", true); bad != nil {
		return "", "", bad
	}
	if chat == "" {
		return "", "", badRequest("Empty chat_id specified")
	}
	key = kind + ":" + chat
	if kind == "chat_member" {
		user, bad := o.integer("user_id")
		if bad != nil {
			return "", "", bad
		}
		if user <= 0 {
			return "", "", badRequest("Invalid user_id specified")
		}
		key = fmt.Sprint(key, ":", user)
	}
	return key, chat, nil
}

// scopeAndLanguage is the key of a list of commands.
func (c *call) scopeAndLanguage() (string, *apiError) {
	scope, err := c.scope()
	if err != nil {
		return "", err
	}
	language, err := c.language()
	return scope + "/" + language, err
}

func setMyCommands(c *call) (any, *apiError) {
	commands, err := parseCommands(c.arg("commands"))
	if err != nil {
		return nil, err
	}
	key, err := c.scopeAndLanguage()
	if err != nil {
		return nil, err
	}
	for i := range commands {
		if err := commands[i].check(); err != nil {
			return nil, err
		}
	}
	for _, cmd := range commands {
		if !commandPattern.MatchString(cmd.Command) {
			return nil, badRequest("BOT_COMMAND_INVALID")
		}
	}
	if len(commands) > 100 {
		return nil, badRequest("BOT_COMMANDS_TOO_MUCH")
	}
	c.bot.profile.commands[key] = commands
	return true, nil
}

func parseCommands(text string) ([]BotCommand, *apiError) {
	if text == "" {
		return nil, nil
	}
	list, ok, err := parseArray(text)
	if err != nil {
		return nil, badRequest("Can't parse commands JSON object")
	}
	if !ok {
		return nil, badRequest("Expected an Array of BotCommand")
	}
	var out []BotCommand
	for _, raw := range list {
		o, ok, _ := parseObject(string(raw))
		if !ok {
			return nil, badRequest("Can't parse BotCommand: expected an Object")
		}
		var cmd BotCommand
		var bad *apiError
		if cmd.Command, bad = o.text("command", true); bad == nil {
			cmd.Description, bad = o.text("description", true)
		}
		if bad != nil {
			return nil, wrap("Can't parse BotCommand", bad)
		}
		out = append(out, cmd)
	}
	return out, nil
}

// check cleans a command and checks its lengths, in characters.
func (cmd *BotCommand) check() *apiError {
	cmd.Command = strings.TrimPrefix(strings.TrimSpace(cmd.Command), "/")
	cmd.Description = strings.TrimSpace(cmd.Description)
	switch {
	case cmd.Command == "":
		return badRequest("Command must be non-empty")
	case utf8.RuneCountInString(cmd.Command) > 32:
		return badRequest("Command length must not exceed 32")
	case cmd.Description == "":
		return badRequest("Command description must be non-empty")
	case utf8.RuneCountInString(cmd.Description) > 256:
		return badRequest("Command description length must not exceed 256")
	}
	return nil
}

func getMyCommands(c *call) (any, *apiError) {
	key, err := c.scopeAndLanguage()
	if err != nil {
		return nil, err
	}
	return append([]BotCommand{}, c.bot.profile.commands[key]...), nil
}

func deleteMyCommands(c *call) (any, *apiError) {
	key, err := c.scopeAndLanguage()
	if err != nil {
		return nil, err
	}
	delete(c.bot.profile.commands, key)
	return true, nil
}

// profileText is one of the texts that are kept by language.
type profileText struct {
	param string // of the set method, and the field of the get method's answer
	limit int    // characters
	code  string // of the refusal of a longer one
	of    func(*profile) map[string]string
}

// The refusals of longer texts come from Telegram's closed part; the constants
// are guesses in its style.
var (
	profileName        = profileText{"name", 64, "BOT_NAME_TOO_LONG", func(p *profile) map[string]string { return p.name }}
	profileDescription = profileText{"description", 512, "BOT_DESCRIPTION_TOO_LONG", func(p *profile) map[string]string { return p.description }}
	profileShort       = profileText{"short_description", 120, "BOT_ABOUT_TOO_LONG", func(p *profile) map[string]string { return p.short }}
)

func (t profileText) set(c *call) (any, *apiError) {
	language, err := c.language()
	if err != nil {
		return nil, err
	}
	text := strings.TrimSpace(c.arg(t.param))
	if utf8.RuneCountInString(text) > t.limit {
		return nil, badRequest("%s", t.code)
	}
	texts := t.of(&c.bot.profile)
	switch {
	case text != "":
		texts[language] = text
	case t.param == "name" && language == "":
		return nil, badRequest("BOT_NAME_EMPTY") // a bot has a name
	default:
		delete(texts, language)
	}
	if t.param == "name" {
		c.bot.user.FirstName = texts[""]
	}
	return true, nil
}

func (t profileText) get(c *call) (any, *apiError) {
	language, err := c.language()
	if err != nil {
		return nil, err
	}
	texts := t.of(&c.bot.profile)
	text, ok := texts[language]
	if !ok {
		text = texts[""]
	}
	return map[string]string{t.param: text}, nil
}

func setChatMenuButton(c *call) (any, *apiError) {
	button := object{"type": []byte(`"default"`)}
	if text := c.arg("menu_button"); text != "" {
		o, ok, err := parseObject(text)
		if err != nil {
			return nil, badRequest("Can't parse menu button JSON object")
		}
		if !ok {
			return nil, badRequest("Can't parse menu button: MenuButton must be an Object")
		}
		if bad := checkMenuButton(o); bad != nil {
			return nil, wrap("Can't parse menu button", bad)
		}
		button = o
	}
	chat, err := c.menuChat()
	if err != nil {
		return nil, err
	}
	c.bot.profile.menu[chat] = button
	return true, nil
}

func checkMenuButton(o object) *apiError {
	kind, bad := o.text("type", true)
	if bad != nil {
		return bad
	}
	switch kind {
	case "default", "commands":
		return nil
	case "web_app":
		if _, bad := o.text("text", true); bad != nil {
			return bad
		}
		app, bad := o.inner("web_app")
		if bad != nil {
			return bad
		}
		_, bad = app.text("url", true)
		return bad
	}
	return badRequest("MenuButton has unsupported type")
}

// menuChat reads the private chat of a menu button; 0: the default.
func (c *call) menuChat() (int64, *apiError) {
	if !c.has("chat_id") {
		return 0, nil
	}
	id := parseID(c.arg("chat_id"))
	if id <= 0 {
		return 0, badRequest("Invalid chat_id specified")
	}
	if c.server.users[id] == nil {
		return 0, badRequest("User not found")
	}
	return id, nil
}

func getChatMenuButton(c *call) (any, *apiError) {
	chat, err := c.menuChat()
	if err != nil {
		return nil, err
	}
	for _, id := range []int64{chat, 0} {
		if b := c.bot.profile.menu[id]; b != nil && string(b["type"]) != `"default"` {
			return b, nil
		}
	}
	return object{"type": []byte(`"commands"`)}, nil
}

// rightsNames are the fields of ChatAdministratorRights that are always shown.
var rightsNames = strings.Fields(`is_anonymous can_manage_chat can_delete_messages can_manage_video_chats can_restrict_members
	can_promote_members can_change_info can_invite_users can_post_stories can_edit_stories can_delete_stories`)

func setMyDefaultAdministratorRights(c *call) (any, *apiError) {
	rights := object{}
	if text := c.arg("rights"); text != "" {
		o, ok, err := parseObject(text)
		if err != nil {
			return nil, badRequest("Can't parse ChatAdministratorRights JSON object")
		}
		if !ok {
			return nil, badRequest("Can't parse ChatAdministratorRights: ChatAdministratorRights must be an Object")
		}
		for name := range maps.Keys(o) {
			if _, bad := o.boolean(name); bad != nil {
				return nil, wrap("Can't parse ChatAdministratorRights", bad)
			}
		}
		rights = o
	}
	c.bot.profile.rights[c.rightsKey()] = rights
	return true, nil
}

func (c *call) rightsKey() string {
	if c.flag("for_channels") {
		return "channels"
	}
	return "groups"
}

func getMyDefaultAdministratorRights(c *call) (any, *apiError) {
	out := maps.Clone(c.bot.profile.rights[c.rightsKey()])
	if out == nil {
		out = object{}
	}
	for _, name := range rightsNames {
		if !out.has(name) {
			out[name] = []byte("false")
		}
	}
	return out, nil
}

// Profile is what customers see of a bot. The maps go by language code, the
// commands by "scope/language", e.g. "default/".
type Profile struct {
	Name             map[string]string       `json:"name"`
	Description      map[string]string       `json:"description"`
	ShortDescription map[string]string       `json:"shortDescription"`
	Commands         map[string][]BotCommand `json:"commands"`
	MenuButtons      map[int64]object        `json:"menuButtons"` // by chat; 0: the default
}

// Profile returns the bot's profile.
func (b *Bot) Profile() Profile {
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	p := b.profile
	return Profile{maps.Clone(p.name), maps.Clone(p.description), maps.Clone(p.short), maps.Clone(p.commands), maps.Clone(p.menu)}
}
