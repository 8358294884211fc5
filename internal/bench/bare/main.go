// Command bare serves a directory with net/http and mux and nothing else: the
// least that a server built on them does for an answer, for the benchmarks to
// compare with.
package main

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gorilla/mux"
)

func main() {
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, "bare:", err)
		os.Exit(1)
	}
}

func serve() error {
	if len(os.Args) != 3 {
		return fmt.Errorf("want an address to listen on, and a directory with index.yaml, index.yaml.gz and charts")
	}
	address, root := os.Args[1], os.Args[2]
	plain, err := os.ReadFile(filepath.Join(root, "index.yaml"))
	if err != nil {
		return err
	}
	packed, err := os.ReadFile(filepath.Join(root, "index.yaml.gz"))
	if err != nil {
		return err
	}
	etag := fmt.Sprintf("%q", fmt.Sprintf("%x", sha256.Sum256(plain)))

	router := mux.NewRouter()
	router.Methods(http.MethodGet, http.MethodHead).Path("/index.yaml").HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("ETag", etag)
		if r.Header.Get("If-None-Match") == etag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		body := plain
		h.Set("Content-Type", "text/yaml")
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			body = packed
			h.Set("Content-Encoding", "gzip")
		}
		h.Set("Content-Length", strconv.Itoa(len(body)))
		if r.Method == http.MethodGet {
			_, _ = w.Write(body)
		}
	})
	router.Methods(http.MethodGet).Path("/charts/{file}").HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, filepath.Join(root, "charts", filepath.Base(mux.Vars(r)["file"])))
	})

	return http.ListenAndServe(address, router)
}
