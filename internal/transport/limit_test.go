package transport

import (
	"errors"
	"net/http"
	"net/netip"
	"testing"
	"time"
)

func TestAddresses(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:5": "192.0.2.1", "[::ffff:192.0.2.1]:5": "192.0.2.1", "192.0.2.1": "192.0.2.1",
		"[2001:db8:1:2:3:4:5:6]:7": "2001:db8:1:2::/64", "[2001:db8:1:2::]:7": "2001:db8:1:2::/64",
		"[fe80::1%eth0]:1": "fe80::/64", "[::1]:1": "::/64",
		"": "an unknown address", "@": "an unknown address", "host:1": "an unknown address",
	} {
		if got := shownAddress(addressOf(&http.Request{RemoteAddr: remote})); got != want {
			t.Errorf("%q is counted as %q, want %q", remote, got, want)
		}
	}
}

// However many addresses call, a limit keeps so many of them; the memory of
// refused credentials is bounded in the same way.
func TestCallersTakeBoundedMemory(t *testing.T) {
	g := NewGuesses(Rate{1, time.Hour}, NewMetrics())
	now := time.Now()
	address := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}) }
	peak := 0
	for i := range 1_000_000 {
		g.take(bucket{addr: address(i)}, now)
		if i%1000 == 0 {
			peak = max(peak, g.full.Len())
		}
	}
	if peak > 2*maxCallers || peak < maxCallers {
		t.Errorf("%d callers are kept, want %d to %d", peak, maxCallers, 2*maxCallers)
	}

	peak = 0
	for i := range 3 * maxCallers {
		r := &http.Request{RemoteAddr: netip.AddrPortFrom(address(i), 1).String(), Header: http.Header{"Authorization": {"Bearer x"}}}
		for range 2 {
			g.Failed(r, func() time.Time { return now }, errors.New("wrong"))
		}
		peak = max(peak, g.wrong.Len())
	}
	if peak > 2*maxCallers || peak < maxCallers {
		t.Errorf("%d wrong credentials are kept, want %d to %d", peak, maxCallers, 2*maxCallers)
	}

	one := NewLimit("read", Rate{1, time.Hour}, NewMetrics())
	for i := range 10_000 {
		addr := netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 12: byte(i >> 24), 13: byte(i >> 16), 14: byte(i >> 8), 15: byte(i)})
		one.take(bucket{addr: addressOf(&http.Request{RemoteAddr: netip.AddrPortFrom(addr, 1).String()})}, now)
	}
	if n := one.full.Len(); n != 1 {
		t.Errorf("the addresses of one IPv6 network take %d places", n)
	}
}

func TestLimitsOutliveAClockThatIsSetBack(t *testing.T) {
	l := NewLimit("pin", Rate{10, time.Minute}, NewMetrics())
	now := time.Now()
	for range 10 {
		l.take(bucket{token: "t"}, now)
	}
	if wait := l.take(bucket{token: "t"}, now.Add(-24*time.Hour)); wait != 6*time.Second {
		t.Errorf("a day back it waits %v, want 6s", wait)
	}
}
