package resolve

// Client reads images from registries. It holds connections and no other
// state; it is safe for concurrent use.
type Client struct {
	cfg Config
}

// New checks the configuration; it contacts nobody.
func New(cfg Config) (*Client, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Client{cfg: cfg}, nil
}
