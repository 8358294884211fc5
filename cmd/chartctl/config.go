package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v4"

	"chartd.dev/chartd/internal/client"
)

// config is the file that "chartctl login" writes, mode 0600. A token is kept
// for the server that it belongs to and sent to no other.
type config struct {
	Current string                  `yaml:"current"` // address of the server used without --server
	Servers map[string]serverConfig `yaml:"servers"`
}

type serverConfig struct {
	Token string `yaml:"token"`
}

const maxConfig = 1 << 20

func (a *app) configPath() (string, error) {
	dir := a.getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(dir) {
		home := a.getenv("HOME")
		if home == "" {
			return "", localIO("neither XDG_CONFIG_HOME nor HOME is set, so there is no place for the config file")
		}
		dir = filepath.Join(home, ".config")
	}
	return filepath.Join(dir, "chartctl", "config.yaml"), nil
}

// config reads the config file. One that does not exist is empty.
func (a *app) config() (config, error) {
	var c config
	name, err := a.configPath()
	if err != nil {
		return c, nil // nothing was stored, and flags may say it all
	}
	b, err := readFile(name, maxConfig)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, localIO("read config file: %v", err)
	}
	if err := yaml.Unmarshal(b, &c); err != nil {
		return c, usage("config file %q is not what chartctl login writes: log in again to replace it", name)
	}
	return c, nil
}

// save replaces the config file as a whole.
func (a *app) save(c config) error {
	name, err := a.configPath()
	if err != nil {
		return err
	}
	b, err := yaml.Marshal(c)
	if err != nil {
		return err
	}
	dir := filepath.Dir(name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return localIO("save config file: %v", err)
	}
	f, err := os.CreateTemp(dir, ".config-*") // mode 0600
	if err != nil {
		return localIO("save config file: %v", err)
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name())
		return localIO("save config file: %v", err)
	}
	return nil
}

// client makes the client of the server that the flags, the environment or
// the last login name.
func (a *app) client() (*client.Client, error) { return a.clientAt("") }

// clientAt prefers the server of a deploy repo to that of the last login. A
// token that was given by itself is not sent there: whoever can change a file
// of the repo would get it.
func (a *app) clientAt(repo string) (*client.Client, error) {
	cfg, err := a.config()
	if err != nil {
		return nil, err
	}
	chosen := cmp.Or(a.server, a.getenv("CHARTCTL_SERVER"))
	server := cmp.Or(chosen, repo, cfg.Current)
	if server == "" {
		return nil, usage("no server: log in with chartctl login URL, or give --server or CHARTCTL_SERVER")
	}
	u, err := client.ParseServer(server)
	if err != nil {
		return nil, err
	}
	if chosen == "" && repo != "" && u.String() != cfg.Current && (a.tokenFile != "" || a.getenv("CHARTCTL_TOKEN") != "") {
		return nil, usage("the server %q is only named by the deploy repo's .chartctl.yaml, and your token is not sent there by that alone: name it too, with --server or CHARTCTL_SERVER", repo)
	}
	if named, err := client.ParseServer(cmp.Or(repo, server)); err != nil || named.String() != u.String() {
		a.note("note: the server of .chartctl.yaml is %s, and %s is asked, because --server or CHARTCTL_SERVER says so", repo, u)
	}
	token := cmp.Or(a.getenv("CHARTCTL_TOKEN"), cfg.Servers[u.String()].Token)
	if a.tokenFile != "" {
		if token, err = readToken(a.tokenFile); err != nil {
			return nil, err
		}
	}
	return a.newClient(u.String(), strings.TrimSpace(token))
}

func (a *app) newClient(server, token string) (*client.Client, error) {
	return client.New(client.Options{Server: server, Token: token, UserAgent: "chartctl/" + buildVersion()})
}

func readToken(name string) (string, error) {
	b, err := readFile(name, 64<<10)
	if err != nil {
		return "", localIO("read token: %v", err)
	}
	token := strings.TrimSpace(string(b))
	if token == "" {
		return "", usage("token file %q is empty", name)
	}
	return token, nil
}

// readFile reads at most max bytes; a longer file is an error.
func readFile(name string, max int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, max+1))
	if err == nil && int64(len(b)) > max {
		err = &fs.PathError{Op: "read", Path: name, Err: errors.New("file is too large")}
	}
	return b, err
}

// line is what a person types; an end of input is none.
func (a *app) line() string {
	line, _ := bufio.NewReader(a.in).ReadString('\n')
	return strings.TrimSpace(line)
}

// yes reports whether a person agrees.
func (a *app) yes() bool {
	switch strings.ToLower(a.line()) {
	case "y", "yes":
		return true
	}
	return false
}

// readInput reads a file, or standard input for "-", and never more than max
// bytes.
func (a *app) readInput(name string, max int64) ([]byte, error) {
	if name != "-" {
		return readFile(name, max)
	}
	b, err := io.ReadAll(io.LimitReader(a.in, max+1))
	if err == nil && int64(len(b)) > max {
		err = &os.PathError{Op: "read", Path: "standard input", Err: fmt.Errorf("more than %d bytes", max)}
	}
	return b, err
}
