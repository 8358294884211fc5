package resolve

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"
)

// failure is one of the sentinels with its reason.
type failure struct {
	kind  error
	why   string
	cause error         // may be nil
	retry bool          // another try may go better
	after time.Duration // the registry asked to be left alone for so long
	where string        // set once, by Resolve: reference, registry, mirror
}

func (f *failure) Error() string {
	if f.where == "" {
		return fmt.Sprintf("%v: %s", f.kind, f.why)
	}
	return fmt.Sprintf("%v: %s: %s", f.kind, f.where, f.why)
}

func (f *failure) Unwrap() []error {
	if f.cause == nil {
		return []error{f.kind}
	}
	return []error{f.kind, f.cause}
}

func fail(kind error, format string, args ...any) *failure {
	return &failure{kind: kind, why: fmt.Sprintf(format, args...)}
}

// asFailure finds the failure in an error that went through net/http.
func asFailure(err error) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	return fail(ErrInvalid, "%s", clip(err.Error()))
}

// unreached is the failure for a connection that did not work out.
func unreached(err error) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return &failure{kind: ErrUnavailable, why: "no answer in time", cause: err}
	}
	f := &failure{kind: ErrUnavailable, cause: err, retry: true}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		f.retry = !e.IsNotFound
		f.why = fmt.Sprintf("the name %q cannot be looked up: %s", e.Name, e.Err)
		return f
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		f.retry = false
	}
	f.why = clip(err.Error())
	return f
}

// refused is the failure that a status stands for.
func refused(status int) *failure {
	text := fmt.Sprintf("it answered %d %s", status, http.StatusText(status))
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return fail(ErrUnauthorized, "%s; the image does not exist, or needs other credentials in the Docker configuration", text)
	case status == http.StatusNotFound:
		return fail(ErrNotFound, "%s", text)
	case status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status >= 500:
		return &failure{kind: ErrUnavailable, why: text, retry: true}
	}
	return fail(ErrInvalid, "%s", text)
}

// clip bounds what we repeat of a text that may come from a registry.
func clip(s string) string {
	const most = 300
	r := []rune(s)
	for i, c := range r {
		if c < ' ' || c == 0x7f {
			r[i] = ' '
		}
	}
	if len(r) > most {
		return string(r[:most]) + "…"
	}
	return string(r)
}
