package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// load reads a configuration from flags, environment and the text of a file.
func load(t *testing.T, args []string, env map[string]string, file string) (Config, error) {
	t.Helper()
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	flags := configFlags(fs)
	if err := fs.Parse(args); err != nil {
		return Config{}, err
	}
	path := ""
	if file != "" {
		path = filepath.Join(t.TempDir(), "chartd.yaml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return loadConfig(flags, path, func(k string) string { return env[k] })
}

func TestFlagBeforeEnvironmentBeforeFileBeforeDefault(t *testing.T) {
	file := "listen: 127.0.0.1:3\nmax-upload: 3MiB\nindex-format: yaml\nallow-registry: [a, b:5]\n"
	env := map[string]string{"CHARTD_LISTEN": "127.0.0.1:2", "CHARTD_MAX_UPLOAD": "2MiB", "CHARTD_KEYRING": "x, y"}
	c, err := load(t, []string{"--listen", "127.0.0.1:1", "--insecure-registry", "p", "--insecure-registry=q", "--allow-anonymous-read"}, env, file)
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != "127.0.0.1:1" || c.MaxUpload != 2<<20 || c.IndexFormat != "yaml" || c.UploadSlots != 16 || c.Shutdown != 30*time.Second || c.AnonymousRead != "true" {
		t.Errorf("%+v", c)
	}
	if got := strings.Join(c.Registries, "+") + " " + strings.Join(c.Insecure, "+") + " " + strings.Join(c.Keyring, "+"); got != "a+b:5 p+q x+y" {
		t.Errorf("lists: %q", got)
	}
}

func TestConfigurationIsStrict(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		env  map[string]string
		file string
		want string
	}{
		"unknown key":   {file: "lissten: x\n", want: `"lissten"`},
		"double key":    {file: "listen: x\nlisten: y\n", want: "listen"},
		"list":          {file: "listen: [a]\n", want: "listen"},
		"map":           {file: "keyring: {a: b}\n", want: "keyring"},
		"not a map":     {file: "- listen\n", want: "mapping"},
		"bad size":      {file: "max-upload: lots\n", want: `"lots"`},
		"zero size":     {file: "max-upload: 0\n", want: `"0"`},
		"huge size":     {file: "max-upload: 99999999GiB\n", want: "99999999GiB"},
		"bad env":       {env: map[string]string{"CHARTD_UPLOAD_SLOTS": "-1"}, want: "CHARTD_UPLOAD_SLOTS"},
		"bad render":    {args: []string{"--render", "maybe"}, want: `"maybe"`},
		"no render-cpu": {args: []string{"--render-cpu", "0"}, want: "render-cpu 0s"},
		"bad duration":  {env: map[string]string{"CHARTD_UPLOAD_WAIT": "5"}, want: "CHARTD_UPLOAD_WAIT"},
		"bad enum":      {args: []string{"--index-format", "xml"}, want: `"xml"`},
		"bad tristate":  {args: []string{"--allow-anonymous-read=perhaps"}, want: "perhaps"},
		"empty data":    {args: []string{"--data", ""}, want: "data"},
		"yaml mistake":  {file: "a: [\n", want: "read configuration"},
		"no port":       {env: map[string]string{"CHARTD_LISTEN": "bogus"}, want: `"bogus"`},
		"empty port":    {file: "listen: 'localhost:'\n", want: `"localhost:"`},
		"large port":    {file: "listen: ':65536'\n", want: `":65536"`},
		"no listener":   {file: "listen: ''\n", want: "listen"},
		"odd host":      {file: "listen: 'a b:1'\n", want: `"a b:1"`},
		"odd metrics":   {file: "metrics-listen: nowhere\n", want: `metrics-listen "nowhere"`},
		"base, bare":    {file: "base-path: org\n", want: `"org"`},
		"base, dots":    {file: "base-path: /a/../b\n", want: `"/a/../b"`},
		"base, empty":   {file: "base-path: /a//b\n", want: `"/a//b"`},
		"base, query":   {file: "base-path: /a?b\n", want: `"/a?b"`},
		"base, anchor":  {file: "base-path: '/a#b'\n", want: `"/a#b"`},
		"base, escape":  {file: "base-path: /a%2fb\n", want: `"/a%2fb"`},
		"base, braces":  {file: "base-path: '/{a}'\n", want: `"/{a}"`},
		"bad rate":      {file: "limit-pin: 60\n", want: `limit-pin in `},
		"bad rate, env": {env: map[string]string{"CHARTD_LIMIT_READ": "many"}, want: `CHARTD_LIMIT_READ: "many": want a rate such as 60/m`},
		"no rate":       {file: "limit-failed-auth: 0/m\n", want: `"0/m"`},
		"bad log level": {args: []string{"--log-level", "loud"}, want: `"loud"`},
	} {
		if _, err := load(t, c.args, c.env, c.file); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want it to name %s", name, err, c.want)
		} else if c.args == nil && !errors.Is(err, errUsage) {
			t.Errorf("%s: %v is no usage error", name, err)
		}
	}
}

