package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/bridgekeeper/bridgekeeper/hack/simulator/meta"
	"github.com/bridgekeeper/bridgekeeper/hack/simulator/telegram"
)

// config is the program's settings: a JSON file, then flags over it.
type config struct {
	Listen            string             `json:"listen"`
	ControlListen     string             `json:"controlListen"`
	AllowHTTPWebhooks bool               `json:"allowHTTPWebhooks"`
	Seed              uint64             `json:"seed"`
	LogLevel          string             `json:"logLevel"`
	Limits            telegram.Limits    `json:"limits"`
	Bots              []telegram.BotSpec `json:"bots"`
	Users             []telegram.User    `json:"users"`
	Meta              metaConfig         `json:"meta"`
}

// metaConfig is what there is of Messenger and Instagram.
type metaConfig struct {
	Apps     []meta.AppSpec     `json:"apps"`
	Accounts []meta.AccountSpec `json:"accounts"`
	// MediaURL is the base URL of links to people's files; default: that of the
	// first call.
	MediaURL string `json:"mediaURL"`
}

// appFlags collects --meta-app, pageFlags --page.
type (
	appFlags  []meta.AppSpec
	pageFlags []meta.AccountSpec
)

func (a *appFlags) String() string  { return "" }
func (p *pageFlags) String() string { return "" }

// Set reads id:secret. The error never repeats the value.
func (a *appFlags) Set(text string) error {
	id, secret, ok := strings.Cut(text, ":")
	if !ok {
		return fmt.Errorf("use id:secret")
	}
	*a = append(*a, meta.AppSpec{ID: id, Secret: secret, HumanAgent: true})
	return nil
}

// Set reads id:app:token. The error never repeats the value.
func (p *pageFlags) Set(text string) error {
	parts := strings.SplitN(text, ":", 3)
	if len(parts) != 3 {
		return fmt.Errorf("use id:app:token")
	}
	*p = append(*p, meta.AccountSpec{ID: parts[0], App: parts[1], Token: parts[2]})
	return nil
}

// botFlags collects --bot.
type botFlags []telegram.BotSpec

func (b *botFlags) String() string { return "" }

// Set reads id:secret:username. The error never repeats the value: it holds a
// token.
func (b *botFlags) Set(text string) error {
	parts := strings.Split(text, ":")
	if len(parts) != 3 {
		return fmt.Errorf("use id:secret:username")
	}
	id, err := strconv.ParseInt(parts[0], 10, 64)
	if err != nil {
		return fmt.Errorf("the id is a number: use id:secret:username")
	}
	*b = append(*b, telegram.BotSpec{ID: id, Secret: parts[1], Username: parts[2]})
	return nil
}

// load reads flags and file.
func load(args []string) (config, error) {
	cfg := config{Listen: ":8081", ControlListen: ":8082", LogLevel: "info"}
	fs := flag.NewFlagSet("simulator", flag.ContinueOnError)
	file := fs.String("config", "", "JSON file with the same settings and users; flags win")
	listen := fs.String("listen", "", "address of the platforms' APIs (default :8081)")
	controlListen := fs.String("control-listen", "", "address of the control API (default :8082)")
	allowHTTP := fs.Bool("allow-http-webhooks", false, "accept webhooks with http, any port and private addresses")
	seed := fs.Uint64("seed", 0, "seed of ids and faults, for a run that can be repeated (default: another one every time)")
	level := fs.String("log-level", "", "debug, info, warn or error (default info)")
	var bots botFlags
	var apps appFlags
	var pages pageFlags
	fs.Var(&apps, "meta-app", "a Meta app as id:secret; may be repeated")
	fs.Var(&pages, "page", "a Facebook page as id:app:token; may be repeated")
	fs.Var(&bots, "bot", "a Telegram bot as id:secret:username; may be repeated")
	fs.Usage = func() {
		fmt.Fprintln(fs.Output(), "Simulator plays Telegram, Messenger and Instagram, and you their customers; see hack/simulator/README.md.\n\nFlags:")
		fs.PrintDefaults()
	}
	if err := fs.Parse(args); err != nil {
		return cfg, err
	}
	if fs.NArg() > 0 {
		return cfg, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	if *file != "" {
		if err := readFile(*file, &cfg); err != nil {
			return cfg, err
		}
	}
	fs.Visit(func(f *flag.Flag) {
		switch f.Name {
		case "listen":
			cfg.Listen = *listen
		case "control-listen":
			cfg.ControlListen = *controlListen
		case "allow-http-webhooks":
			cfg.AllowHTTPWebhooks = *allowHTTP
		case "seed":
			cfg.Seed = *seed
		case "log-level":
			cfg.LogLevel = *level
		}
	})
	cfg.Bots = append(cfg.Bots, bots...)
	cfg.Meta.Apps, cfg.Meta.Accounts = append(cfg.Meta.Apps, apps...), append(cfg.Meta.Accounts, pages...)
	return cfg, nil
}

// options turns the settings into those of the platform. Without a seed, ids
// follow the clock: a bridge that outlives the simulator must not see ids of
// the simulator's former life again, which it would take for duplicates.
func (c config) options(now time.Time) telegram.Options {
	opt := telegram.Options{AllowHTTP: c.AllowHTTPWebhooks, Seed: c.Seed, Limits: c.Limits}
	if c.Seed == 0 {
		opt.Seed = uint64(now.UnixNano())
		// Below 2^31, the limit of message ids, until 2093; one second of time is
		// one id, and no test sends a message per second for its whole life.
		opt.FirstID = now.Unix() - time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	}
	return opt
}

// addTo makes the apps, then the accounts, which name them.
func (m metaConfig) addTo(s *meta.Server) error {
	for _, a := range m.Apps {
		if err := s.AddApp(a); err != nil {
			return err
		}
	}
	for _, a := range m.Accounts {
		if err := s.AddAccount(a); err != nil {
			return err
		}
	}
	return nil
}

func readFile(path string, cfg *config) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(cfg); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
