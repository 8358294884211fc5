package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
)

func (a *app) webhook() *cobra.Command {
	c := &cobra.Command{
		Use:   "webhook",
		Short: "Make, list and delete receivers of events",
		Long: `A webhook is sent each event as a POST with a JSON body: in the order of the
journal, again and again until it answers with a status of 200 to 299, and
therefore at least once. Chartd-Delivery is the same at each try. The header
Chartd-Signature is "sha256=" and the hexadecimal HMAC-SHA256, with the
webhook's secret, of Chartd-Timestamp, a dot and the body. All of it wants the
scope admin.`,
		Example: `  chartctl webhook create https://chat.example.edu/hooks/1 --kind halted --kind refused
  chartctl webhook list`,
	}
	return group(c, a.webhookCreate(), a.webhookList(), a.webhookDelete())
}

func (a *app) webhookCreate() *cobra.Command {
	var in api.WebhookRequest
	c := &cobra.Command{
		Use:   "create URL",
		Short: "Make a webhook and print its secret, this once",
		Long: `The server sends to public addresses by https only, unless its operator allowed
the host with --allow-webhook. What happened before is not sent.`,
		Example: `  chartctl webhook create https://chat.example.edu/hooks/1
  chartctl webhook create https://chat.example.edu/hooks/1 --kind halted --kind resolved`,
		Args: args(1, 1),
	}
	c.Flags().StringArrayVar(&in.Kinds, "kind", nil, "only events of this kind (repeatable); chartctl events --help lists them")
	c.RunE = printing(a, func(ctx context.Context, c *client.Client, args []string) (api.WebhookSecret, error) {
		in.URL = args[0]
		return c.CreateWebhook(ctx, in)
	}, func(w *writer, h api.WebhookSecret) {
		w.field("webhook", h.ID)
		w.field("url", h.URL)
		w.field("kinds", cmp.Or(strings.Join(h.Kinds, ", "), "all"))
		w.field("secret", h.Secret)
		w.line("The secret is not shown again; the receiver checks signatures with it.")
	})
	return c
}

func (a *app) webhookList() *cobra.Command {
	return listing(a, &cobra.Command{Use: "list", Short: "List the webhooks and how far each was served", Example: "  chartctl webhook list"},
		(*client.Client).Webhooks, func(w *writer, list api.Webhooks) {
			tableOf(w, []string{"WEBHOOK", "URL", "KINDS", "DONE", "LAST TRY", "STATE"}, list.Webhooks, func(h api.Webhook) []string {
				state := "ok"
				if h.Failed > 0 {
					state = fmt.Sprintf("failed %s: %s", plural(h.Failed, "time"), h.Error)
				}
				return []string{h.ID, h.URL, cmp.Or(strings.Join(h.Kinds, ","), "all"), fmt.Sprint(h.Seq), when(h.At), state}
			})
		})
}

func (a *app) webhookDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete WEBHOOK", Short: "Delete a webhook; what it was not sent yet it will not get", Example: "  chartctl webhook delete 3f2a1b4c5d6e",
		Args: args(1, 1),
		RunE: printing(a, func(ctx context.Context, c *client.Client, args []string) (map[string]string, error) {
			return map[string]string{"deleted": args[0]}, c.DeleteWebhook(ctx, args[0])
		}, func(w *writer, h map[string]string) { w.line("deleted webhook %s", h["deleted"]) }),
	}
}
