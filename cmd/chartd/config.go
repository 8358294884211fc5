package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"chartd.dev/chartd/internal/transport"
	"github.com/spf13/pflag"
)

// errUsage marks an error of the command line, the environment or the
// configuration file: exit 2.
var errUsage = errors.New("usage")

// Config is what the options of the server are set to.
type Config struct {
	Listen, MetricsListen, BasePath string
	Data, AddrFile, ArtifactHub     string
	IndexFormat                     string // json or yaml
	LogFormat, LogLevel             string
	AnonymousRead                   tristate

	MaxUpload, MaxUnpacked  size
	RequestMemory           size
	MaxEntries, UploadSlots int
	UploadWait, Shutdown    time.Duration
	TagCheck                time.Duration // 0: never

	LimitAuth, LimitPublish, LimitPin, LimitRead transport.Rate

	Render                     string // on or off
	RenderCPU                  time.Duration
	RenderMemory, RenderOutput size

	Registries, Insecure, Mirrors []string
	DockerConfig                  string
	Keyring, Webhooks             []string
}

// option is one option of the server: its name is its flag, in capitals after
// CHARTD_ its environment variable, and its key in the configuration file. A
// flag goes before the environment, that before the file, that before the
// default.
type option struct {
	name, def, help string
	value
}

// options are all of them, in the order in which they are printed; each sets
// its field of c. An option is added here.
func (c *Config) options() []option {
	return []option{
		{"listen", "127.0.0.1:8879", "address to serve on; port 0 takes a free one", text(&c.Listen)},
		{"data", "chartd-data", "data directory", text(&c.Data)},
		{"addr-file", "", "file to write the served URL to, once it answers", text(&c.AddrFile)},
		{"base-path", "", "path that everything is served under, such as /org/charts behind a proxy", text(&c.BasePath)},
		{"metrics-listen", "127.0.0.1:0", "address of the metrics and pprof listener; empty for none", text(&c.MetricsListen)},
		{"allow-anonymous-read", "auto", "let callers without a token read: true, false, or auto (only on a loopback listener without a base path)", parsed(&c.AnonymousRead, parseTristate)},
		{"index-format", "json", "format of index.yaml: json (which is YAML too) or yaml", text(&c.IndexFormat)},
		{"artifacthub-repo", "", "file to serve as artifacthub-repo.yml", text(&c.ArtifactHub)},
		{"max-upload", "20MiB", "largest upload", parsed(&c.MaxUpload, parseSize)},
		{"max-unpacked", "100MiB", "largest chart when unpacked, headers included", parsed(&c.MaxUnpacked, parseSize)},
		{"max-entries", "10000", "most files in a chart", parsed(&c.MaxEntries, parseCount)},
		{"request-memory", "128MiB", "memory that bodies being read and answers being made hold at once; one token has half of it", parsed(&c.RequestMemory, parseSize)},
		{"upload-slots", "16", "uploads that run at once", parsed(&c.UploadSlots, parseCount)},
		{"upload-wait", "5s", "how long an upload waits for a slot before it is sent away", parsed(&c.UploadWait, parseDuration)},
		{"limit-failed-auth", "10/m", "wrong credentials of an address, after which more of them are answered 429; a right one never is", parsed(&c.LimitAuth, transport.ParseRate)},
		{"limit-publish", "off", "uploads of a token, such as 60/m (per s, m or h); more are answered 429", parsed(&c.LimitPublish, transport.ParseRate)},
		{"limit-pin", "off", "pins of a token, such as 60/m", parsed(&c.LimitPin, transport.ParseRate)},
		{"limit-read", "off", "reads of a token, or of an address without one, such as 600/m", parsed(&c.LimitRead, transport.ParseRate)},
		{"render", "on", "render published charts, each in a process of its own, to find their images: on or off", text(&c.Render)},
		{"render-cpu", "10s", "processor time that rendering a chart may take", parsed(&c.RenderCPU, parseDuration)},
		{"render-memory", "512MiB", "memory that rendering a chart may take", parsed(&c.RenderMemory, parseSize)},
		{"render-output", "16MiB", "most text that a chart may render", parsed(&c.RenderOutput, parseSize)},
		{"allow-registry", "", "registry HOST[:PORT] that may have a private address (repeatable)", list{&c.Registries}},
		{"insecure-registry", "", "registry HOST[:PORT] that is spoken to in plain HTTP (repeatable)", list{&c.Insecure}},
		{"registry-mirror", "", "HOST=MIRROR[:PORT]: read images of HOST at MIRROR (repeatable)", list{&c.Mirrors}},
		{"docker-config", "", "directory of the Docker config.json with registry credentials (default: the usual place)", text(&c.DockerConfig)},
		{"keyring", "", "public keyring that provenance signatures are checked against (repeatable)", list{&c.Keyring}},
		{"allow-webhook", "", "HOST[:PORT] that webhooks may be sent to although it has a private address or speaks plain HTTP (repeatable)", list{&c.Webhooks}},
		{"tag-check", "6h", "how often to look whether the tags of what is pinned have moved; 0 never", parsed(&c.TagCheck, parseDuration)},
		{"shutdown-timeout", "30s", "how long a stop waits for requests in flight", parsed(&c.Shutdown, parseDuration)},
		{"log-format", "auto", "text, json, or auto (text on a terminal)", text(&c.LogFormat)},
		{"log-level", "info", "debug, info, warn or error", text(&c.LogLevel)},
	}
}

