package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
)

func (a *app) login() *cobra.Command {
	return &cobra.Command{
		Use:   "login SERVER",
		Short: "Check a token and keep it for a server",
		Long: `Login asks the server whether it knows the token, and keeps address and token
in $XDG_CONFIG_HOME/chartctl/config.yaml (mode 0600). The token comes from
--token-file, else from CHARTCTL_TOKEN, else from a prompt without echo, else
(when standard input is not a terminal) from standard input.`,
		Example: `  chartctl login https://charts.example.edu
  chartctl login http://127.0.0.1:8879 --token-file data/admin.token`,
		Args: args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.doLogin(cmd.Context(), args[0]) },
	}
}

func (a *app) doLogin(ctx context.Context, server string) error {
	u, err := client.ParseServer(server)
	if err != nil {
		return err
	}
	cfg, err := a.config()
	if err != nil {
		cfg = config{}
	}
	token, err := a.askToken(u)
	if err != nil {
		return err
	}
	c, err := a.newClient(u.String(), token)
	if err != nil {
		return err
	}
	me, err := c.WhoAmI(ctx)
	if api.CodeOf(err) == api.CodeNotFound {
		return &api.Error{Code: api.CodeNotFound, Message: fmt.Sprintf("no chartd is at %s: %v", u, err), Want: "correct the path in the address"}
	}
	if err != nil {
		return err
	}
	if me.Anonymous {
		return &api.Error{Code: api.CodeUnauthorized, Message: fmt.Sprintf("%s does not know this token", u)}
	}
	if cfg.Servers == nil {
		cfg.Servers = map[string]serverConfig{}
	}
	cfg.Current = u.String()
	cfg.Servers[u.String()] = serverConfig{Token: token}
	if err := a.save(cfg); err != nil {
		return err
	}
	if u.Scheme == "http" && !loopback(u) {
		a.note("note: %s is not encrypted: the token can be read on the way", u)
	}
	return a.print(me, func(w *writer) { w.line("logged in to %s as %q", u, me.Name) })
}

func loopback(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

func (a *app) askToken(u *url.URL) (string, error) {
	if a.tokenFile != "" {
		return readToken(a.tokenFile)
	}
	if t := strings.TrimSpace(a.getenv("CHARTCTL_TOKEN")); t != "" {
		return t, nil
	}
	var line string
	if isTerminal(a.in) {
		fmt.Fprintf(a.err, "token for %s: ", u)
		b, err := term.ReadPassword(int(a.in.(*os.File).Fd()))
		fmt.Fprintln(a.err)
		if err != nil {
			return "", localIO("read token from the terminal: %v", err)
		}
		line = string(b)
	} else {
		var err error
		line, err = bufio.NewReader(io.LimitReader(a.in, 64<<10)).ReadString('\n')
		if err != nil && err != io.EOF {
			return "", localIO("read token from standard input: %v", err)
		}
	}
	if line = strings.TrimSpace(line); line == "" {
		return "", usage("no token: give it on standard input, by --token-file or in CHARTCTL_TOKEN")
	}
	return line, nil
}

func (a *app) whoami() *cobra.Command {
	return listing(a, &cobra.Command{
		Use: "whoami", Short: "Show as whom the server knows you, and what you may do",
		Example: "  chartctl whoami\n  chartctl whoami -o json",
	}, (*client.Client).WhoAmI, func(w *writer, me api.WhoAmI) {
		w.field("server", w.server)
		w.field("version", me.Version)
		name := me.Name
		if me.Anonymous {
			name = "nobody (anonymous)"
		}
		w.field("name", name)
		w.field("scopes", strings.Join(me.Scopes, ", "))
	})
}
