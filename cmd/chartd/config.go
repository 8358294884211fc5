package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"chartd.dev/chartd/internal/server"
	"github.com/spf13/pflag"
)

// errUsage marks an error of the command line, the environment or the
// configuration file: exit 2.
var errUsage = errors.New("usage")

// Config is every option of the server. An option is added here and nowhere
// else: the name is its flag, in capitals after CHARTD_ its environment
// variable, and its key in the configuration file. A flag goes before the
// environment, that before the file, that before the default.
type Config struct {
	Listen        string        `name:"listen" default:"127.0.0.1:8879" help:"address to serve on; port 0 takes a free one"`
	Data          string        `name:"data" default:"chartd-data" help:"data directory"`
	AddrFile      string        `name:"addr-file" help:"file to write the served URL to, once it answers"`
	BasePath      string        `name:"base-path" help:"path that everything is served under, such as /org/charts behind a proxy"`
	MetricsListen string        `name:"metrics-listen" default:"127.0.0.1:0" help:"address of the metrics and pprof listener; empty for none"`
	AnonymousRead tristate      `name:"allow-anonymous-read" default:"auto" help:"let callers without a token read: true, false, or auto (only on a loopback listener without a base path)"`
	IndexFormat   string        `name:"index-format" default:"json" help:"format of index.yaml: json (which is YAML too) or yaml"`
	ArtifactHub   string        `name:"artifacthub-repo" help:"file to serve as artifacthub-repo.yml"`
	MaxUpload     size          `name:"max-upload" default:"20MiB" help:"largest upload"`
	MaxUnpacked   size          `name:"max-unpacked" default:"100MiB" help:"largest chart when unpacked, headers included"`
	MaxEntries    int           `name:"max-entries" default:"10000" help:"most files in a chart"`
	UploadSlots   int           `name:"upload-slots" default:"16" help:"uploads that run at once"`
	UploadWait    time.Duration `name:"upload-wait" default:"5s" help:"how long an upload waits for a slot before it is sent away"`
	LimitAuth     server.Rate   `name:"limit-failed-auth" default:"10/m" help:"wrong credentials of an address, after which more of them are answered 429; a right one never is"`
	LimitPublish  server.Rate   `name:"limit-publish" default:"off" help:"uploads of a token, such as 60/m (per s, m or h); more are answered 429"`
	LimitPin      server.Rate   `name:"limit-pin" default:"off" help:"pins of a token, such as 60/m"`
	LimitRead     server.Rate   `name:"limit-read" default:"off" help:"reads of a token, or of an address without one, such as 600/m"`
	Registries    []string      `name:"allow-registry" help:"registry HOST[:PORT] that may have a private address (repeatable)"`
	Insecure      []string      `name:"insecure-registry" help:"registry HOST[:PORT] that is spoken to in plain HTTP (repeatable)"`
	Mirrors       []string      `name:"registry-mirror" help:"HOST=MIRROR[:PORT]: read images of HOST at MIRROR (repeatable)"`
	DockerConfig  string        `name:"docker-config" help:"directory of the Docker config.json with registry credentials (default: the usual place)"`
	Keyring       []string      `name:"keyring" help:"public keyring that provenance signatures are checked against (repeatable)"`
	Webhooks      []string      `name:"allow-webhook" help:"HOST[:PORT] that webhooks may be sent to although it has a private address or speaks plain HTTP (repeatable)"`
	TagCheck      time.Duration `name:"tag-check" default:"6h" help:"how often to look whether the tags of what is pinned have moved; 0 never"`
	Shutdown      time.Duration `name:"shutdown-timeout" default:"30s" help:"how long a stop waits for requests in flight"`
	LogFormat     string        `name:"log-format" default:"auto" help:"text, json, or auto (text on a terminal)"`
	LogLevel      string        `name:"log-level" default:"info" help:"debug, info, warn or error"`
}

// tristate is true, false or "auto".
type tristate string

// size is a number of bytes, written with an optional unit.
type size int64

// option is one field of Config.
type option struct {
	name, def, help string
	field           int
	many            bool
}

func options() []option {
	t := reflect.TypeFor[Config]()
	out := make([]option, 0, t.NumField())
	for i := range t.NumField() {
		f := t.Field(i)
		out = append(out, option{
			name: f.Tag.Get("name"), def: f.Tag.Get("default"), help: f.Tag.Get("help"),
			field: i, many: f.Type.Kind() == reflect.Slice,
		})
	}
	return out
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
	if !g.many {
		g.values = nil
	}
	g.values = append(g.values, s)
	return new(Config).set(g.option, g.values)
}

func (g *given) Type() string {
	switch reflect.TypeFor[Config]().Field(g.field).Type.Kind() {
	case reflect.Bool:
		return "bool"
	case reflect.Int:
		return "int"
	}
	return "string"
}

// configFlags adds a flag for each option of Config, or for those named.
func configFlags(fs *pflag.FlagSet, only ...string) map[string]*given {
	out := map[string]*given{}
	for _, o := range options() {
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
	for _, o := range options() {
		values, from := []string{o.def}, "default of "+o.name
		if v, ok := inFile[o.name]; ok {
			values, from = v, "key "+o.name+" in "+file
		}
		if v := getenv(o.env()); v != "" {
			values, from = []string{v}, o.env()
			if o.many {
				values = strings.Split(v, ",")
			}
		}
		if g := flags[o.name]; g != nil && g.values != nil {
			values, from = g.values, "--"+o.name
		}
		if err := c.set(o, values); err != nil {
			return Config{}, fmt.Errorf("%w: %s: %w", errUsage, from, err)
		}
	}
	return c, c.check()
}

// set parses the values of one option into its field.
func (c *Config) set(o option, values []string) error {
	v := reflect.ValueOf(c).Elem().Field(o.field)
	if o.many {
		list := []string{}
		for _, s := range values {
			if s = strings.TrimSpace(s); s != "" {
				list = append(list, s)
			}
		}
		v.Set(reflect.ValueOf(list))
		return nil
	}
	if len(values) != 1 {
		return fmt.Errorf("want one value, not %d", len(values))
	}
	text := values[0]
	switch p := v.Addr().Interface().(type) {
	case *string:
		*p = text
	case *tristate:
		if text != "true" && text != "false" && text != "auto" {
			return fmt.Errorf("%q: want true, false or auto", text)
		}
		*p = tristate(text)
	case *int:
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return fmt.Errorf("%q: want a number above 0", text)
		}
		*p = n
	case *size:
		n, err := parseSize(text)
		if err != nil {
			return err
		}
		*p = n
	case *server.Rate:
		r, err := server.ParseRate(text)
		if err != nil {
			return err
		}
		*p = r
	case *time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 {
			return fmt.Errorf("%q: want a duration such as 30s or 5m", text)
		}
		*p = d
	default:
		panic("option " + o.name + " has a type that set does not know")
	}
	return nil
}

// check refuses what no single value shows to be wrong.
func (c *Config) check() error {
	for _, e := range []struct{ name, value, want string }{
		{"index-format", c.IndexFormat, "json yaml"},
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
	var err error
	if c.BasePath, err = server.CleanBase(c.BasePath); err != nil {
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

func parseSize(s string) (size, error) {
	text, unit := s, int64(1)
	for _, u := range []struct {
		suffix string
		bytes  int64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"B", 1}} {
		if t, ok := strings.CutSuffix(s, u.suffix); ok {
			text, unit = strings.TrimSpace(t), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 || n > (1<<40)/unit {
		return 0, fmt.Errorf("%q: want a size such as 20MiB", s)
	}
	return size(n * unit), nil
}
