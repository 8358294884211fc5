package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"chartd.dev/chartd/internal/archive"
	"chartd.dev/chartd/internal/auth"
	"chartd.dev/chartd/internal/durable"
	"chartd.dev/chartd/internal/render/renderer"
	"chartd.dev/chartd/internal/server"
	"chartd.dev/chartd/internal/transport"
	"chartd.dev/chartd/lock/boltstore"
	"chartd.dev/chartd/repo"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

const brokenGrace = 2 * time.Second // for answers in flight when the store broke

func newServe(getenv func(string) string, use string) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: "Serve the repository", Args: noArgs}
	flags := configFlags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := configOf(cmd, flags, getenv)
		if err != nil {
			return err
		}
		return serve(cmd.Context(), c, newLog(c, cmd.ErrOrStderr()))
	}
	return cmd
}

func newLog(c Config, w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.LogLevel)) // checked with the configuration
	o := &slog.HandlerOptions{Level: level}
	f, isFile := w.(*os.File)
	if c.LogFormat == "text" || c.LogFormat == "auto" && isFile && term.IsTerminal(int(f.Fd())) {
		return slog.New(slog.NewTextHandler(w, o))
	}
	return slog.New(slog.NewJSONHandler(w, o))
}

// serve runs until ctx ends or the process may not go on, and lets requests in
// flight finish.
func serve(ctx context.Context, c Config, log *slog.Logger) (err error) {
	boundGarbage()
	addProcessor()
	d, err := openDataWith(ctx, c.Data, true, boltstore.Options{OnNotice: log.Info, OnWarning: func(w string) { log.Warn(w) }})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if path, err := d.firstToken(ctx); err != nil {
		return fmt.Errorf("make the first token: %w", err)
	} else if path != "" {
		log.Info("made the token \"admin\" with all scopes, which does not expire", "file", path)
	}
	listener, err := transport.Listen(c.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	defer listener.Close()

	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go returnMemory(ctx)
	rendering := newRendering(c, d, log)
	defer func() { err = errors.Join(err, rendering.Close()) }()
	r, err := openRepository(ctx, c, d, rendering)
	if err != nil {
		return err
	}
	tokens := auth.NewAuthenticator(d.lock, time.Now)
	defer tokens.Close()
	p := process{Config: c, data: d, rendering: rendering, repo: r, tokens: tokens, log: log, stop: stop}
	b, err := p.background()
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	h, err := b.server(listener.Addr())
	if err != nil {
		return err
	}
	metrics, err := p.serveMetrics(h)
	if err != nil {
		return err
	}
	defer metrics.Close()
	return b.answer(ctx, h, listener)
}

// answer runs the server and what goes on beside it, and ends both.
func (b background) answer(ctx context.Context, h *server.Server, listener net.Listener) (err error) {
	srv := transport.NewServer(h, b.log)
	srv.RegisterOnShutdown(b.feed.Close) // else it would wait for those who wait for events
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(listener) }()
	if err := b.announce(h, listener.Addr()); err != nil {
		return errors.Join(err, srv.Close())
	}
	done := make(chan struct{})
	go func() { defer close(done); b.run(ctx) }()
	go b.keepIndex(ctx)

	select {
	case err = <-failed:
	case <-ctx.Done():
		err = finish(context.Cause(ctx), srv, b.Shutdown, b.log)
	}
	b.stop(nil)
	<-done
	if !errors.Is(err, errBroken) {
		b.saveIndex(context.WithoutCancel(ctx))
	}
	return err
}

// process is what the parts of a serving process share.
type process struct {
	Config
	data      *data
	rendering *rendering
	repo      *repo.Repository
	tokens    *auth.Authenticator
	log       *slog.Logger
	stop      context.CancelCauseFunc
}

func (p background) server(addr net.Addr) (*server.Server, error) {
	sc := server.Config{
		Repo: p.repo, Lock: p.data.lock, Auth: p.tokens, Log: p.log, Now: time.Now,
		Version: buildVersion(), BasePath: p.BasePath, AnonymousRead: p.anonymous(addr),
		MaxUpload: int64(p.MaxUpload), UploadSlots: p.UploadSlots, UploadWait: p.UploadWait, Memory: int64(p.RequestMemory),
		Limits: server.Limits{FailedAuth: p.LimitAuth, Publish: p.LimitPublish, Pin: p.LimitPin, Read: p.LimitRead},
		Feed:   p.feed, WebhookURL: p.outward.Check, Collectors: append(databaseMetrics(p.data.db), p.rendering.metrics()...),
		Backup: func(ctx context.Context, w io.Writer) error {
			return p.repo.Backup(ctx, w, p.data.temp(), p.data.db.Snapshot)
		},
		Ready:  func(context.Context) error { return freeSpace(p.data.dir, int64(p.MaxUpload)) },
		Broken: func(err error) { p.stop(fmt.Errorf("%w: %w", errBroken, err)) },
	}
	if p.ArtifactHub != "" {
		var err error
		if sc.ArtifactHub, err = os.ReadFile(p.ArtifactHub); err != nil {
			return nil, fmt.Errorf("read artifacthub-repo: %w", err)
		}
	}
	return server.New(sc)
}

