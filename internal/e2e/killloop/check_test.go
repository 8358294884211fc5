package killloop

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/e2e/rig"
	"chartd.dev/chartd/internal/ref"
)

// check runs fsck on what the kill left, starts the server on it, and compares
// every acknowledged write with what it serves.
func (l *loop) check(ctx context.Context) (found []string) {
	// What fsck finds does not end the check: the two are different witnesses.
	r, err := rig.Run(ctx, "", nil, l.binary, "fsck", "--data", l.data)
	if err != nil || r.Code != 0 {
		found = append(found, fmt.Sprintf("fsck: %v, exit %d: %s", err, r.Code, r.Text()))
	}
	s, err := rig.Start(ctx, rig.ServerConfig{Binary: l.binary, Data: l.data, Args: []string{"--log-level", "warn"}})
	if err != nil {
		return append(found, "restart: "+err.Error())
	}
	defer s.Kill()
	c, err := s.Client()
	if err != nil {
		return append(found, err.Error())
	}
	charts, err := l.checkCharts(ctx, c)
	found = append(found, charts...)
	if err != nil {
		return append(found, err.Error())
	}
	for env, acked := range l.pins {
		found = append(found, l.checkPins(ctx, c, env, acked)...)
	}
	return found
}

func (l *loop) checkCharts(ctx context.Context, c *client.Client) (found []string, err error) {
	have := map[string]api.Chart{}
	for ch, err := range c.AllCharts(ctx, client.ChartQuery{}) {
		if err != nil {
			return nil, err
		}
		have[ch.Version] = ch
	}
	for version, digest := range l.charts {
		if ch, ok := have[version]; !ok {
			found = append(found, fmt.Sprintf("plain %s was acknowledged and is lost", version))
		} else if ch.Package != digest {
			found = append(found, fmt.Sprintf("plain %s is %s, acknowledged as %s", version, ch.Package, digest))
		}
	}
	for version, ch := range have {
		if l.tried[version] != ch.Package {
			found = append(found, fmt.Sprintf("plain %s is %s, which nobody sent", version, ch.Package))
		}
		if _, ok := l.charts[version]; ok {
			continue
		}
		// Not answered and yet there: then it is there whole, from now on.
		l.unknown++
		if _, err := c.Package(ctx, ch); err != nil {
			found = append(found, fmt.Sprintf("plain %s is there by half: %v", version, err))
		}
		l.charts[version] = ch.Package
	}
	return found, nil
}

func (l *loop) checkPins(ctx context.Context, c *client.Client, env ref.Env, acked map[uint64]api.Pin) (found []string) {
	e, err := c.Environment(ctx, env)
	if e := (*api.Error)(nil); errors.As(err, &e) && e.Status == 404 && len(acked) == 0 {
		return nil
	}
	if err != nil {
		return []string{fmt.Sprintf("%s: %v", env, err)}
	}
	newest := uint64(len(acked))
	if e.Revision != newest && !(l.flying[env] && e.Revision == newest+1) {
		found = append(found, fmt.Sprintf("%s is at revision %d, %d pins were acknowledged", env, e.Revision, newest))
	}
	have := map[uint64]api.Pin{}
	for before := uint64(0); ; {
		page, err := c.Pins(ctx, env, before, 500)
		if err != nil {
			return append(found, fmt.Sprintf("%s: %v", env, err))
		}
		for _, p := range page.Pins {
			have[p.Revision] = p
		}
		if before = page.Next; before == 0 {
			break
		}
	}
	var lost []string
	for rev := uint64(1); rev <= max(e.Revision, newest); rev++ {
		p, ok := have[rev]
		if !ok || acked[rev].Revision != 0 && p.Binding != acked[rev].Binding {
			lost = append(lost, fmt.Sprint(rev))
		}
	}
	if lost != nil {
		found = append(found, fmt.Sprintf("%s: lost or changed revisions %s", env, strings.Join(lost, ", ")))
	}
	if e.Revision == newest+1 {
		l.unknown++
		acked[e.Revision] = have[e.Revision]
	}
	return found
}
