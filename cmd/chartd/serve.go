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
	"chartd.dev/chartd/internal/server"
	"chartd.dev/chartd/repo"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// Limits of a connection; the server moves the body's and the answer's on
// while they make progress.
const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 60 * time.Second
	writeTimeout      = 60 * time.Second
	idleTimeout       = 60 * time.Second
	maxHeaderBytes    = 32 << 10

	brokenGrace = 2 * time.Second // for answers in flight when the store broke
)

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
	d, err := openData(ctx, c.Data, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if path, err := d.firstToken(ctx); err != nil {
		return fmt.Errorf("make the first token: %w", err)
	} else if path != "" {
		log.Info("made the token \"admin\" with all scopes, which does not expire", "file", path)
	}
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	defer listener.Close()

	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	r, err := openRepository(ctx, c, d)
	if err != nil {
		return err
	}
	tokens := auth.NewAuthenticator(d.lock, time.Now)
	defer tokens.Close()
	h, err := newServer(c, d, r, tokens, log, listener.Addr(), stop)
	if err != nil {
		return err
	}
	metrics, err := serveMetrics(c, h, log)
	if err != nil {
		return err
	}
	defer metrics.Close()
	srv := newHTTPServer(h, log)
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(listener) }()
	if err := announce(c, d, h, listener.Addr(), log); err != nil {
		return errors.Join(err, srv.Close())
	}
	housekept := make(chan struct{})
	go func() { defer close(housekept); housekeep(ctx, d, r, log) }()

	select {
	case err = <-failed:
	case <-ctx.Done():
		err = finish(context.Cause(ctx), srv, c.Shutdown, log)
	}
	stop(nil)
	<-housekept
	return err
}

func newServer(c Config, d *data, r *repo.Repository, tokens *auth.Authenticator, log *slog.Logger, addr net.Addr, stop context.CancelCauseFunc) (*server.Server, error) {
	sc := server.Config{
		Repo: r, Lock: d.lock, Auth: tokens, Log: log, Now: time.Now,
		Version: buildVersion(), BasePath: c.BasePath, AnonymousRead: c.anonymous(addr),
		MaxUpload: int64(c.MaxUpload), UploadSlots: c.UploadSlots, UploadWait: c.UploadWait,
		Backup: func(ctx context.Context, w io.Writer) error { return r.Backup(ctx, w, d.temp(), d.db.Snapshot) },
		Ready:  func(context.Context) error { return freeSpace(d.dir, int64(c.MaxUpload)) },
		Broken: func(err error) { stop(fmt.Errorf("%w: %w", errBroken, err)) },
	}
	if c.ArtifactHub != "" {
		var err error
		if sc.ArtifactHub, err = os.ReadFile(c.ArtifactHub); err != nil {
			return nil, fmt.Errorf("read artifacthub-repo: %w", err)
		}
	}
	return server.New(sc)
}

// errBroken ends the process with an error once answers are out.
var errBroken = errors.New("a store is broken, the next start verifies it")

func openRepository(ctx context.Context, c Config, d *data) (*repo.Repository, error) {
	limits := archive.DefaultLimits()
	limits.Packed, limits.Unpacked, limits.Entries = int64(c.MaxUpload), int64(c.MaxUnpacked), c.MaxEntries
	rc := repo.Config{Blobs: d.blobs, Lock: d.lock, Archive: limits, ContextPath: c.BasePath, Now: time.Now}
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

func newHTTPServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout,
		WriteTimeout: writeTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// serveMetrics answers on the listener of metrics and profiles, if there is one.
func serveMetrics(c Config, h *server.Server, log *slog.Logger) (io.Closer, error) {
	srv := newHTTPServer(h.Metrics(), log)
	srv.WriteTimeout = 5 * time.Minute // a profile takes as long as it is asked to
	if c.MetricsListen == "" {
		return srv, nil
	}
	l, err := net.Listen("tcp", c.MetricsListen)
	if err != nil {
		return nil, fmt.Errorf("listen for metrics: %w", err)
	}
	log.Info("serving metrics", "url", "http://"+l.Addr().String()+"/metrics")
	go func() {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("metrics listener ended", "error", err.Error())
		}
	}()
	return srv, nil
}

// announce says where the server is to be found: in the log, in the data
// directory's lock file, and in the file asked for.
func announce(c Config, d *data, h *server.Server, addr net.Addr, log *slog.Logger) error {
	url := "http://" + addr.String() + h.BasePath
	if !isLoopback(addr) {
		log.Warn("serving plain HTTP on an address that others can reach: put a proxy with TLS before it", "address", addr.String())
	}
	if err := d.held.SetURL(url); err != nil {
		return err
	}
	log.Info("serving", "url", url, "data", d.dir, "version", h.Version, "anonymous_read", h.AnonymousRead)
	if c.AddrFile == "" {
		return nil
	}
	return durable.WriteFile(c.AddrFile, []byte(url+"\n"), 0o644)
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

// housekeep removes what crashes left behind and what has expired, at the
// start and once a day.
func housekeep(ctx context.Context, d *data, r *repo.Repository, log *slog.Logger) {
	tick := time.NewTicker(24 * time.Hour)
	defer tick.Stop()
	for {
		if n, err := r.Sweep(ctx); err != nil && ctx.Err() == nil {
			log.Warn("sweep failed", "error", err.Error())
		} else if n > 0 {
			log.Info("swept", "blobs", n)
		}
		if err := d.lock.ExpireKeys(ctx); err != nil && ctx.Err() == nil {
			log.Warn("expiring idempotency keys failed", "error", err.Error())
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
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
