package main

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"chartd.dev/chartd/internal/advice"
	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
)

func (a *app) token() *cobra.Command {
	c := &cobra.Command{
		Use: "token", Short: "Create, list and revoke tokens",
		Example: "  chartctl token create ci --scope read --scope publish:jupyterhub\n  chartctl token list",
	}
	return group(c, a.tokenCreate(), a.tokenList(), a.tokenRevoke())
}

func (a *app) tokenCreate() *cobra.Command {
	var scopes []string
	var ttl string
	c := &cobra.Command{
		Use:   "create NAME --scope S…",
		Short: "Make a token and print it, once",
		Long: `The token is printed on standard output, once; the server keeps only its hash.
Its name is the "who" of every change made with it.

Scopes, none of which implies another, except that every token reads; GLOB is a pattern such as * or data8/*:
  read                   charts, bindings, environments
  publish:GLOB           publish charts            import          take over a repository
  bind:GLOB              bind, revoke, bump --image
  yank:GLOB, purge:GLOB  withdraw versions
  pin:GLOB               bump, promote, roll back environments
  env                    create and adopt          audit           read the journal
  admin                  tokens, backup, check`,
		Example: `  chartctl token create ci --scope read --scope publish:jupyterhub --ttl 30d
  chartctl token create deploy --scope read,pin:data8/*`,
		Args: args(1, 1),
	}
	c.Flags().StringSliceVar(&scopes, "scope", nil, "what it may do (required, repeatable)")
	c.Flags().StringVar(&ttl, "ttl", "90d", "how long it is valid, such as 12h or 90d; 0: for ever")
	c.RunE = printing(a, func(ctx context.Context, c *client.Client, args []string) (t api.TokenSecret, err error) {
		if len(scopes) == 0 {
			return t, usage("token create %s: --scope is missing: a token without scope is of no use", args[0])
		}
		d, err := parseTTL(ttl)
		if err != nil {
			return t, err
		}
		t, err = c.CreateToken(ctx, api.TokenRequest{Name: args[0], Scopes: scopes, TTL: d})
		if err == nil && a.output == "table" {
			a.note("token %q (%s), scopes %s, %s; it is shown this once:", t.Name, t.ID, strings.Join(t.Scopes, ", "), expiry(t.Token))
		}
		return t, err
	}, func(w *writer, t api.TokenSecret) { w.line("%s", t.Secret) })
	return c
}

// parseTTL takes Go durations and days, and returns what the server takes.
func parseTTL(s string) (string, error) {
	if s == "0" {
		return s, nil
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil || n == 0 {
			return "", usage("ttl %q is not a duration such as 12h or 90d", s)
		}
		return strconv.FormatUint(n*24, 10) + "h", nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return "", usage("ttl %q is not a duration such as 12h or 90d", s)
	}
	return s, nil
}

func expiry(t api.Token) string {
	if t.Expires.IsZero() {
		return "valid for ever"
	}
	return "valid until " + when(t.Expires)
}

func (a *app) tokenList() *cobra.Command {
	return listing(a, &cobra.Command{Use: "list", Short: "List tokens, without their secrets", Example: "  chartctl token list"},
		(*client.Client).Tokens, func(w *writer, list api.Tokens) {
			tableOf(w, []string{"ID", "NAME", "SCOPES", "CREATED", "EXPIRES", "LAST USED"}, list.Tokens, func(t api.Token) []string {
				expires := "never"
				switch {
				case t.Revoked:
					expires = "revoked"
				case !t.Expires.IsZero():
					expires = when(t.Expires)
				}
				return []string{t.ID, t.Name, strings.Join(t.Scopes, ","), when(t.Created), expires, when(t.LastUsed)}
			})
		})
}

func (a *app) tokenRevoke() *cobra.Command {
	return &cobra.Command{
		Use: "revoke ID|NAME", Short: "End a token: nothing more is read or written with it",
		Long: `The token ends at once, also for what is under way. It is given by its ID, or by its
name while it is not revoked; where one token's ID is another one's name, the ID
counts.`,
		Example: "  chartctl token list\n  chartctl token revoke 4f2a9c\n  chartctl token revoke ci",
		Args:    args(1, 1),
		RunE: printing(a, func(ctx context.Context, c *client.Client, args []string) (map[string]string, error) {
			list, err := c.Tokens(ctx)
			if err != nil {
				return nil, err
			}
			t, err := findToken(list.Tokens, args[0])
			if err != nil {
				return nil, err
			}
			return map[string]string{"revoked": t.ID, "name": t.Name}, c.RevokeToken(ctx, t.ID)
		}, func(w *writer, t map[string]string) { w.line("revoked token %s (%s)", t["revoked"], t["name"]) }),
	}
}

// findToken takes the token with that ID, else the one with that name which
// is not revoked.
func findToken(list []api.Token, s string) (api.Token, error) {
	var named []api.Token
	for _, t := range list {
		if t.ID == s {
			return t, nil
		}
		if t.Name == s && !t.Revoked {
			named = append(named, t)
		}
	}
	switch len(named) {
	case 0:
		return api.Token{}, api.Errorf(api.CodeNotFound, "no token has the ID %q, and none that is not revoked has that name; %s shows them", s, advice.TokenList)
	case 1:
		return named[0], nil
	}
	return api.Token{}, usage("%d tokens have the name %q: give the ID; chartctl token list shows it", len(named), s)
}