// errBroken ends the process with an error once answers are out.
var errBroken = errors.New("a store is broken, the next start verifies it")

func openRepository(ctx context.Context, c Config, d *data, rendering *rendering) (*repo.Repository, error) {
	limits := archive.DefaultLimits()
	limits.Packed, limits.Unpacked, limits.Entries = int64(c.MaxUpload), int64(c.MaxUnpacked), c.MaxEntries
	rc := repo.Config{Blobs: d.blobs, Lock: d.lock, Archive: limits, ContextPath: c.BasePath, Now: time.Now,
		Snapshot: d.snapshot}
	if rendering.on() {
		rc.Renderer, rc.Engine = rendering, renderer.EngineVersion()
	}
	if c.IndexFormat == "yaml" {
		rc.Format = repo.YAML
	}
	for _, f := range c.Keyring {
		keys, err := os.ReadFile(f)
		if err != nil {
			return nil, fmt.Errorf("read keyring: %w", err)
		}
		rc.Keyring = append(rc.Keyring, keys...)
	}
	var err error
	if rc.Resolver, err = newResolver(c); err != nil {
		return nil, err
	}
	return repo.Open(ctx, rc)
}

// serveMetrics answers on the listener of metrics and profiles, if there is one.
func (p process) serveMetrics(h *server.Server) (io.Closer, error) {
	srv := transport.NewServer(h.Metrics(), p.log)
	srv.WriteTimeout = 5 * time.Minute // a profile takes as long as it is asked to
	if p.MetricsListen == "" {
		return srv, nil
	}
	l, err := transport.Listen(p.MetricsListen)
	if err != nil {
		return nil, fmt.Errorf("listen for metrics: %w", err)
	}
	p.log.Info("serving metrics", "url", "http://"+l.Addr().String()+"/metrics")
	go func() {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			p.log.Error("metrics listener ended", "error", err.Error())
		}
	}()
	return srv, nil
}

// announce says where the server is to be found: in the log, in the data
// directory's lock file, and in the file asked for.
func (p process) announce(h *server.Server, addr net.Addr) error {
	url := "http://" + addr.String() + h.BasePath
	if !isLoopback(addr) {
		p.log.Warn("serving plain HTTP on an address that others can reach: put a proxy with TLS before it", "address", addr.String())
	}
	if err := p.data.held.SetURL(url); durable.IsNoSpace(err) {
		p.log.Warn("chartd backup and fsck cannot find this server: make space and start it again", "error", err.Error())
	} else if err != nil {
		return err
	}
	p.log.Info("serving", "url", url, "data", p.data.dir, "version", h.Version, "anonymous_read", h.AnonymousRead)
	if p.AddrFile == "" {
		return nil
	}
	if err := durable.WriteFile(p.AddrFile, []byte(url+"\n"), 0o644); err != nil {
		return fmt.Errorf("addr-file: %w", err)
	}
	return nil
}

// finish stops taking requests and waits for those in flight.
func finish(cause error, srv *http.Server, wait time.Duration, log *slog.Logger) error {
	broken := errors.Is(cause, errBroken)
	if broken {
		wait = brokenGrace
	}
	log.Info("stopping", "wait", wait.String())
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	err := srv.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("stop: requests were still running after %s: %w", wait, err), srv.Close())
	}
	if broken {
		return errors.Join(cause, err)
	}
	return err
}

// settle is how long those who waited for a start go first: a sweep looks at
// every file.
const settle = time.Minute

// housekeep removes what crashes left behind and what has expired, soon after
// the start and once a day.
func (p process) housekeep(ctx context.Context) {
	select {
	case <-time.After(settle):
	case <-ctx.Done():
		return
	}
	tick := time.NewTicker(24 * time.Hour)
	defer tick.Stop()
	for {
		if n, err := p.repo.Sweep(ctx); err != nil && ctx.Err() == nil {
			p.log.Warn("sweep failed", "error", err.Error())
		} else if n > 0 {
			p.log.Info("swept", "blobs", n)
		}
		if err := p.data.lock.ExpireKeys(ctx); err != nil && ctx.Err() == nil {
			p.log.Warn("expiring idempotency keys failed", "error", err.Error())
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// keepIndex saves the index now and then, so that a start after a crash has
// little to catch up with.
func (p process) keepIndex(ctx context.Context) {
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if p.repo.IndexSaveDue() {
				p.saveIndex(ctx)
			}
		case <-ctx.Done():
			return
		}
	}
}

// saveIndex warns where it fails: the snapshot only makes the next start
// quicker.
func (p process) saveIndex(ctx context.Context) {
	if err := p.repo.SaveIndex(ctx); err != nil {
		p.log.Warn("saving the index failed", "error", err.Error())
	}
}

// anonymous decides on anonymous reads: by default only where nobody else can
// reach the listener, and no proxy stands before it.
func (c Config) anonymous(addr net.Addr) bool {
	if c.AnonymousRead == "auto" {
		return isLoopback(addr) && c.BasePath == ""
	}
	return c.AnonymousRead == "true"
}

func isLoopback(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}
