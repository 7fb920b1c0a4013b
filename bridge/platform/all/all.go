// Package all lists the platforms. It is the one place where a platform is
// registered; nothing registers itself.
package all

import (
	"fmt"
	"sync"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform/email"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform/instagram"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform/messenger"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform/telegram"
)

// table is made once: a platform may remember what it has registered where.
var table = sync.OnceValue(func() []platform.Platform {
	return check([]platform.Platform{
		email.New(),
		instagram.New(),
		messenger.New(),
		telegram.New(),
	})
})

// check panics when two platforms have one name: each would get the other's channels.
func check(platforms []platform.Platform) []platform.Platform {
	seen := map[string]bool{}
	for _, p := range platforms {
		if p.Name() == "" || seen[p.Name()] {
			panic(fmt.Sprintf("platform %q is registered twice or has no name", p.Name()))
		}
		seen[p.Name()] = true
	}
	return platforms
}

// Platforms returns all platforms of this build, the same ones each time.
func Platforms() []platform.Platform { return append([]platform.Platform(nil), table()...) }

// ByName returns the platforms by their names.
func ByName() map[string]platform.Platform {
	byName := make(map[string]platform.Platform, len(table()))
	for _, p := range table() {
		byName[p.Name()] = p
	}
	return byName
}

// Capabilities returns what each platform can do, by name.
func Capabilities() map[string]platform.Capabilities {
	caps := make(map[string]platform.Capabilities, len(table()))
	for _, p := range table() {
		caps[p.Name()] = p.Capabilities()
	}
	return caps
}

// Parser is platform.Platform.Parse.
type Parser = func(account string, body []byte) ([]message.Event, error)

// Parsers returns each platform's parser, by name: what the store needs to
// replay its raw journal.
func Parsers() map[string]Parser {
	parsers := make(map[string]Parser, len(table()))
	for _, p := range table() {
		parsers[p.Name()] = p.Parse
	}
	return parsers
}
