package transport

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestPanicIsAnAnswer(t *testing.T) {
	h := serve(func(*Call) error { panic("at the disco") })
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	if w.Code != 500 || strings.Contains(w.Body.String(), "disco") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