// value is a field of Config as its sources write it.
type value interface {
	set(texts []string) error
	plain() any // as a configuration file has it
}

func (o option) many() bool {
	_, ok := o.value.(list)
	return ok
}

func (o option) env() string {
	return "CHARTD_" + strings.ToUpper(strings.ReplaceAll(o.name, "-", "_"))
}

// given keeps what one flag was given; it becomes a value only when all
// sources are known.
type given struct {
	option
	values []string
}

func (g *given) String() string { return g.def }
func (g *given) Set(s string) error {
	if !g.many() {
		g.values = nil
	}
	g.values = append(g.values, s)
	return g.set(g.values)
}

func (g *given) Type() string {
	if _, ok := g.plain().(int); ok {
		return "int"
	}
	return "string"
}

// configFlags adds a flag for each option of Config, or for those named.
func configFlags(fs *pflag.FlagSet, only ...string) map[string]*given {
	out := map[string]*given{}
	for _, o := range new(Config).options() {
		if len(only) > 0 && !slices.Contains(only, o.name) {
			continue
		}
		g := &given{option: o}
		f := fs.VarPF(g, o.name, "", o.help+" ["+o.env()+"]")
		if o.name == "allow-anonymous-read" {
			f.NoOptDefVal = "true"
		}
		out[o.name] = g
	}
	fs.String("config", "", "YAML file with these options as keys [CHARTD_CONFIG]")
	return out
}

// loadConfig puts the sources together.
func loadConfig(flags map[string]*given, file string, getenv func(string) string) (Config, error) {
	if file == "" {
		file = getenv("CHARTD_CONFIG")
	}
	inFile := map[string][]string{}
	if file != "" {
		var err error
		if inFile, err = readConfigFile(file); err != nil {
			return Config{}, err
		}
	}
	var c Config
	for _, o := range c.options() {
		values, from := []string{o.def}, "default of "+o.name
		if v, ok := inFile[o.name]; ok {
			values, from = v, "key "+o.name+" in "+file
		}
		if v := getenv(o.env()); v != "" {
			values, from = []string{v}, o.env()
			if o.many() {
				values = strings.Split(v, ",")
			}
		}
		if g := flags[o.name]; g != nil && g.values != nil {
			values, from = g.values, "--"+o.name
		}
		if err := o.set(values); err != nil {
			return Config{}, fmt.Errorf("%w: %s: %w", errUsage, from, err)
		}
	}
	return c, c.check()
}

// check refuses what no single value shows to be wrong.
func (c *Config) check() error {
	for _, e := range []struct{ name, value, want string }{
		{"index-format", c.IndexFormat, "json yaml"},
		{"render", c.Render, "on off"},
		{"log-format", c.LogFormat, "auto text json"},
		{"log-level", c.LogLevel, "debug info warn error"},
	} {
		if !slices.Contains(strings.Fields(e.want), e.value) {
			return fmt.Errorf("%w: %s %q: want one of %s", errUsage, e.name, e.value, e.want)
		}
	}
	if c.Data == "" {
		return fmt.Errorf("%w: data is empty, want a directory", errUsage)
	}
	if err := checkAddress(c.Listen); err != nil {
		return fmt.Errorf("%w: listen %w", errUsage, err)
	}
	if err := checkAddress(c.MetricsListen); err != nil && c.MetricsListen != "" {
		return fmt.Errorf("%w: metrics-listen %w", errUsage, err)
	}
	if c.RenderCPU < time.Second {
		return fmt.Errorf("%w: render-cpu %s: want whole seconds, 1s or more; --render=off renders nothing", errUsage, c.RenderCPU)
	}
	var err error
	if c.BasePath, err = transport.CleanBase(c.BasePath); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	return nil
}

// checkAddress refuses what can be no address to listen on, before anything
// is made for a server that will not start.
func checkAddress(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	_, notIP := netip.ParseAddr(host)
	odd := strings.ContainsFunc(host, func(r rune) bool {
		return r > '~' || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-._", r)
	})
	if err != nil || host != "" && notIP != nil && odd {
		return fmt.Errorf("%q: want HOST:PORT such as 127.0.0.1:8879, with a port from 0 to 65535", addr)
	}
	return nil
}
