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
	fs.Var(&bots, "bot", "a Telegram bot as id:secret:username; may be repeated")
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