func TestAddressesAndBasePathsThatAreTaken(t *testing.T) {
	for _, addr := range []string{":8879", "localhost:0", "[::1]:80", "[fe80::1%eth0]:80", "0.0.0.0:65535", "chart-server.example.org:1"} {
		if c, err := load(t, []string{"--listen", addr, "--metrics-listen", ""}, nil, ""); err != nil || c.Listen != addr {
			t.Errorf("%s: %v", addr, err)
		}
	}
	for base, want := range map[string]string{"": "", "/": "", "/org/charts": "/org/charts", "/org/": "/org", "/a-b_c.d~e": "/a-b_c.d~e"} {
		if c, err := load(t, []string{"--base-path", base}, nil, ""); err != nil || c.BasePath != want {
			t.Errorf("%s: %q, %v", base, c.BasePath, err)
		}
	}
}

func TestWrongConfigurationMakesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	for _, args := range [][]string{{"--listen", "bogus"}, {"--metrics-listen", "bogus"}, {"--base-path", "/a//b"}} {
		for _, cmd := range []string{"serve", "config"} {
			code, out, errs := chartd(t, append([]string{cmd, "--data", dir}, args...)...)
			if code != exitUsage || out != "" || !strings.Contains(errs, args[1]) {
				t.Errorf("%s %q: exit %d %q: %s", cmd, args, code, out, errs)
			}
			if _, err := os.Stat(dir); !os.IsNotExist(err) {
				t.Errorf("%s %q made the data directory: %v", cmd, args, err)
			}
		}
	}
}

func TestEveryOptionIsDocumentedAndUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, o := range new(Config).options() {
		if o.name == "" || o.help == "" || seen[o.name] {
			t.Errorf("option %+v", o)
		}
		seen[o.name] = true
	}
	if _, err := load(t, nil, nil, ""); err != nil {
		t.Errorf("the defaults: %v", err)
	}
}

func TestLimitsAreOffExceptForWrongCredentials(t *testing.T) {
	c, err := load(t, nil, nil, "")
	if err != nil || c.LimitAuth.String() != "10/m" || c.LimitPublish.String() != "off" || c.LimitPin.String() != "off" || c.LimitRead.String() != "off" {
		t.Errorf("%+v, %v", c, err)
	}
	c, err = load(t, []string{"--limit-failed-auth", "off"}, map[string]string{"CHARTD_LIMIT_PIN": "5/s"}, "limit-read: 600/m\nlimit-pin: 1/h\n")
	if err != nil || c.LimitAuth.N != 0 || c.LimitPin.String() != "5/s" || c.LimitRead.String() != "600/m" {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestPrintedConfigurationReadsBack(t *testing.T) {
	c, err := load(t, []string{"--allow-registry", "r:5000", "--max-upload", "7MiB", "--limit-pin", "60/m"}, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := c.print(&out); err != nil {
		t.Fatal(err)
	}
	again, err := load(t, nil, nil, out.String())
	if err != nil {
		t.Fatal(err)
	}
	var second bytes.Buffer
	if err := again.print(&second); err != nil || second.String() != out.String() {
		t.Errorf("%v\n%s\n%s", err, out.String(), second.String())
	}
}
