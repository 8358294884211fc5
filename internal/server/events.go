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
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/transport"
	"chartd.dev/chartd/lock"
)

const (
	maxWait       = 30 // seconds that a question for events waits
	maxWebhookURL = 1 << 10
)

// events answers with what happened after a line of the journal, and waits for
// it where the caller asks for that. Without after it says where the journal
// ends.
func (s *Server) events(c *call) error {
	limit, err := c.limit()
	if err != nil {
		return err
	}
	wait, err := c.number("wait", 0, maxWait)
	if err != nil {
		return err
	}
	given, err := c.param("after")
	if err != nil {
		return err
	}
	if given == "" {
		end, err := s.Feed.End(c.Context())
		if err != nil {
			return err
		}
		return c.answer(http.StatusOK, api.Events{Events: []api.Event{}, Next: end})
	}
	after, err := c.number("after", 0, 1<<62)
	if err != nil {
		return err
	}
	if c.R.Method == http.MethodHead {
		wait = 0
	}
	list, next, err := s.Feed.Wait(c.Context(), after, limit, time.Duration(wait)*time.Second)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, api.Events{Events: list, Next: next})
}

func (s *Server) webhooks(c *call) error {
	list, err := s.Lock.Webhooks(c.Context())
	if err != nil {
		return err
	}
	out := api.Webhooks{Webhooks: []api.Webhook{}}
	for _, w := range list {
		out.Webhooks = append(out.Webhooks, webhookOf(w))
	}
	return c.answer(http.StatusOK, out)
}

func webhookOf(w lock.WebhookState) api.Webhook {
	return api.Webhook{
		ID: w.ID, URL: w.URL, Kinds: w.Kinds, Created: w.Created, By: w.By,
		Seq: w.Cursor.Seq, At: w.Cursor.At, Failed: w.Cursor.Failed, Error: w.Cursor.Error,
	}
}

// createWebhook takes no Idempotency-Key: the secret is not told twice.
func (s *Server) createWebhook(c *call) error {
	var in api.WebhookRequest
	body, err := decode(c, &in, "url")
	if err != nil {
		return err
	}
	if err := s.checkWebhook(in); err != nil {
		return err
	}
	var id [6]byte
	var secret [32]byte
	rand.Read(id[:]) // never fails: the runtime ends the process instead
	rand.Read(secret[:])
	op, err := c.op("webhook create", body)
	if err != nil {
		return err
	}
	op.Key = ""
	w, err := s.Lock.CreateWebhook(c.Context(), op, lock.Webhook{
		ID: hex.EncodeToString(id[:]), URL: in.URL, Kinds: in.Kinds, Secret: "whsec_" + base64.RawURLEncoding.EncodeToString(secret[:]),
	})
	if err != nil {
		return err
	}
	c.Header().Set("Cache-Control", "no-store")
	return c.answer(http.StatusCreated, api.WebhookSecret{Webhook: webhookOf(lock.WebhookState{Webhook: w}), Secret: w.Secret})
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

func (s *Server) deleteWebhook(c *call) error {
	id := c.Var("id")
	op, err := c.op("webhook delete "+transport.Clip(id), ref.DigestOf(nil))
	if err != nil {
		return err
	}
	if err := s.Lock.DeleteWebhook(c.Context(), op, id); err != nil {
		return err
	}
	c.WriteHeader(http.StatusNoContent)
	return nil
}
