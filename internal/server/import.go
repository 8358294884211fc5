package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/transport"
	"chartd.dev/chartd/repo"
)

const (
	maxItems     = 256       // packages of one import
	maxImport    = 256 << 20 // bytes of one import, where a package may not be larger
	provRulePart = "provenance"
)

// importFields are the parts that say something of the next package.
var importFields = []string{createdPart, orderPart, requiresPart, provRulePart}

func (s *Server) importChart(c *call, _ none) (api.PublishResult, error) {
	u, err := s.readPackage(c, importFields[:3]...)
	if err != nil {
		return api.PublishResult{}, err
	}
	im, err := u.imported()
	if err != nil {
		return api.PublishResult{}, err
	}
	return s.store(c, u, repo.Upload{Import: &im})
}

// imported reads the parts that say how a package stood in its repository.
func (u upload) imported() (im repo.Import, err error) {
	if text := u.field(createdPart); text != "" {
		if im.Created, err = time.Parse(time.RFC3339, text); err != nil {
			return im, transport.BadRequest("part created %q: want a time such as 2024-05-01T12:00:00Z", transport.Clip(text))
		}
	}
	switch order := u.field(orderPart); order {
	case "", "known":
	case "unknown":
		im.OrderUnknown = true
	default:
		return im, transport.BadRequest("part order %q: want known or unknown", transport.Clip(order))
	}
	switch requires := u.field(requiresPart); requires {
	case "", "listed":
	case "unlisted":
		im.BareRequirements = true
	default:
		return im, transport.BadRequest("part requirements %q: want listed or unlisted", transport.Clip(requires))
	}
	return im, nil
}

// importCharts imports several packages in the order in which they are sent.
// They are taken in as they come: what was read when the body breaks off is
// imported.
func (s *Server) importCharts(c *call, _ none) (api.ImportResults, error) {
	media, params, err := mime.ParseMediaType(c.R.Header.Get("Content-Type"))
	if err != nil || media != "multipart/form-data" || params["boundary"] == "" {
		return api.ImportResults{}, fmt.Errorf("%w: Content-Type %q, want multipart/form-data with a boundary", transport.ErrMediaType, transport.Clip(c.R.Header.Get("Content-Type")))
	}
	most := max(maxImport, s.MaxUpload+maxProv+formMargin)
	if c.R.ContentLength > most {
		return api.ImportResults{}, transport.TooLarge(most)
	}
	workers := 2*runtime.GOMAXPROCS(0) + 2
	im := s.Repo.Import(c.Context(), c.op("import"), workers)
	body, free := buffered(transport.Bounded(c.RequestBody(), most))
	defer free()
	broken := s.readImport(c, im, multipart.NewReader(body, params["boundary"]))
	results, err := im.Wait()
	for _, r := range results {
		s.count("import", r.Published)
	}
	s.noteIndex(c.Context())
	return api.ImportResults{Results: each(results, importResult)}, errors.Join(err, broken)
}

// readImport hands on package after package, each in a slot of its own. An error is a body that cannot be
// read on; what is wrong with one package is for its own answer.
func (s *Server) readImport(c *call, im *repo.Importer, form *multipart.Reader) error {
	for n := 0; ; n++ {
		item, fault, err := s.nextItem(c, form)
		switch {
		case err == io.EOF && n == 0:
			return transport.BadRequest("the form has no part %q", singlePart)
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case n == maxItems:
			item.Done()
			return fmt.Errorf("%w: more than %d packages, send the rest in another request", transport.ErrTooLarge, maxItems)
		}
		release, err := s.slot(c)
		for n > 0 && errors.Is(err, transport.ErrBusy) { // what has begun goes on
			release, err = s.slot(c)
		}
		if err != nil {
			item.Done()
			return err
		}
		done := item.Done
		item.Done = func() { done(); release() }
		if im.Add(item, fault) != nil {
			item.Done()
			return nil // Wait says why
		}
	}
}

// packageBuffers are the packages of an import that were stored: their room is
// used again.
var packageBuffers = sync.Pool{New: func() any { return bytes.NewBuffer(make([]byte, 0, usualPackage)) }}

// nextItem reads the parts of one package: what is said of it, and then the
// package itself.
func (s *Server) nextItem(c *call, form *multipart.Reader) (item repo.ImportItem, fault, err error) {
	held := c.NewHold()
	u := upload{form: true, fields: map[string][]string{}, room: packageBuffers.Get().(*bytes.Buffer)}
	u.take = func(n int64) error { return held.Take(c.Context(), n) }
	item.Done = func() { u.done(); held.Free() }
	defer func() {
		if err != nil {
			held.Free()
		}
	}()
	for n := 0; u.pkg == nil; n++ {
		part, err := form.NextRawPart()
		switch {
		case err == io.EOF && n > 0:
			return item, nil, transport.BadRequest("the form ends with parts that no part %q follows", singlePart)
		case err == io.EOF:
			return item, nil, err
		case err != nil:
			return item, nil, transport.BodyError(err)
		case n == maxParts:
			return item, nil, transport.BadRequest("more than %d parts before a part %q", maxParts, singlePart)
		}
		if name := part.FormName(); name != singlePart && name != provPart && !slices.Contains(importFields, name) {
			return item, nil, transport.BadRequest("part %q: want %s, %s", transport.Clip(name), strings.Join(importFields, ", "), "prov, and then chart")
		}
		_, addErr := u.add(part, s.MaxUpload, importFields)
		switch {
		case addErr == nil:
		case errors.Is(addErr, transport.ErrTooLarge):
			fault = errors.Join(fault, addErr)
		default:
			return item, nil, addErr
		}
		if addErr != nil && part.FormName() == singlePart {
			break
		}
	}
	if fault != nil {
		return item, fault, nil
	}
	imported, fault := u.imported()
	item.Upload = repo.Upload{Package: u.pkg, Prov: u.prov, Import: &imported}
	switch rule := u.field(provRulePart); rule {
	case "", "required":
	case "optional":
		item.ProvOptional = true
	default:
		fault = transport.BadRequest("part provenance %q: want required or optional", transport.Clip(rule))
	}
	return item, fault, nil
}

// done lets the room of a package be used again.
func (u upload) done() {
	if u.room.Cap() <= 4*usualPackage {
		u.room.Reset()
		packageBuffers.Put(u.room)
	}
}

func importResult(r repo.Imported) api.ImportResult {
	if r.Err != nil {
		status, body := bodyOf(r.Err)
		return api.ImportResult{Status: status, Error: &body}
	}
	v := r.Chart
	out := api.ImportResult{
		Status: http.StatusCreated, Existed: r.Existed, Name: v.Chart.Name(), Version: v.Chart.Version(), Package: v.Package,
		Seq: v.Seq, State: v.State.String(), Binding: v.Default, Warnings: v.Warnings,
	}
	if r.Existed {
		out.Status = http.StatusOK
	}
	if r.Provenance != nil {
		out.Provenance = r.Provenance.Error()
	}
	return out
}
