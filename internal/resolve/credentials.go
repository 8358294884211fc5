package resolve

import (
	"context"
	"fmt"

	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/types"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

// directory is a keychain over the config.json of one directory, read anew
// each time so that a login needs no restart.
type directory string

// Resolve implements authn.Keychain.
func (d directory) Resolve(target authn.Resource) (authn.Authenticator, error) {
	file, err := config.Load(string(d))
	if err != nil {
		return nil, err
	}
	for _, key := range []string{target.String(), target.RegistryStr()} {
		if key == name.DefaultRegistry {
			key = authn.DefaultAuthKey
		}
		auth, err := file.GetAuthConfig(key)
		if err != nil {
			return nil, err
		}
		auth.ServerAddress = ""
		if auth != (types.AuthConfig{}) {
			return authn.FromConfig(authn.AuthConfig{
				Username: auth.Username, Password: auth.Password, Auth: auth.Auth,
				IdentityToken: auth.IdentityToken, RegistryToken: auth.RegistryToken,
			}), nil
		}
	}
	return authn.Anonymous, nil
}

// credentials looks up what to log in with at the host that is spoken to. A
// credential helper is a program that can hang, and knows no context.
func (c *Client) credentials(ctx context.Context, target authn.Resource) (authn.Authenticator, error) {
	type answer struct {
		auth authn.Authenticator
		err  error
	}
	done := make(chan answer, 1)
	go func() {
		auth, err := c.keychain.Resolve(target)
		done <- answer{auth, err}
	}()
	select {
	case a := <-done:
		if a.err != nil {
			return nil, fail(ErrUnauthorized, "the Docker configuration's credentials cannot be read: %s", clip(a.err.Error()))
		}
		return a.auth, nil
	case <-ctx.Done():
		return nil, &failure{kind: ErrUnavailable, why: fmt.Sprintf("the credential program for %s does not answer", target.RegistryStr()), cause: ctx.Err()}
	}
}
