package loginguard

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"path"
	"strings"
	"unicode"
)

// namePrefix of the guard's Secrets; what follows names the login without revealing it.
const namePrefix = "fluent-credential-login-"

// maxUnescapes bounds how often a path was escaped on top of itself.
const maxUnescapes = 5

// IsSame reports whether both logins can be given one refresh token.
func (l Login) IsSame(other Login) bool {
	return secretName(l) == secretName(other) && l.use().isSame(other.use())
}

// use is the use with the query of the endpoint, which can select a tenant. A seed is one secret whatever the query.
func (l Login) use() Use {
	use := l.Use
	use.Seed = !l.Seed.IsZero()
	if endpoint, err := url.Parse(l.Endpoint); err == nil && !use.Seed {
		use.Query = endpoint.RawQuery
	}
	return use
}

// secretName names one Secret for all spellings of an endpoint and a user name: a server takes them for one user, and locks
// that one.
func secretName(login Login) string {
	return nameOf(login, plainEndpoint(login.Endpoint), plainUser(login.Username))
}

// formerName is the name that earlier versions gave to the Secret, one for each spelling.
func formerName(login Login) string { return nameOf(login, login.Endpoint, login.Username) }

func nameOf(login Login, endpoint, username string) string {
	named := username
	if !login.Seed.IsZero() {
		named = "\x00" + login.Seed.Hash(endpoint) // no user name begins with a zero byte
	}
	sum := sha256.Sum256([]byte(endpoint + "\x00" + named))
	return namePrefix + hex.EncodeToString(sum[:16])
}

// plainEndpoint is the scheme, the host and the plain path: servers ignore a query and the parameters of a path that they do
// not know, and many take an escaped, doubled or last slash for a plain one.
func plainEndpoint(endpoint string) string {
	parsed, err := url.Parse(endpoint)
	if err != nil {
		return endpoint
	}
	plain := url.URL{Scheme: parsed.Scheme, Host: parsed.Host, Path: plainPath(parsed.Path)}
	return plain.String()
}

func plainPath(escaped string) string {
	for range maxUnescapes {
		unescaped, err := url.PathUnescape(escaped)
		if err != nil || unescaped == escaped {
			break
		}
		escaped = unescaped
	}
	segments := strings.Split(strings.ReplaceAll(escaped, `\`, "/"), "/")
	for i, segment := range segments {
		segment, _, _ = strings.Cut(segment, ";")
		segments[i] = strings.TrimFunc(segment, isBlank)
	}
	return strings.TrimSuffix(path.Clean("/"+strings.Join(segments, "/")), "/")
}

// plainUser is a user name without the differences that a server's data base overlooks: case, width, and blanks around it.
func plainUser(name string) string {
	visible := strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Cf, r): // it joins or directs text, and shows nothing
			return -1
		case '！' <= r && r <= '～': // the wide forms of ASCII
			return r - '！' + '!'
		}
		return r
	}, name)
	// Both ways: a final sigma and a long s have a lower case of their own.
	return strings.ToLower(strings.ToUpper(strings.TrimFunc(visible, isBlank)))
}

func isBlank(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }
