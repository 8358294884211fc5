package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"chartd.dev/chartd/internal/client"
)

// completing asks the server on behalf of the shell: quickly, or not at all.
func (a *app) completing(ask func(ctx context.Context, c *client.Client) []string) ([]string, cobra.ShellCompDirective) {
	c, err := a.client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return ask(ctx, c), cobra.ShellCompDirectiveNoFileComp
}

func (a *app) completeEnvs(_ *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
	return a.completing(func(ctx context.Context, c *client.Client) (out []string) {
		list, _ := c.Environments(ctx)
		for _, e := range list.Environments {
			if s := e.Env.String(); strings.HasPrefix(s, prefix) {
				out = append(out, s)
			}
		}
		return out
	})
}

func (a *app) completeCharts(_ *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
	name, _, withVersion := strings.Cut(prefix, "@")
	return a.completing(func(ctx context.Context, c *client.Client) (out []string) {
		q := client.ChartQuery{}
		if withVersion {
			q.Name = name
		}
		seen := map[string]bool{}
		for ch, err := range c.AllCharts(ctx, q) {
			if err != nil {
				return out
			}
			s := ch.Name
			if withVersion {
				s += "@" + ch.Version
			}
			if strings.HasPrefix(s, prefix) && !seen[s] {
				seen[s] = true
				out = append(out, s)
			}
		}
		return out
	})
}
