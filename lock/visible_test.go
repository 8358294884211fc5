package lock

import "testing"

// A reason is there to be read: what shows nothing is none.
func TestBlank(t *testing.T) {
	for _, s := range []string{" ", "\t\n", "\u00a0", "\u200b", "\u200b \u2060\ufeff", "\u00ad", "\u3164", "\uffa0", "\u115f", "\u2800", "\u202e", "\x00", "\ufe0f", "\U000e0020"} {
		if !blank(s) {
			t.Errorf("%q shows something", s)
		}
	}
	for _, s := range []string{"", "x", "\u200bx", "安全", "é", "e\u0301", "!", "🚒", "नि"} {
		if blank(s) {
			t.Errorf("%q shows nothing", s)
		}
	}
}
