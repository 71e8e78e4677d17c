package provider

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/fluent-credential/operator/internal/token"
)

// maxLife bounds expires_in: a token that claims to live longer is refreshed after a year all the same.
const maxLife = 365 * 24 * time.Hour

// fields is a JSON object of a reply, its members not yet looked at.
type fields map[string]json.RawMessage

var errNotObject = errors.New("the reply is not a JSON object")

// byteOrderMark may come before a JSON text, against the rule; ignoring it is allowed (RFC 8259 section 8.1).
var byteOrderMark = []byte("\xef\xbb\xbf")

// parseFields reads a JSON object, with nothing after it.
func parseFields(body []byte) (fields, error) {
	body = bytes.TrimPrefix(body, byteOrderMark)
	decoder := json.NewDecoder(bytes.NewReader(body))
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') || !json.Valid(body) {
		return nil, errNotObject
	}
	object := fields{}
	for decoder.More() {
		if err := object.readMember(decoder); err != nil {
			return nil, err
		}
	}
	return object, nil
}

// readMember reads one member. Of two by the same name the last one counts, as in most parsers, unless they are two tokens: a
// guess which of them works could publish the wrong one.
func (f fields) readMember(decoder *json.Decoder) error {
	key, err := decoder.Token()
	name, isText := key.(string)
	if err != nil || !isText {
		return errNotObject
	}
	var value json.RawMessage
	if err := decoder.Decode(&value); err != nil {
		return errNotObject
	}
	before, twice := f[name]
	if twice && tokens[name] && !bytes.Equal(before, value) {
		return fmt.Errorf("the reply has two different members %s", name)
	}
	f[name] = value
	return nil
}

// tokens are the members that are spent or published.
var tokens = map[string]bool{"access_token": true, "refresh_token": true}

// text reads a member that is a string; ok is false where it is something else, and true where it is missing.
func (f fields) text(name string) (value string, ok bool) {
	raw, present := f[name]
	if !present || string(raw) == "null" {
		return "", true
	}
	return value, json.Unmarshal(raw, &value) == nil
}

// scalar reads a member that is a string, a number or a boolean, as text.
func (f fields) scalar(name string) string {
	if value, ok := f.text(name); ok {
		return value
	}
	raw := strings.TrimSpace(string(f[name]))
	if raw == "" || strings.ContainsAny(raw[:1], "{[") {
		return ""
	}
	return raw
}

func (f fields) texts(name string) []string {
	var values []string
	if json.Unmarshal(f[name], &values) != nil {
		return nil
	}
	return values
}

// life reads expires_in: a number or a string of seconds. What is missing, negative or no number counts as missing: a token
// that was granted must not be lost over it (RFC 6749 section 5.1 only recommends the field). Too large for a float64 is large.
func (f fields) life() (time.Duration, bool) {
	seconds, err := strconv.ParseFloat(f.scalar("expires_in"), 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) || !(seconds >= 0) {
		return 0, false
	}
	return time.Duration(min(seconds, maxLife.Seconds())) * time.Second, true
}

// age is created_at against the reply's Date: both are of the server's clock, so that one which differs from ours does no harm.
// Without either, or where they do not fit together, nothing is known.
func (f fields) age(header http.Header) time.Duration {
	created, err := strconv.ParseInt(f.scalar("created_at"), 10, 64)
	if err != nil {
		return 0
	}
	answered, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return 0
	}
	age := answered.Unix() - created
	if created <= 0 || age <= 0 || age > int64(maxLife.Seconds()) {
		return 0
	}
	return time.Duration(age) * time.Second
}

// known are the members of a reply that are not Extra.
var known = map[string]bool{
	"access_token": true, "refresh_token": true, "token_type": true, "expires_in": true, "scope": true, "id_token": true,
}

// extra are the members beyond RFC 6749 that are scalars. An id_token is none of them: it is a credential.
func (f fields) extra() map[string]string {
	extra := map[string]string{}
	for name := range f {
		if value := f.scalar(name); value != "" && !known[name] {
			extra[name] = value
		}
	}
	return extra
}

// grantedSet reads the fields of RFC 6749 section 5.1.
func (f fields) grantedSet() (token.Set, error) {
	access, err := f.token("access_token")
	if err != nil {
		return token.Set{}, err
	}
	if access.IsZero() {
		return token.Set{}, errors.New("the reply has no access_token")
	}
	refresh, err := f.token("refresh_token")
	if err != nil {
		return token.Set{}, err
	}
	life, told := f.life()
	return token.Set{
		Access: access, Refresh: refresh, Type: f.scalar("token_type"), Scope: f.scalar("scope"),
		Life: life, LifeUnknown: !told, Extra: f.extra(),
	}, nil
}

// token reads a token; zero where there is none. A character outside of RFC 6749 appendices A.12 and A.17 means that the reply was
// mangled on its way, or would end a header where the token is used.
func (f fields) token(name string) (token.Secret, error) {
	value, ok := f.text(name)
	if !ok {
		return token.Secret{}, fmt.Errorf("%s is not a string", name)
	}
	if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) {
		return token.Secret{}, fmt.Errorf("%s holds characters that no token has", name)
	}
	return token.NewSecret(value), nil
}

// retryAfter reads the header Retry-After: seconds, or a date that is compared with the reply's own (RFC 9110 section 10.2.3).
func retryAfter(header http.Header) time.Duration {
	value := header.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(max(0, min(seconds, int(maxRetryAfter.Seconds())))) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	sent, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return 0
	}
	return max(0, min(at.Sub(sent), maxRetryAfter))
}

// maxRetryAfter bounds what an API may ask for.
const maxRetryAfter = time.Hour

func firstOf(list json.RawMessage) (fields, error) {
	var all []fields
	if err := json.Unmarshal(list, &all); err != nil || len(all) == 0 {
		return nil, errors.New("not a list of objects")
	}
	return all[0], nil
}
