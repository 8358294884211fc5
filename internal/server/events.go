package server

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/transport"
	"chartd.dev/chartd/lock"
)

const maxWebhookURL = 1 << 10

type eventsRequest struct {
	Limit uint64  `query:"limit" default:"100" min:"1" max:"1000"`
	Wait  uint64  `query:"wait" max:"30"` // seconds
	After *uint64 `query:"after"`
}

// events answers with what happened after a line of the journal, and waits for
// it where the caller asks for that. Without after it says where the journal
// ends.
func (s *Server) events(c *call, in eventsRequest) (api.Events, error) {
	if in.After == nil {
		end, err := s.Feed.End(c.Context())
		return api.Events{Events: []api.Event{}, Next: end}, err
	}
	if c.R.Method == http.MethodHead {
		in.Wait = 0
	}
	list, next, err := s.Feed.Wait(c.Context(), *in.After, int(in.Limit), time.Duration(in.Wait)*time.Second)
	return api.Events{Events: list, Next: next}, err
}

func (s *Server) webhooks(c *call, _ none) (api.Webhooks, error) {
	list, err := s.Lock.Webhooks(c.Context())
	return api.Webhooks{Webhooks: each(list, webhookOf)}, err
}

func webhookOf(w lock.WebhookState) api.Webhook {
	return api.Webhook{
		ID: w.ID, URL: w.URL, Kinds: w.Kinds, Created: w.Created, By: w.By,
		Seq: w.Cursor.Seq, At: w.Cursor.At, Failed: w.Cursor.Failed, Error: w.Cursor.Error,
	}
}

// createWebhook takes no Idempotency-Key: the secret is not told twice.
func (s *Server) createWebhook(c *call, in api.WebhookRequest) (api.WebhookSecret, error) {
	if err := s.checkWebhook(in); err != nil {
		return api.WebhookSecret{}, err
	}
	var id [6]byte
	var secret [32]byte
	rand.Read(id[:]) // never fails: the runtime ends the process instead
	rand.Read(secret[:])
	w, err := s.Lock.CreateWebhook(c.Context(), c.opOnce("webhook create"), lock.Webhook{
		ID: hex.EncodeToString(id[:]), URL: in.URL, Kinds: in.Kinds, Secret: "whsec_" + base64.RawURLEncoding.EncodeToString(secret[:]),
	})
	c.Set("Cache-Control", "no-store")
	return api.WebhookSecret{Webhook: webhookOf(lock.WebhookState{Webhook: w}), Secret: w.Secret}, err
}

func (s *Server) checkWebhook(in api.WebhookRequest) error {
	u, err := url.Parse(in.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "" || len(in.URL) > maxWebhookURL {
		return transport.BadRequest("webhook %q: want a URL such as https://chat.example.edu/hooks/1, without a user name", transport.Clip(in.URL))
	}
	for i, k := range in.Kinds {
		if !slices.Contains(api.EventKinds, k) || slices.Contains(in.Kinds[:i], k) {
			return transport.BadRequest("webhook %q: %q is no kind of event, or is there twice: want some of %s", transport.Clip(in.URL), transport.Clip(k), strings.Join(api.EventKinds, ", "))
		}
	}
	return s.WebhookURL(u)
}

func (s *Server) deleteWebhook(c *call, _ none) (none, error) {
	id := c.Var("id")
	return none{}, s.Lock.DeleteWebhook(c.Context(), c.op("webhook delete "+transport.Clip(id)), id)
}
