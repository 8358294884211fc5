package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/durable"
)

// question is what the server that holds a data directory is asked.
type question struct {
	dir, tokenFile string
	path           string // of the API
	held           error  // that it holds the directory: what the user sees where it cannot be asked
}

// online asks, and hands the answer to read.
func online(ctx context.Context, q question, read func(io.Reader) error) error {
	holder, err := durable.ReadHolder(q.dir)
	if err != nil || holder.URL == "" {
		return q.held
	}
	tokenFile := q.tokenFile
	if tokenFile == "" {
		tokenFile = filepath.Join(q.dir, adminFile)
	}
	token, err := os.ReadFile(tokenFile)
	if err != nil {
		return fmt.Errorf("ask the server at %s: read its token: %w; name one with --token-file", holder.URL, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, holder.URL+q.path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	client := &http.Client{
		// The holder is this machine's own server: no proxy, and nowhere else.
		Transport:     &http.Transport{},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("ask the server that holds %q: %w", q.dir, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		var e api.Error
		if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&e); err != nil || e.Message == "" {
			e.Message = resp.Status
		}
		return fmt.Errorf("ask the server at %s: %s", holder.URL, e.Message)
	}
	if err := read(resp.Body); err != nil {
		return fmt.Errorf("read the answer of the server at %s: %w", holder.URL, err)
	}
	return nil
}
